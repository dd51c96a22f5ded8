// What `wiz conformance` finds out, for people and for programs. Pure.

import ConfigDocument

/// How a plugin did in one respect.
struct ConformanceResult: Sendable {
    enum Outcome: String, Sendable {
        case passed
        case failed
        /// It could not be tried, and why.
        case skipped
    }

    /// Which check.
    let check: ConformanceCheck
    var outcome: Outcome
    /// What was seen, in a sentence.
    var sentence: String
    /// What to do about a failure; may be empty.
    var advice: String
    var duration: Duration

    var json: JSON {
        .object([
            "check": .string(check.rawValue), "outcome": .string(outcome.rawValue),
            "milliseconds": .integer(Units.milliseconds(duration)), "sentence": .string(sentence),
            "advice": .string(advice),
        ])
    }

    func text(_ style: Style) -> String {
        let mark =
            switch outcome {
            case .passed: style.green("✓")
            case .failed: style.red("✗")
            case .skipped: style.yellow("-")
            }
        var text =
            "\(mark) \(pad(check.rawValue, to: 20)) \(pad(Units.text(duration), to: 9, right: true))  \(clean(sentence))\n"
        if outcome == .failed, !advice.isEmpty { text += "    " + style.cyan("→ ") + clean(advice) + "\n" }
        return text
    }
}

/// Everything that is looked at, in the order in which it is.
enum ConformanceCheck: String, Sendable, CaseIterable {
    case manifest
    case readyInTime = "ready-in-time"
    case registration
    case answers
    case unknownMethod = "unknown-method"
    case malformedInput = "malformed-input"
    case cancel
    case deadline
    case stop
    case lifecycle
    case brokerRestart = "broker-restart"
    case reloadUnderLoad = "reload-under-load"

    /// What it means, for the help.
    var meaning: String {
        switch self {
        case .manifest: "plugin.json is valid and its program is there"
        case .readyInTime: "it registers its services within lifecycle.initTimeoutMs"
        case .registration: "it registers what plugin.json declares: versions, methods, streams"
        case .answers: "its methods answer input made from their schemas"
        case .unknownMethod: "a method that it does not have is UNIMPLEMENTED or NOT_FOUND"
        case .malformedInput: "broken JSON, other content types, empty and full-sized payloads do not hurt it"
        case .cancel: "a call that is cancelled gives its place back in time"
        case .deadline: "so does a call whose deadline has passed"
        case .stop: "SIGTERM ends it with exit code 0 within its bound"
        case .lifecycle: "HELLO, services, ready; and at the end BYE, in this order"
        case .brokerRestart: "it registers again after the broker has restarted"
        case .reloadUnderLoad: "another process of it takes over under load without a lost call"
        }
    }
}

/// What a check ends with when it does not pass.
enum ConformanceEnd: Error {
    case failed(String, advice: String)
    case skipped(String)
}

/// The whole of a run.
struct ConformanceReport: Sendable {
    var plugin: String
    var version: String
    var results: [ConformanceResult]

    func count(_ outcome: ConformanceResult.Outcome) -> Int { results.count { $0.outcome == outcome } }

    var isGood: Bool { count(.failed) == 0 }

    var json: JSON {
        .object([
            "plugin": .string(plugin), "version": .string(version), "conforms": .boolean(isGood),
            "passed": .integer(Int64(count(.passed))), "failed": .integer(Int64(count(.failed))),
            "skipped": .integer(Int64(count(.skipped))), "checks": .list(results.map(\.json)),
        ])
    }

    func summary(_ style: Style) -> String {
        let words = "\(count(.passed)) passed, \(count(.failed)) failed, \(count(.skipped)) skipped"
        return
            (isGood ? style.green("\(plugin) \(version) conforms") : style.red("\(plugin) \(version) does not conform"))
            + ": \(words)\n"
    }
}
