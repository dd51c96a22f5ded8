// What `wiz new` makes: a template is a plugin that builds as it stands in templates/, written for the name "my-plugin"; making
// a plugin of it puts the author's words in place of the template's. Pure.

import ConfigDocument

/// A plugin to begin with.
struct Template: Sendable {
    /// Counts up when what is made changes, so that a plugin can be told from which one it was made (`x-template`).
    static let version = 1

    /// A file, by its path within the plugin's folder.
    struct File: Sendable, Hashable {
        var path: String
        var text: String

        init(_ path: String, _ text: String) {
            self.path = path
            self.text = text
        }
    }

    var name: String
    /// The description of the template as a plugin, which the author's replaces.
    var description: String
    /// What it is, for people who choose.
    var summary: String
    var files: [File]

    /// Finds a template.
    ///
    /// - Throws: that there is none of the name, with those that there are.
    static func named(_ name: String) throws(CommandFailure) -> Template {
        if let template = all.first(where: { $0.name == name }) { return template }
        throw CommandFailure(
            .usage,
            "there is no template \"\(clean(name))\"",
            hint: "Templates: " + all.map { "\($0.name) (\($0.summary))" }.joined(separator: "; ") + "."
        )
    }

    /// The files of a new plugin.
    func files(for names: PluginNames, description: String, package: WizmeshPackage) -> [File] {
        files.map { file in
            var path = file.path
            var text = file.text
            for (old, new) in names.replacements {
                path = path.replacingAll(old, with: new)
                text = text.replacingAll(old, with: new)
            }
            let isJSON = path.hasSuffix(".json")
            text = text.replacingAll(
                self.description,
                with: isJSON ? String(JSON.string(description).json.dropFirst().dropLast()) : description
            )
            if path == "Package.swift" {
                text = text.replacingAll(#".package(name: "wizmesh", path: "../..")"#, with: package.declaration)
            }
            return File(path, text)
        }
    }
}

/// Where the package that a plugin depends on comes from.
enum WizmeshPackage: Hashable, Sendable {
    /// A folder on this machine.
    case folder(String)
    /// A repository, and the version that the plugin asks for.
    case repository(url: String, version: String)

    /// The line of Package.swift.
    var declaration: String {
        switch self {
        case .folder(let path): ".package(name: \"wizmesh\", path: \(swiftLiteral(path)))"
        case .repository(let url, let version): ".package(url: \(swiftLiteral(url)), from: \(swiftLiteral(version)))"
        }
    }

    private func swiftLiteral(_ text: String) -> String {
        "\"" + text.replacingAll("\\", with: "\\\\").replacingAll("\"", with: "\\\"") + "\""
    }
}

extension String {
    /// The text with each occurrence of another replaced.
    func replacingAll(_ old: String, with new: String) -> String {
        guard !old.isEmpty else { return self }
        var out = ""
        var rest = self[...]
        while let range = rest.firstRange(of: old) {
            out += rest[..<range.lowerBound] + new
            rest = rest[range.upperBound...]
        }
        return out + rest
    }
}
