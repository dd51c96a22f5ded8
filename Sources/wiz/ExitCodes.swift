// What the exit codes of `wiz` mean, and which failure of a call gives which. Scripts depend on these numbers.

import ArgumentParser
import ConfigDocument
import MeshClient
import MeshProtocol

/// The exit codes of `wiz`.
enum WizExit: Int32, CaseIterable {
    case ok = 0
    case failed = 1
    case usage = 2
    case noBroker = 3
    case notFound = 4
    case permissionDenied = 5
    case deadline = 6
    case unavailable = 7
    case invalidArgument = 8
    case pluginFailed = 9
    case interrupted = 130

    /// What it means, for the help.
    var meaning: String {
        switch self {
        case .ok: "it went well"
        case .failed: "the call or the command failed in a way that has no code of its own"
        case .usage: "the command line is wrong"
        case .noBroker: "no broker answers at the endpoint"
        case .notFound: "no such service, version, method, session, call or file"
        case .permissionDenied: "the mesh does not allow it"
        case .deadline: "a clock of the call ran out"
        case .unavailable: "no worker can take it now, or the worker was lost; it may be tried again"
        case .invalidArgument: "the arguments, the mesh file or the manifest are wrong"
        case .pluginFailed: "a plugin could not be started, or a check of `wiz conformance` failed"
        case .interrupted: "Ctrl-C, before it was done"
        }
    }

    /// The codes as text for `--help`.
    static var table: String {
        "Exit codes:\n"
            + allCases.map { "  " + pad("\($0.rawValue)", to: 5) + $0.meaning }.joined(separator: "\n")
    }

    /// The code of a call's status.
    init(_ status: Status) {
        switch status {
        case .ok: self = .ok
        case .notFound, .unimplemented: self = .notFound
        case .permissionDenied, .unauthenticated: self = .permissionDenied
        case .deadlineExceeded: self = .deadline
        case .unavailable, .resourceExhausted: self = .unavailable
        case .invalidArgument, .outOfRange: self = .invalidArgument
        default: self = .failed
        }
    }
}

/// A failure that `wiz` tells: what happened, where and why, and what to type next.
struct CommandFailure: Error, CustomStringConvertible {
    let exit: WizExit
    let message: String
    let hint: String
    let details: [JSON.Entry]

    init(_ exit: WizExit, _ message: String, hint: String = "", details: [JSON.Entry] = []) {
        self.exit = exit
        self.message = message
        self.hint = hint
        self.details = details
    }

    /// A call's failure.
    init(_ error: MeshError, hint: String? = nil) {
        var message = error.subject.isEmpty ? "" : error.subject + ": "
        message += error.message
        if error.clock != .none { message += " (clock: \(error.clock), the call was \(error.phase))" }
        if !error.origin.isEmpty { message += " (from \(error.origin))" }
        if error.isOutcomeUnknown { message += " (the outcome is unknown: the work may have been done)" }
        var details: [JSON.Entry] = [.init(key: "status", value: .string("\(error.status)"))]
        if error.isOutcomeUnknown { details.append(.init(key: "outcomeUnknown", value: .boolean(true))) }
        if error.isRetryable { details.append(.init(key: "retryable", value: .boolean(true))) }
        if error.clock != .none { details.append(.init(key: "clock", value: .string("\(error.clock)"))) }
        if !error.origin.isEmpty { details.append(.init(key: "origin", value: .string(error.origin))) }
        if let retryAfter = error.retryAfter {
            message += "; try again after \(Units.text(retryAfter))"
            details.append(.init(key: "retryAfterMilliseconds", value: .integer(Units.milliseconds(retryAfter))))
        }
        self.init(
            WizExit(error.status),
            "\(error.status): \(message)",
            hint: hint ?? error.hint,
            details: details
        )
    }

    /// The user has ended it, and knows.
    static let interrupted = CommandFailure(.interrupted, "interrupted")

    var description: String { hint.isEmpty ? message : "\(message)\n\(hint)" }

    /// The failure as a JSON document.
    var json: JSON {
        .mapping([
            .init(
                key: "error",
                value: .mapping(
                    [
                        .init(key: "exit", value: .integer(Int64(exit.rawValue))),
                        .init(key: "message", value: .string(message)),
                        .init(key: "hint", value: .string(hint)),
                    ] + details
                )
            )
        ])
    }
}
