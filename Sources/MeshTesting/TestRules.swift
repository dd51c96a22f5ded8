// What the plugins of a test may do, as a mesh file that the test's broker reads.

import Synchronization
import WizPlugin

/// What a rule is about.
public enum TestAction: String, Sendable, Hashable {
    /// Calling methods.
    case call
    /// Providing services.
    case provide
    /// Publishing events.
    case publish
    /// Subscribing to events.
    case subscribe
}

/// The mesh file of a test.
final class TestRules: Sendable {
    private struct Entry: Encodable {
        var roles = ["plugin"]
        var permissions: [String]
    }

    private struct File: Encodable {
        var mesh = "test"
        var principals: [String: Entry] = [:]
        var rules: [[String: String]] = []

        mutating func add(_ rule: [String: String]) {
            if !rules.contains(rule) { rules.append(rule) }
        }
    }

    private let isStrict: Bool
    private let path: String
    private let file = Mutex(File())

    init(isStrict: Bool, path: String) {
        self.isStrict = isStrict
        self.path = path
    }

    /// Takes a plugin in: it may provide what its manifest declares, and in a mesh that is not strict use everything.
    func add(_ plugin: PluginInfo, permissions: [String]) {
        let isStrict = isStrict
        file.withLock { file in
            file.principals[plugin.name] = Entry(permissions: permissions)
            let tags = Set(plugin.capabilities + plugin.services.flatMap(\.capabilities)).map { "capability." + $0 }
            for service in Set(plugin.services.map(\.name) + [plugin.name] + tags).sorted() {
                file.add(["allow": plugin.name, "provide": service])
            }
            guard !isStrict else { return }
            for action in [TestAction.call, .provide, .publish, .subscribe] {
                file.add(["allow": plugin.name, action.rawValue: ">"])
            }
        }
    }

    func allow(_ plugin: String, _ action: TestAction, _ target: String) {
        file.withLock { file in
            // What a plugin needs while it starts is allowed before it runs.
            if plugin != "*", file.principals[plugin] == nil { file.principals[plugin] = Entry(permissions: []) }
            file.add(["allow": plugin, action.rawValue: target])
        }
    }

    /// Writes the file.
    ///
    /// - Returns: its path.
    func write() throws -> String {
        let text = try file.withLock { try Payload.json($0).text }
        guard TemporaryFolder.write(text + "\n", to: path) else { throw TestFailure("\(path) cannot be written") }
        return path
    }
}
