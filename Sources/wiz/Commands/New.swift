// `wiz new`: makes a plugin that builds, passes its test and runs. Also the program `create-project-wiz-plugin`.

import ArgumentParser
import ConfigDocument
import Glibc
import MeshProtocol

/// What both ways to make a plugin take.
struct NewOptions: ParsableArguments {
    @Argument(help: "The plugin's name: lower-case words joined by \"-\".")
    var name: String?
    @Option(name: .shortAndLong, help: "What to begin with: \(Template.all.map(\.name).joined(separator: ", ")).")
    var template: String?
    @Option(name: .shortAndLong, help: "One sentence about it.")
    var description: String?
    @Option(help: "Where to make it. Default: a folder of its name, here.", completion: .directory)
    var folder: String?
    @Option(
        help: ArgumentHelp(
            "The folder of the package wizmesh. Default: the one that this program was built from.",
            valueName: "folder"
        ),
        completion: .directory
    )
    var pathToWizmesh: String?
    @Option(help: ArgumentHelp("The repository of the package wizmesh, in place of a folder.", valueName: "url"))
    var wizmeshURL: String?
    @Option(help: ArgumentHelp("The least version of it, with --wizmesh-url.", valueName: "version"))
    var wizmeshVersion = WizmeshVersion.current
    @Flag(name: .shortAndLong, help: "Ask nothing, also on a terminal: take the defaults.")
    var yes = false
    @Flag(help: "Tell what would be made, and make nothing.")
    var dryRun = false
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if pathToWizmesh != nil, wizmeshURL != nil {
            throw ValidationError("name a folder or a repository of wizmesh, not both")
        }
    }

    func make() throws {
        let scaffold = try scaffold()
        if dryRun { try scaffold.checkPlace() } else { try scaffold.make() }
        let document = JSON.object([
            "name": .string(scaffold.names.plugin), "template": .string(scaffold.template.name),
            "templateVersion": .integer(Int64(Template.version)), "folder": .string(scaffold.folder),
            "files": .list(scaffold.files.map { .string($0.path) }), "made": .boolean(!dryRun),
        ])
        output.show(document) { text(scaffold, $0.style) }
    }

    private func text(_ scaffold: Scaffold, _ style: Style) -> String {
        let files = scaffold.files.map { "    " + $0.path + "\n" }.joined()
        if dryRun { return "would make \(scaffold.folder):\n" + files }
        return style.green("✓") + " made \(scaffold.folder) from the template \(scaffold.template.name):\n"
            + style.dim(files)
            + "  Next:\n    cd \(folder ?? scaffold.names.plugin)\n    swift test\n    wiz dev\n"
    }

    private func scaffold() throws -> Scaffold {
        let asks = !yes && !output.json && isatty(STDIN_FILENO) == 1 && Terminal.errors.isTerminal
        var name = name
        if name == nil, asks { name = try Self.ask("Name", or: "my-plugin") }
        guard let name else {
            throw CommandFailure(.usage, "a plugin needs a name", hint: "Type one: wiz new my-plugin.")
        }
        let names = try PluginNames(name)
        let template = try Template.named(try choice(asks))
        var sentence = description
        if sentence == nil, asks { sentence = try Self.ask("Description", or: template.description) }
        return Scaffold(
            template: template,
            names: names,
            description: try Self.checked(sentence ?? template.description),
            folder: absolutePath(folder ?? names.plugin),
            package: try package()
        )
    }

    private func choice(_ asks: Bool) throws -> String {
        if let template { return template }
        guard asks else { return Template.all.first?.name ?? "" }
        for template in Template.all { note("  \(pad(template.name, to: 10)) \(template.summary)") }
        return try Self.ask("Template", or: Template.all.first?.name ?? "")
    }

    private func package() throws(CommandFailure) -> WizmeshPackage {
        if let wizmeshURL { return .repository(url: wizmeshURL, version: wizmeshVersion) }
        if let pathToWizmesh {
            let path = absolutePath(pathToWizmesh)
            guard WizmeshPackage.isPackage(path) else {
                throw CommandFailure(.notFound, "\(clean(path)) does not hold the package wizmesh")
            }
            return .folder(path)
        }
        if let own = WizmeshPackage.ofThisProgram() { return own }
        throw CommandFailure(
            .notFound,
            "the package wizmesh, on which the plugin depends, does not lie where this program was built",
            hint: "Name it: --path-to-wizmesh FOLDER, or --wizmesh-url URL."
        )
    }

    private static func checked(_ sentence: String) throws(CommandFailure) -> String {
        guard clean(sentence) == sentence, sentence.utf8.count <= 2_048, !sentence.isEmpty else {
            throw CommandFailure(.usage, "a description is one line of at most 2048 bytes")
        }
        return sentence
    }

    private static func ask(_ what: String, or suggestion: String) throws -> String {
        Terminal.errors.write("\(what) [\(suggestion)]: ")
        guard let line = readLine() else { throw CommandFailure(.usage, "the input ended before everything was asked") }
        let words = line.split(separator: " ", omittingEmptySubsequences: true)
        return words.isEmpty ? suggestion : words.joined(separator: " ")
    }
}

struct New: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a new plugin.",
        discussion: """
            Examples:
              wiz new night-owl
              wiz new night-owl --template llm --description "Answers at night."
              wiz new night-owl --dry-run

            Templates:
            \(Template.all.map { "  " + pad($0.name, to: 10) + " " + $0.summary }.joined(separator: "\n"))

            What it makes builds, its test passes, and `wiz dev` runs it. What a flag does not say is asked for on a terminal, and
            has its default elsewhere. Nothing is overwritten.
            """
    )

    @OptionGroup var options: NewOptions

    func run() async throws { try options.make() }
}

/// The same under the name of a program of its own, a link to `wiz`.
struct CreatePlugin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create-project-wiz-plugin",
        abstract: New.configuration.abstract,
        discussion: New.configuration.discussion.replacingAll("wiz new", with: "create-project-wiz-plugin"),
        version: WizmeshVersion.current
    )

    @OptionGroup var options: NewOptions

    func run() async throws { try options.make() }

    /// Whether this process was started under that name.
    static var isMeant: Bool {
        CommandLine.arguments.first?.split(separator: "/").last == Substring(configuration.commandName ?? "")
    }
}
