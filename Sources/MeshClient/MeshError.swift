// The one error of this room: how a call, a request or a session ended, and what to do about it.

public import MeshProtocol

/// How something on the mesh failed: what, where, why, and what to do next.
public struct MeshError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of failure.
    public var status: Status
    /// What happened, in a sentence.
    public var message: String
    /// What to do next; may be empty.
    public var hint: String
    /// Not before this long should it be tried again; nil when nothing was said.
    public var retryAfter: Duration?
    /// Retryable, outcome unknown, from the worker.
    public var flags: FailFlags
    /// The clock that ran out; `.none` when none did.
    public var clock: Clock
    /// Where the call was when it ended.
    public var phase: CallPhase
    /// Who failed it: a provider's name and version, or the broker; may be empty.
    public var origin: String
    /// What was asked for: `echo.say`, a topic, an endpoint; may be empty.
    public var subject: String
    /// What a worker sent along with its failure.
    public var details: Payload?

    /// Makes an error.
    public init(
        _ status: Status,
        _ message: String,
        hint: String = "",
        retryAfter: Duration? = nil,
        flags: FailFlags = [],
        clock: Clock = .none,
        phase: CallPhase = .none,
        origin: String = "",
        subject: String = "",
        details: Payload? = nil
    ) {
        self.status = status
        self.message = message
        self.hint = hint
        self.retryAfter = retryAfter
        self.flags = flags
        self.clock = clock
        self.phase = phase
        self.origin = origin
        self.subject = subject
        self.details = details
    }

    /// Whether the same call may be made again, after ``retryAfter``.
    public var isRetryable: Bool { flags.contains(.retryable) }
    /// Whether a worker may have done the work, or a part of it.
    public var isOutcomeUnknown: Bool { flags.contains(.outcomeUnknown) }
    /// Whether the worker's method failed; otherwise the mesh ended the call.
    public var isFromWorker: Bool { flags.contains(.fromWorker) }

    /// What failed, how, why, and what to do next, in one line.
    public var description: String {
        var text = subject.isEmpty ? "" : subject + ": "
        text += "\(status): \(message)"
        if clock != .none { text += " [clock \(clock), call was \(phase)]" }
        if !origin.isEmpty { text += " (from \(origin))" }
        if isOutcomeUnknown { text += " (the work may have been done)" }
        if let retryAfter { text += " (retry after \(retryAfter))" }
        if !hint.isEmpty {
            // A command keeps its small letter.
            let sentence = hint.hasPrefix("wiz ") ? hint : hint.prefix(1).uppercased() + hint.dropFirst()
            text += (text.hasSuffix(".") ? " " : ". ") + sentence
        }
        return text
    }

    /// The same error about something that is named.
    public func about(_ subject: String) -> MeshError {
        guard self.subject.isEmpty else { return self }
        var error = self
        error.subject = subject
        return error
    }
}

extension MeshError {
    /// Takes a FAIL.
    init(_ fail: Fail, body: [UInt8]?) {
        self.init(
            fail.status,
            fail.message,
            hint: fail.hint,
            retryAfter: Self.delay(fail.retryAfterMilliseconds),
            flags: fail.flags,
            clock: fail.clock,
            phase: fail.phase,
            origin: fail.origin,
            details: body.map { Payload($0, contentType: fail.contentType) }
        )
    }

    /// Takes a REJECT.
    init(_ reject: Reject) {
        self.init(
            reject.status,
            reject.message,
            retryAfter: Self.delay(reject.retryAfterMilliseconds),
            flags: reject.retryAfterMilliseconds > 0 ? .retryable : []
        )
    }

    /// What any error says when it has to go over the wire.
    static func carrying(_ error: any Error) -> MeshError {
        switch error {
        case let error as MeshError: error
        case is CancellationError: MeshError(.cancelled, "the handler was cancelled")
        default: MeshError(.internal, "the handler failed: \(error)")
        }
    }

    static func delay(_ milliseconds: UInt32) -> Duration? {
        milliseconds == 0 ? nil : .milliseconds(Int64(milliseconds))
    }

    /// The connection was closed from this side.
    static let closed = MeshError(
        .cancelled,
        "the connection was closed",
        hint: "Open a new one with MeshConnection.connect."
    )
}
