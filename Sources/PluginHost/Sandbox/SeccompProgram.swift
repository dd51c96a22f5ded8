// The filter of system calls as classic BPF: which families of sockets a plugin may open, and what no plugin may call. Pure:
// from a choice to instructions, which bubblewrap or the launcher hands to the kernel. Numbers are the kernel's.

/// A processor that filters are made for.
enum FilterArchitecture: String, Hashable, Sendable, CaseIterable {
    case x86_64
    case aarch64

    /// The one that this program was built for; nil: there are no filters for it.
    static var current: FilterArchitecture? {
        #if arch(x86_64)
        .x86_64
        #elseif arch(arm64)
        .aarch64
        #else
        nil
        #endif
    }

    /// How the kernel names it to filters (`AUDIT_ARCH_…`).
    var auditNumber: UInt32 { self == .x86_64 ? 0xC000_003E : 0xC000_00B7 }
}

/// A filter of system calls.
struct SeccompProgram: Hashable, Sendable {
    /// The kinds of sockets that may be opened.
    enum Sockets: Hashable, Sendable {
        /// Unix sockets alone: there is no way into a network, whatever namespace the process is in.
        case local
        /// Unix and internet sockets, and netlink for the addresses of interfaces.
        case internet
    }

    /// One instruction: `struct sock_filter`.
    struct Instruction: Hashable, Sendable {
        var code: UInt16
        var jumpIfTrue: UInt8 = 0
        var jumpIfFalse: UInt8 = 0
        var value: UInt32
    }

    let instructions: [Instruction]

    /// - Parameters:
    ///   - architecture: The processor's kind.
    ///   - sockets: What may be opened.
    ///   - keepsProcessors: Whether its processes stay on the processors that they were given.
    init(_ architecture: FilterArchitecture, sockets: Sockets, keepsProcessors: Bool) {
        var maker = Maker()
        let calls = SystemCalls(architecture)
        maker.load(Offset.architecture)
        maker.unless(architecture.auditNumber, .killProcess)
        maker.load(Offset.number)
        if architecture == .x86_64 { maker.ifAtLeast(0x4000_0000, .fail(Errno.access)) }
        for number in calls.ioRing { maker.ifEqual(number, .fail(Errno.access)) }
        for number in calls.forbidden { maker.ifEqual(number, .fail(Errno.permission)) }
        if keepsProcessors { maker.ifEqual(calls.setProcessors, .fail(Errno.permission)) }
        // Its flags lie in memory, where a filter cannot look; libraries fall back to clone.
        maker.ifEqual(calls.clone3, .fail(Errno.noSystem))
        maker.when([calls.clone]) { maker in
            maker.load(Offset.firstArgument)
            maker.ifAnyBit(Self.newUserNamespace, .fail(Errno.permission))
            maker.end(.allow)
        }
        maker.when([calls.socket, calls.socketPair]) { maker in
            maker.load(Offset.firstArgument)
            for family in Self.families(sockets) { maker.ifEqual(family, .allow) }
            maker.end(.fail(Errno.access))
        }
        maker.end(.allow)
        instructions = maker.instructions
    }

    /// The instructions as the kernel reads them, in the machine's byte order.
    var bytes: [UInt8] {
        instructions.flatMap { instruction in
            withUnsafeBytes(of: instruction.code) { Array($0) } + [instruction.jumpIfTrue, instruction.jumpIfFalse]
                + withUnsafeBytes(of: instruction.value) { Array($0) }
        }
    }

    private static let newUserNamespace: UInt32 = 0x1000_0000

    private static func families(_ sockets: Sockets) -> [UInt32] {
        let (unix, inet, inet6, netlink): (UInt32, UInt32, UInt32, UInt32) = (1, 2, 10, 16)
        return sockets == .local ? [unix] : [unix, inet, inet6, netlink]
    }

    /// Where fields lie in `struct seccomp_data`; of an argument, the lower half.
    private enum Offset {
        static let number: UInt32 = 0
        static let architecture: UInt32 = 4
        static let firstArgument: UInt32 = 16
    }

    private enum Errno {
        static let permission: UInt32 = 1
        static let access: UInt32 = 13
        static let noSystem: UInt32 = 38
    }

    private enum Verdict {
        case allow
        case killProcess
        case fail(UInt32)

        var value: UInt32 {
            switch self {
            case .allow: 0x7FFF_0000
            case .killProcess: 0x8000_0000
            case .fail(let code): 0x0005_0000 | code
            }
        }
    }

    /// Puts instructions one after another; every jump is over the next instruction or block.
    private struct Maker {
        var instructions: [Instruction] = []

        mutating func load(_ offset: UInt32) { add(0x20, offset) }
        mutating func end(_ verdict: Verdict) { add(0x06, verdict.value) }

        mutating func ifEqual(_ value: UInt32, _ verdict: Verdict) {
            add(0x15, value, isFalse: 1)
            end(verdict)
        }

        mutating func unless(_ value: UInt32, _ verdict: Verdict) {
            add(0x15, value, isTrue: 1)
            end(verdict)
        }

        mutating func ifAtLeast(_ value: UInt32, _ verdict: Verdict) {
            add(0x35, value, isFalse: 1)
            end(verdict)
        }

        mutating func ifAnyBit(_ value: UInt32, _ verdict: Verdict) {
            add(0x45, value, isFalse: 1)
            end(verdict)
        }

        /// A block that runs when the accumulator is one of the values, and that ends every way it takes.
        mutating func when(_ values: [UInt32], _ block: (inout Maker) -> Void) {
            var body = Maker()
            block(&body)
            for (index, value) in values.enumerated() {
                let left = UInt8(values.count - index - 1)
                add(0x15, value, isTrue: left, isFalse: left == 0 ? UInt8(body.instructions.count) : 0)
            }
            instructions += body.instructions
        }

        private mutating func add(_ code: UInt16, _ value: UInt32, isTrue: UInt8 = 0, isFalse: UInt8 = 0) {
            instructions.append(Instruction(code: code, jumpIfTrue: isTrue, jumpIfFalse: isFalse, value: value))
        }
    }
}

/// Numbers of system calls.
private struct SystemCalls {
    let socket: UInt32
    let socketPair: UInt32
    let clone: UInt32
    let clone3: UInt32 = 435
    let setProcessors: UInt32
    /// Rings of operations, which pass by a filter of system calls.
    let ioRing: [UInt32] = [425, 426, 427]
    /// What no plugin needs and what has opened sandboxes before: namespaces and mounts, tracing, keys, programs in the kernel,
    /// modules, clocks, handles of files, swapping and restarting.
    let forbidden: [UInt32]

    init(_ architecture: FilterArchitecture) {
        // pidfd_getfd, open_tree … fspick, mount_setattr have one number everywhere.
        let everywhere: [UInt32] = [438, 428, 429, 430, 431, 432, 433, 442]
        switch architecture {
        case .x86_64:
            socket = 41
            socketPair = 53
            clone = 56
            setProcessors = 203
            forbidden =
                everywhere + [
                    272, 308, 165, 166, 155, 161, 101, 248, 249, 250, 321, 298, 323, 246, 320, 175, 313, 176, 303, 304,
                    167,
                    168, 169, 103, 163, 179, 164, 227, 305, 159, 172, 173, 212, 256, 279,
                ]
        case .aarch64:
            socket = 198
            socketPair = 199
            clone = 220
            setProcessors = 122
            forbidden =
                everywhere + [
                    97, 268, 40, 39, 41, 51, 117, 217, 218, 219, 280, 241, 282, 104, 294, 105, 273, 106, 264, 265, 224,
                    225,
                    142, 116, 89, 60, 170, 112, 266, 171, 18, 238, 239,
                ]
        }
    }
}
