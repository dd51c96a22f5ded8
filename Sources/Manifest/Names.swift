// The grammar of names in a manifest: the same as on the wire (docs/PROTOCOL.md, "Names"), and a stricter one for plugins,
// whose names also become file names and socket paths. Also the versions and ranges, as fields. Pure.

internal import ConfigDocument
internal import SemanticVersion

enum ManifestNames {
    /// A plugin's name is part of a socket's path, which has little room.
    static let pluginByteCount = 48
    static let byteCount = 96

    static let pluginPattern = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
    static let namePattern = "^[a-z][a-z0-9]*([._-][a-z0-9]+)*$"
    static let methodPattern = "^[A-Za-z][A-Za-z0-9._-]*$"

    static func isPlugin(_ text: String) -> Bool {
        text.utf8.count <= pluginByteCount && isWords(text, joints: "-")
    }

    static func isName(_ text: String) -> Bool {
        text.utf8.count <= byteCount && isWords(text, joints: "-_.")
    }

    static func isMethod(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLower(first | 0x20), text.utf8.count <= byteCount else { return false }
        return text.utf8.allSatisfy { isLower($0 | 0x20) || isDigit($0) || "-_.".utf8.contains($0) }
    }

    /// The text as a plugin's name, if something is left of it.
    static func pluginSuggestion(for text: String) -> String? { suggestion(for: text, isPlugin) }

    static func nameSuggestion(for text: String) -> String? { suggestion(for: text, isName) }

    private static func suggestion(for text: String, _ isGood: (String) -> Bool) -> String? {
        if isGood(text.lowercased()) { return text.lowercased() }
        var words: [String] = []
        var word = ""
        var previous: Character = " "
        for character in text {
            let isWordCharacter = character.isASCII && (character.isLetter || character.isNumber)
            if !isWordCharacter || (character.isUppercase && (previous.isLowercase || previous.isNumber)) {
                if !word.isEmpty { words.append(word) }
                word = ""
            }
            if isWordCharacter { word += character.lowercased() }
            previous = character
        }
        if !word.isEmpty { words.append(word) }
        let name = words.joined(separator: "-")
        return isGood(name) ? name : nil
    }

    private static func isWords(_ text: String, joints: String) -> Bool {
        guard let first = text.utf8.first, isLower(first) else { return false }
        var afterJoint = false
        for byte in text.utf8 {
            let isJoint = joints.utf8.contains(byte)
            guard isJoint ? !afterJoint : isLower(byte) || isDigit(byte) else { return false }
            afterJoint = isJoint
        }
        return !afterJoint
    }

    private static func isLower(_ byte: UInt8) -> Bool { byte >= 0x61 && byte <= 0x7A }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
}

extension ConfigField {
    /// The name of a service, capability, permission or attribute.
    func name(_ what: String) -> String? { string().flatMap { checkedName($0, what) } }

    /// The text if it is such a name; otherwise the problem is noted.
    func checkedName(_ text: String, _ what: String) -> String? {
        if ManifestNames.isName(text) { return text }
        report(
            "\(what) \(excerpt(text)) is not valid",
            expected: "lower-case words of letters and digits joined by \"-\", \"_\" or \".\", at most "
                + "\(ManifestNames.byteCount) characters",
            suggestion: ManifestNames.nameSuggestion(for: text)
        )
        return nil
    }

    func pluginName() -> String? {
        guard let text = string() else { return nil }
        if ManifestNames.isPlugin(text) { return text }
        report(
            "name \(excerpt(text)) is not valid",
            expected: "lower-case words of letters and digits joined by \"-\", at most "
                + "\(ManifestNames.pluginByteCount) characters",
            suggestion: ManifestNames.pluginSuggestion(for: text)
        )
        return nil
    }

    /// A method's name, of a field that holds a key.
    func methodName() -> String? {
        guard let text = string() else { return nil }
        if ManifestNames.isMethod(text) { return text }
        report(
            "method name \(excerpt(text)) is not valid",
            expected:
                "a letter, then letters, digits, \"-\", \"_\" and \".\", at most \(ManifestNames.byteCount) characters",
            suggestion: ManifestNames.nameSuggestion(for: text)
        )
        return nil
    }

    /// A version, written without decoration.
    func version() -> SemanticVersion? {
        guard let text = string() else { return nil }
        do throws(VersionError) {
            let version = try SemanticVersion(text)
            if version.description == text { return version }
            report(
                "version \(excerpt(text)) has something around it",
                expected: "a version such as \"1.2.3\"",
                suggestion: version.description
            )
        } catch {
            report(
                "version \(excerpt(text)) is not valid: \(error.problem.explanation)",
                expected: "a version such as \"1.2.3\"",
                suggestion: error.suggestion
            )
        }
        return nil
    }

    func range() -> VersionRange? { string().flatMap(checkedRange) }

    /// The text as a range; otherwise the problem is noted.
    func checkedRange(_ text: String) -> VersionRange? {
        do throws(RangeError) {
            return try VersionRange(text)
        } catch {
            report(
                "range \(excerpt(text)) is not valid: \(error.problem.explanation)",
                suggestion: error.suggestion
            )
            return nil
        }
    }
}

/// A text in quotes for a message, cut short and printable.
func excerpt(_ text: String) -> String {
    ConfigValue.string(text.count <= 80 ? text : String(text.prefix(77)) + "…").json
}
