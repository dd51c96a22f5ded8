// A plugin that costs nobody else anything: its manifest cannot be used, so it is left out of what runs and told of.

public import ConfigDocument

/// A plugin that is left out, since its manifest cannot be used.
public struct LeftOutPlugin: Sendable, CustomStringConvertible {
    /// Its folder.
    public let folder: String
    /// What is wrong with its manifest.
    public let problems: ConfigErrors

    /// Tells of a plugin whose manifest cannot be used.
    public init(folder: String, problems: ConfigErrors) {
        self.folder = folder
        self.problems = problems
    }

    /// One sentence with the first problem.
    public var description: String {
        let first = problems.problems.first.map { "\($0)" } ?? "its manifest cannot be used"
        let count = problems.problems.count + problems.omitted - 1
        return "the plugin in \(folder) is left out: \(first)" + (count > 0 ? " (and \(count) more)" : "")
    }
}
