// The core's own names for slots in its tables: small, distinct types, so that a session's slot is never taken for a
// call's. They never leave the core; peers and operators see session numbers, request ids and leases.

/// A slot of a table, as a type of its own for each table.
protocol SlotIndex: Hashable, Sendable, BitwiseCopyable {
    var raw: UInt32 { get set }
    init(raw: UInt32)
}

extension SlotIndex {
    /// No slot.
    @inline(__always) static var none: Self { Self(raw: .max) }
    @inline(__always) var isNone: Bool { raw == .max }
    /// The slot as an array's index.
    @inline(__always) var at: Int { Int(raw) }
    @inline(__always) init(_ index: Int) { self.init(raw: UInt32(truncatingIfNeeded: index)) }
}

/// A slot of the session table.
struct SessionIndex: SlotIndex { var raw: UInt32 }
/// A slot of the call table; with its generation it is a lease.
struct CallIndex: SlotIndex { var raw: UInt32 }
/// A slot of the registry: one service of one session.
struct RegistrationIndex: SlotIndex { var raw: UInt32 }
/// A slot of the registry: workers among which a call may choose, and the calls that wait for them.
struct PoolIndex: SlotIndex { var raw: UInt32 }
/// A slot of the registry: one method of one service and version.
struct MethodIndex: SlotIndex { var raw: UInt32 }
/// A slot of the principal table; never reused.
struct PrincipalIndex: SlotIndex { var raw: UInt32 }

/// What a peer's live request id stands for.
enum LiveRequest {
    case call(CallIndex)
    case registration(RegistrationIndex)
    case subscription(UInt32)
    case drain

    private static var indexMask: UInt32 { 0x1fff_ffff }

    /// As one number, for the request table.
    var packed: UInt32 {
        switch self {
        case .call(let index): index.raw
        case .registration(let index): 1 << 29 | index.raw
        case .subscription(let slot): 2 << 29 | slot
        case .drain: 3 << 29
        }
    }

    init(packed: UInt32) {
        let index = packed & Self.indexMask
        switch packed >> 29 {
        case 0: self = .call(CallIndex(raw: index))
        case 1: self = .registration(RegistrationIndex(raw: index))
        case 2: self = .subscription(index)
        default: self = .drain
        }
    }
}

/// What a timer is for.
struct TimerPayload: BitwiseCopyable, Sendable {
    enum Kind: UInt8, BitwiseCopyable, Sendable {
        /// The nearest of a call's clocks.
        case call
        /// A connection's HELLO, or a session's silence.
        case session
        /// A session's grace to drain.
        case drain
        /// Calls that wait for a provider: ``RegistryTimer``.
        case registry
        /// A registration's pause after a refusal; its age is the generation.
        case pause
    }

    var kind: Kind
    /// The call's or session's slot.
    var index: UInt32
    /// The slot's use; a timer of an earlier use is ignored.
    var generation: UInt32
}
