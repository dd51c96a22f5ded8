// How a process of a plugin is called everywhere: in tickets, in the broker's lists, in events and in the log.

/// One process of a plugin: `echo#1@3` is the first instance of the third generation of echo.
public struct InstanceLabel: Hashable, Sendable, CustomStringConvertible {
    /// The plugin's name in the mesh.
    public let plugin: String
    /// Counts the plugin's processes from 1; the lowest number that no other process of the generation has.
    public let number: Int
    /// Counts the plugin's generations from 1: each reload makes a new one.
    public let generation: Int

    /// Names a process.
    public init(plugin: String, number: Int, generation: Int) {
        self.plugin = plugin
        self.number = number
        self.generation = generation
    }

    /// Reads `plugin#number@generation`; nil when it is something else.
    public init?(_ text: some StringProtocol) {
        guard let hash = text.lastIndex(of: "#"), let at = text.lastIndex(of: "@"), hash < at, hash > text.startIndex,
            let number = Int(text[text.index(after: hash)..<at]), let generation = Int(text[text.index(after: at)...]),
            number > 0, generation > 0
        else { return nil }
        self.init(plugin: String(text[..<hash]), number: number, generation: generation)
    }

    /// `echo#1@3`.
    public var description: String { "\(plugin)#\(number)@\(generation)" }

    /// `echo#1`, for people who do not care for generations.
    public var short: String { "\(plugin)#\(number)" }
}
