// The names that follow from a plugin's name: of its Swift type, its module, its title. Refuses names with which the plugin
// would not build. Pure.

import ConfigDocument
import Manifest

/// A new plugin's names.
struct PluginNames: Hashable, Sendable {
    /// The plugin's own: `night-owl`.
    let plugin: String
    /// Its Swift type: `NightOwl`.
    let type: String
    /// For people: `Night Owl`.
    let title: String

    /// Its Swift module: `night_owl`.
    var module: String { plugin.replacingAll("-", with: "_") }

    /// Takes a name.
    ///
    /// - Throws: why it will not do, with one that would.
    init(_ name: String) throws(CommandFailure) {
        if let problem = Self.problem(with: name) {
            throw CommandFailure(.usage, problem.message, hint: problem.expected.map { "Type \($0)." } ?? "")
        }
        guard !Self.isTaken(name) else {
            throw CommandFailure(
                .usage,
                "a plugin cannot be called \"\(name)\": Swift or the package wizmesh has that name already",
                hint: "Type another, such as my-\(name)."
            )
        }
        plugin = name
        let words = name.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }
        title = words.joined(separator: " ")
        let joined = words.joined()
        type = Self.typeNames.contains(joined) ? joined + "Plugin" : joined
    }

    /// What the template's words become, longer ones first where one holds another.
    var replacements: [(old: String, new: String)] {
        [("my_plugin", module), ("MyPlugin", type), ("My Plugin", title), ("my-plugin", plugin)]
    }

    /// What is wrong with a name as a plugin's, by the one validator that there is.
    private static func problem(with name: String) -> (message: String, expected: String?)? {
        let manifest = JSON.object([
            "name": .string(name), "version": .string("0.1.0"), "main": .string(".build/debug/main"),
        ])
        do {
            _ = try PluginManifest.load(text: manifest.json)
            return nil
        } catch {
            guard let problem = error.problems.first else { return ("the name is not valid", nil) }
            return (problem.message, problem.suggestion ?? problem.expected)
        }
    }

    /// Whether a package or a module of the name stands in the way.
    private static func isTaken(_ name: String) -> Bool { taken.contains(name) || name.hasPrefix("swift-") }

    private static let taken: Set<String> = Set(
        [
            "echo ui ngram-llm midnight-theme filesystem-access rogue-plugin wiz wizmesh wizmesh-broker wizmesh-launch",
            "wiz-plugin test test-plugin plugin swift main yams hdrhistogram-swift",
            "actor any as associatedtype async await break case catch class consuming continue default defer deinit do else",
            "enum extension fallthrough false fileprivate for func guard if import in init inout internal is let mutating",
            "nil open operator package precedencegroup private protocol public repeat rethrows return self some static struct",
            "subscript super switch throw throws true try typealias var where while",
        ].flatMap { $0.split(separator: " ").map(String.init) }
    )

    /// Types that the plugin's own would hide or be mistaken for.
    private static let typeNames: Set<String> = Set(
        [
            "Accept Any Array Async Attribute Band Bool Bye Call Cancel Capacity Character Chunk Clock Codable Credit Data Date",
            "Decodable Decoder Dictionary Double Drain Duration Ending Encodable Encoder End Error Event Fail Float Greeter Header",
            "Hello Int Keys Logger Logging Main Method Model Names Never Nothing Offer Optional Payload Person Ping Plugin Pong",
            "Position Problem Prompt Provide Publish Range Refuse Registration Reject Reply Result Self Sendable Sequence Service",
            "Set Status String Subscribe Subscription Substring Suite Tag Task Test Testing Theme Topics Trait Type Value Verb Void",
            "Welcome Withdraw",
        ].flatMap { $0.split(separator: " ").map(String.init) }
    )
}
