// `wiz explain`: whether the mesh would allow something, which rule says so, and which lines would allow it.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Explain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell whether the mesh would allow something, and why.",
        discussion: """
            Examples:
              wiz explain midnight-theme ui.registerTheme
              wiz explain echo subscribe 'ui.>'

            Exit code 0 when it is allowed, 5 when it is not.
            """
    )

    enum Action: String, ExpressibleByArgument, CaseIterable {
        case call
        case provide
        case publish
        case subscribe
    }

    @Argument(help: "The principal who would do it: a plugin's name, or the name of a user.")
    var caller: String
    @Argument(
        help: ArgumentHelp(
            "SERVICE.METHOD; after call, provide, publish or subscribe: a method, a service, a topic or a pattern.",
            valueName: "[action] target"
        )
    )
    var words: [String]
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    private var target: String { words.last ?? "" }
    private var action: Action { words.count == 2 ? Action(rawValue: words[0]) ?? .call : .call }

    func validate() throws {
        guard words.count <= 2, words.count == 1 || Action(rawValue: words[0]) != nil else {
            throw ValidationError("type: wiz explain CALLER [call|provide|publish|subscribe] TARGET")
        }
    }

    func run() async throws {
        let arguments = JSON.object([
            "caller": .string(caller), "action": .string(action.rawValue), "target": .string(target),
        ])
        let answer = try await broker.withMesh { try await $0.ask("explain", arguments) }
        let isAllowed = answer["allowed"]?.boolean == true
        output.show(answer) { text(answer, isAllowed, $0.style) }
        if !isAllowed { throw ExitCode(WizExit.permissionDenied.rawValue) }
    }

    private func text(_ answer: JSON, _ isAllowed: Bool, _ style: Style) -> String {
        let verdict = isAllowed ? style.green("allowed") : style.red("denied")
        var text = "\(verdict)  \(style.bold(clean(caller))) \(action.rawValue) \(style.bold(clean(target)))\n"
        text += "  because " + clean(answer.text("reason")) + "\n"
        if let rule = answer["rule"]?.string { text += "  rule    " + clean(rule) + "\n" }
        if let origin = answer["origin"]?.string { text += "  at      " + clean(origin) + "\n" }
        let missing = answer.texts("missingPermissions")
        if !missing.isEmpty { text += "  missing " + clean(missing.joined(separator: ", ")) + "\n" }
        let grant = answer.texts("grant")
        if !isAllowed, !grant.isEmpty {
            text += style.cyan("  →") + " These lines in the mesh file would allow it (then `wiz reload`):\n"
            for line in grant { text += "      " + style.yellow(clean(line, keepingLines: false)) + "\n" }
        }
        return text
    }
}
