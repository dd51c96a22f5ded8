// What people type to make a call, as a request: SERVICE[@RANGE].METHOD, and JSON from an argument or standard input. Pure but
// for reading standard input.

import ConfigDocument
import Glibc
import MeshClient
import MeshProtocol
import SemanticVersion

/// `SERVICE[@RANGE].METHOD`; a slash may stand for the last dot where method names have dots.
struct MethodReference: Equatable {
    var name: String
    var range: String
    var method: String

    /// Reads a reference.
    ///
    /// - Throws: what is wrong, with what to type.
    init(_ text: String) throws(CommandFailure) {
        let name: Substring
        let rest: Substring
        if let at = text.firstIndex(of: "@") {
            name = text[..<at]
            rest = text[text.index(after: at)...]
        } else {
            name = ""
            rest = text[...]
        }
        let splits = Self.splits(rest)
        for (head, method) in splits where Names.isMethod(method) {
            if name.isEmpty, !text.contains("@"), Names.isName(head) {
                self = MethodReference(name: String(head), range: "", method: String(method))
                return
            }
            if Names.isName(name), (try? VersionRange(head)) != nil {
                self = MethodReference(name: String(name), range: String(head), method: String(method))
                return
            }
        }
        throw Self.problem(text, name: name, splits: splits)
    }

    private init(name: String, range: String, method: String) {
        self.name = name
        self.range = range
        self.method = method
    }

    /// Every way to split at a dot, the last first; a slash decides.
    private static func splits(_ text: Substring) -> [(Substring, Substring)] {
        if let slash = text.lastIndex(of: "/") { return [(text[..<slash], text[text.index(after: slash)...])] }
        return text.indices.reversed().filter { text[$0] == "." }.map { (text[..<$0], text[text.index(after: $0)...]) }
    }

    private static func problem(
        _ text: String,
        name: Substring,
        splits: [(Substring, Substring)]
    ) -> CommandFailure {
        let shape = "Type SERVICE.METHOD or SERVICE@RANGE.METHOD, such as echo.say or 'echo@^1.2.say'."
        guard let (head, method) = splits.first else {
            return CommandFailure(.usage, "\"\(text)\" names no method", hint: shape)
        }
        if !name.isEmpty || text.contains("@") {
            guard Names.isName(name) else {
                return CommandFailure(.usage, "\"\(name)\" is no service name", hint: shape)
            }
            do {
                _ = try VersionRange(head)
            } catch {
                return CommandFailure(.usage, "in \"\(text)\" the range is wrong: \(error)", hint: shape)
            }
        } else if !Names.isName(head) {
            return CommandFailure(
                .usage,
                "\"\(head)\" is no service name: names are lower-case words with digits, joined by - _ or .",
                hint: shape
            )
        }
        return CommandFailure(.usage, "\"\(method)\" is no method name", hint: shape)
    }
}

/// What goes with a call or an event.
enum PayloadArgument {
    /// Makes a payload of what was typed.
    ///
    /// - Parameters:
    ///   - text: The argument; nil: none, `-`: standard input.
    ///   - type: How the bytes are to be read.
    ///   - command: The command up to the argument, for the hint.
    /// - Returns: the payload.
    /// - Throws: that it is not JSON, with the JSON that was probably meant.
    static func payload(_ text: String?, as type: PayloadType, command: String) throws -> Payload {
        let bytes: [UInt8]
        switch text {
        case nil: bytes = type == .json ? Array("{}".utf8) : []
        case "-": bytes = readAll()
        case .some(let text): bytes = Array(text.utf8)
        }
        switch type {
        case .bytes: return Payload(bytes)
        case .text: return Payload(bytes, contentType: .text)
        case .json:
            let name = text == "-" ? "standard input" : "the argument"
            do {
                _ = try ConfigDocument(
                    bytes: bytes,
                    source: name,
                    format: .json,
                    limits: ConfigLimits(bytes: 64 << 20, depth: 256)
                )
            } catch {
                throw notJSON(String(decoding: bytes, as: UTF8.self), name, error, command)
            }
            return Payload(bytes, contentType: .json)
        }
    }

    private static func notJSON(
        _ text: String,
        _ name: String,
        _ error: ConfigErrors,
        _ command: String
    ) -> CommandFailure {
        let problem = error.problems.first
        let place = problem.map { " at column \($0.column)" + ($0.line > 1 ? " of line \($0.line)" : "") } ?? ""
        return CommandFailure(
            .usage,
            "\(name) is not JSON\(place): \(problem?.message ?? "it could not be read")",
            hint: "Type it as JSON: \(command) \(shellQuoted(repaired(text)))"
                + "\nOr send it as plain text: \(command) --type text \(shellQuoted(cut(text, to: 60)))"
        )
    }

    /// The JSON that was probably meant.
    static func repaired(_ text: String) -> String {
        let trimmed = text.drop { $0 == " " }
        guard let first = trimmed.first, first == "{" || first == "[" else {
            return JSON.string(cut(text, to: 60)).json
        }
        // An object whose quotes the shell took away: {text:hi} was {"text":"hi"}.
        var out = ""
        var word = ""
        func flush() {
            let bare = word.trimmingSpaces
            word = ""
            guard !bare.isEmpty else { return }
            let isValue = Double(bare) != nil || ["true", "false", "null"].contains(bare) || bare.hasPrefix("\"")
            out += isValue ? bare : JSON.string(bare.filter { $0 != "'" }).json
        }
        for character in trimmed {
            if "{}[]:,".contains(character) {
                flush()
                out.append(character)
            } else {
                word.append(character)
            }
        }
        flush()
        return (try? JSON(parsing: out)) != nil ? out : #"{"key":"value"}"#
    }

    /// Text in single quotes for a shell.
    static func shellQuoted(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    /// Everything from standard input.
    static func readAll() -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(STDIN_FILENO, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return all }
            all += buffer[..<count]
        }
    }
}

extension String {
    /// The text without spaces at its ends.
    fileprivate var trimmingSpaces: String {
        var text = self[...]
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
