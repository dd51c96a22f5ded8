// A configuration text, read strictly: JSON by this module's own reader, YAML by Yams. Both become the same tree with
// places. What cannot be read at all is thrown by the initialiser; what is wrong but lets reading go on (a key given
// twice) is told by `decode` together with everything the decoder finds.

/// Bounds on a configuration text, so that no file can cost more than it is worth.
public struct ConfigLimits: Hashable, Sendable {
    /// The most bytes of text.
    public var bytes: Int
    /// The most lists and mappings inside each other.
    public var depth: Int

    /// Bounds; the defaults suit the mesh's own files: 1 MiB and 64 levels.
    public init(bytes: Int = 1 << 20, depth: Int = 64) {
        self.bytes = bytes
        self.depth = depth
    }
}

/// The language of a configuration text.
public enum ConfigFormat: Hashable, Sendable {
    /// JSON, exactly as in RFC 8259.
    case json
    /// YAML 1.2 with the core schema, without anchors, aliases and tags.
    case yaml

    /// JSON for a name that ends in `.json`, otherwise YAML.
    public init(fileName: String) {
        self = fileName.lowercased().hasSuffix(".json") ? .json : .yaml
    }
}

/// A configuration text as a tree that remembers places.
public struct ConfigDocument: Sendable {
    /// The name of the file, as it stands in problems.
    public let source: String
    /// The language it was read as.
    public let format: ConfigFormat
    /// The value of the whole text.
    public let root: ConfigNode
    /// What was wrong without stopping the reading, such as keys given twice; `decode` throws these too.
    public let problems: [ConfigProblem]

    /// Reads a text; the format follows from the source's name unless it is given.
    ///
    /// - Throws: what makes the text unreadable: too large, too deep, not JSON or YAML, anchors and aliases.
    public init(
        text: String,
        source: String,
        format: ConfigFormat? = nil,
        limits: ConfigLimits = ConfigLimits()
    ) throws(ConfigErrors) {
        self.source = source
        self.format = format ?? ConfigFormat(fileName: source)
        guard text.utf8.count <= limits.bytes else { throw oversize(text.utf8.count, source: source, limits: limits) }
        let collector = ProblemCollector(source: source)
        let body = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
        let root: ConfigNode?
        switch self.format {
        case .json:
            var reader = JSONReader(text: body, collector: collector, limits: limits)
            root = reader.document()
        case .yaml:
            let reader = YAMLReader(collector: collector, limits: limits)
            root = reader.document(body)
        }
        guard let root else {
            throw collector.errors ?? ConfigErrors(unreadable(source))
        }
        self.root = root
        self.problems = collector.problems
    }

    /// Reads bytes, which must be UTF-8.
    ///
    /// - Throws: what makes the bytes unreadable; a byte that is not UTF-8 is named with its place.
    public init(
        bytes: [UInt8],
        source: String,
        format: ConfigFormat? = nil,
        limits: ConfigLimits = ConfigLimits()
    ) throws(ConfigErrors) {
        guard bytes.count <= limits.bytes else { throw oversize(bytes.count, source: source, limits: limits) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            let place = firstInvalidByte(bytes)
            throw ConfigErrors(
                ConfigProblem(
                    source: source,
                    position: place.position,
                    pointer: "",
                    message: "the byte 0x\(String(place.byte, radix: 16, uppercase: true)) is not valid UTF-8 here",
                    expected: "a UTF-8 text"
                )
            )
        }
        try self.init(text: text, source: source, format: format, limits: limits)
    }

    /// Reads the tree into a value, and throws every problem at once if there is any.
    ///
    /// The closure goes on after a problem: the field that has one answers nil and the problem is kept. It may answer nil
    /// only if it found a problem.
    ///
    /// - Throws: all problems of the text and of the decoding.
    public func decode<Value>(_ read: (ConfigField) -> Value?) throws(ConfigErrors) -> Value {
        let collector = ProblemCollector(source: source, problems: problems)
        let value = read(
            ConfigField(state: .present(root), pointer: "", place: root.position, document: self, collector)
        )
        if let errors = collector.errors { throw errors }
        guard let value else { throw ConfigErrors(unreadable(source)) }
        return value
    }
}

private func unreadable(_ source: String) -> ConfigProblem {
    ConfigProblem(source: source, position: .start, pointer: "", message: "the text could not be read")
}

private func oversize(_ size: Int, source: String, limits: ConfigLimits) -> ConfigErrors {
    ConfigErrors(
        ConfigProblem(
            source: source,
            position: .start,
            pointer: "",
            message: "the file is too large: \(size) bytes",
            expected: "at most \(formatByteCount(limits.bytes))"
        )
    )
}

private func firstInvalidByte(_ bytes: [UInt8]) -> (byte: UInt8, position: ConfigPosition) {
    var low = 0
    var line = 1
    var column = 1
    while low < bytes.count {
        let first = bytes[low]
        let length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        let end = min(low + length, bytes.count)
        guard String(validating: bytes[low..<end], as: UTF8.self) != nil else { break }
        if first == 0x0A {
            line += 1
            column = 1
        } else {
            column += 1
        }
        low = end
    }
    return (low < bytes.count ? bytes[low] : 0, ConfigPosition(line: line, column: column))
}
