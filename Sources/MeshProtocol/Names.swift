// The grammar of names, topics and patterns (docs/PROTOCOL.md, "Names"). Pure.

/// Checks names against the specification's grammar.
public enum Names {
    /// True for the name of a service, plugin, capability or permission: lower-case words of letters and digits joined
    /// by `-`, `_` or `.`, beginning with a letter.
    public static func isName(_ text: some StringProtocol) -> Bool { isName(utf8: text.utf8) }

    /// True for a method's name: letters, digits, `-`, `_` and `.`, beginning with a letter.
    public static func isMethod(_ text: some StringProtocol) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, isLetter(first) else { return false }
        return bytes.count <= WireLimits.nameByteCount && bytes.allSatisfy { isWordByte($0) || $0 == UInt8(ascii: ".") }
    }

    static func isName(utf8 bytes: some Collection<UInt8>) -> Bool {
        guard let first = bytes.first, isLower(first), bytes.count <= WireLimits.nameByteCount else { return false }
        var afterJoint = false
        for byte in bytes {
            let isJoint = byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
            guard isJoint ? !afterJoint : isLower(byte) || isDigit(byte) else { return false }
            afterJoint = isJoint
        }
        return !afterJoint
    }

    static func isLower(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") }
    static func isLetter(_ byte: UInt8) -> Bool { isLower(byte | 0x20) && byte < 0x80 }
    static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
    static func isWordByte(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }
}

/// Checks topics and patterns, and matches one against the other.
public enum Topics {
    /// True for a topic: one or more words of letters, digits, `-` and `_`, joined by dots, at most 200 bytes.
    public static func isTopic(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !bytes.isEmpty, bytes.count <= WireLimits.topicByteCount else { return false }
        var wordIsEmpty = true
        for byte in bytes {
            if byte == UInt8(ascii: ".") {
                guard !wordIsEmpty else { return false }
                wordIsEmpty = true
            } else {
                guard Names.isWordByte(byte) else { return false }
                wordIsEmpty = false
            }
        }
        return !wordIsEmpty
    }

    /// True for a topic.
    public static func isTopic(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { isTopic(UnsafeRawBufferPointer($0)) }
    }

    /// True for a pattern: a topic in which any word may be `*`, and the last may be `>`.
    public static func isPattern(_ text: String) -> Bool {
        guard text.utf8.count <= WireLimits.topicByteCount else { return false }
        let words = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        for (index, word) in words.enumerated() {
            if word.elementsEqual("*".utf8) { continue }
            if word.elementsEqual(">".utf8), index == words.count - 1 { continue }
            guard !word.isEmpty, word.allSatisfy(Names.isWordByte) else { return false }
        }
        return true
    }

    /// True when a topic matches a pattern.
    ///
    /// Both must be well formed. `>` stands for one word or more.
    public static func matches(pattern: String, topic: String) -> Bool {
        var pattern = pattern.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)[...]
        var topic = topic.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)[...]
        while let word = pattern.popFirst() {
            if word.elementsEqual(">".utf8) { return !topic.isEmpty }
            guard let other = topic.popFirst() else { return false }
            guard word.elementsEqual("*".utf8) || word.elementsEqual(other) else { return false }
        }
        return topic.isEmpty
    }
}
