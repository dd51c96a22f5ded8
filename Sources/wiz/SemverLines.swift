// Many questions about versions at once: JSON lines in, JSON lines out, in the same order. Lines that are as simple as most
// are (two strings without escapes) are read here without a tree; the others go the long way, which also finds the words
// for what is wrong.

import ConfigDocument
import Glibc
import SemanticVersion

/// Answers `{"range":…,"version":…}` lines.
struct SemverLines {
    private var ranges: [String: Result<VersionRange, RangeError>] = [:]
    private var out: [UInt8] = []

    /// How many ranges are remembered before all are forgotten.
    private static let rangeCount = 4096

    /// Reads lines until the end and answers each.
    mutating func run(input: Int32, output: Int32) {
        var pending: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = read(input, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            pending += buffer[..<count]
            var start = 0
            while let end = pending[start...].firstIndex(of: 0x0A) {
                answer(pending[start..<end])
                start = end + 1
            }
            pending.removeFirst(start)
            guard flush(to: output) else { return }
        }
        if !pending.isEmpty { answer(pending[...]) }
        _ = flush(to: output)
    }

    /// The answer to one line; empty for an empty one.
    mutating func answer(line: String) -> String {
        out.removeAll(keepingCapacity: true)
        answer(Array(line.utf8)[...])
        defer { out.removeAll(keepingCapacity: true) }
        return String(decoding: out.last == 0x0A ? out.dropLast() : out[...], as: UTF8.self)
    }

    private mutating func answer(_ line: ArraySlice<UInt8>) {
        guard line.contains(where: { $0 != 0x20 && $0 != 0x0D && $0 != 0x09 }) else { return }
        if let (range, version) = SemverLines.simple(line) {
            decide(range, version)
        } else {
            decideSlowly(line)
        }
        out.append(0x0A)
    }

    private mutating func decide(_ rangeText: String, _ versionText: String) {
        let range: VersionRange
        switch self.range(rangeText) {
        case .success(let value): range = value
        case .failure(let error): return fail("\(error)")
        }
        do {
            let version = try SemanticVersion(versionText)
            out += range.contains(version) ? SemverLines.yes : SemverLines.no
        } catch {
            fail("\(error)")
        }
    }

    private static let yes = Array(#"{"satisfies":true}"#.utf8)
    private static let no = Array(#"{"satisfies":false}"#.utf8)

    private mutating func decideSlowly(_ line: ArraySlice<UInt8>) {
        do throws(ConfigErrors) {
            let document = try ConfigDocument(bytes: Array(line), source: "line", format: .json)
            let (range, version) = try document.decode { root -> (String, String)? in
                let fields = root.mapping(["range", "version"])
                let range = fields["range"].required().string()
                let version = fields["version"].required().string()
                guard let range, let version else { return nil }
                return (range, version)
            }
            decide(range, version)
        } catch {
            fail(error.problems.map(\.description).joined(separator: "; "))
        }
    }

    private mutating func range(_ text: String) -> Result<VersionRange, RangeError> {
        if let known = ranges[text] { return known }
        let result: Result<VersionRange, RangeError>
        do { result = .success(try VersionRange(text)) } catch { result = .failure(error) }
        if ranges.count >= SemverLines.rangeCount { ranges.removeAll(keepingCapacity: true) }
        ranges[text] = result
        return result
    }

    private mutating func fail(_ message: String) {
        out += #"{"error":"#.utf8
        out += JSON.string(message).json.utf8
        out.append(UInt8(ascii: "}"))
    }

    private mutating func flush(to descriptor: Int32) -> Bool {
        defer { out.removeAll(keepingCapacity: true) }
        return out.withUnsafeBytes { bytes in
            var rest = bytes
            while !rest.isEmpty {
                let count = write(descriptor, rest.baseAddress, rest.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
            return true
        }
    }

    /// Reads `{"range":"…","version":"…"}` in either order with strings of plain ASCII; nil for everything else.
    static func simple(_ line: ArraySlice<UInt8>) -> (range: String, version: String)? {
        line.withUnsafeBufferPointer { bytes in
            var cursor = LineCursor(bytes: bytes)
            guard cursor.take(UInt8(ascii: "{")), let first = cursor.entry(), cursor.take(UInt8(ascii: ",")),
                let second = cursor.entry(), cursor.take(UInt8(ascii: "}")), cursor.isAtEnd
            else { return nil }
            switch (first.isRange, second.isRange) {
            case (true, false): return (first.text, second.text)
            case (false, true): return (second.text, first.text)
            default: return nil
            }
        }
    }
}

private struct LineCursor {
    let bytes: UnsafeBufferPointer<UInt8>
    var index = 0

    init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    private static let range = Array("range".utf8)
    private static let version = Array("version".utf8)

    var isAtEnd: Bool {
        mutating get {
            skipSpaces()
            return index == bytes.count
        }
    }

    mutating func take(_ byte: UInt8) -> Bool {
        skipSpaces()
        guard index < bytes.count, bytes[index] == byte else { return false }
        index += 1
        return true
    }

    mutating func entry() -> (isRange: Bool, text: String)? {
        guard let key = string() else { return nil }
        let isRange = key.elementsEqual(Self.range)
        guard isRange || key.elementsEqual(Self.version), take(UInt8(ascii: ":")), let value = string() else {
            return nil
        }
        return (isRange, String(decoding: value, as: UTF8.self))
    }

    private mutating func string() -> Slice<UnsafeBufferPointer<UInt8>>? {
        guard take(UInt8(ascii: "\"")) else { return nil }
        let start = index
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                defer { index += 1 }
                return bytes[start..<index]
            }
            guard byte >= 0x20, byte < 0x80, byte != UInt8(ascii: "\\") else { return nil }
            index += 1
        }
        return nil
    }

    private mutating func skipSpaces() {
        while index < bytes.count, bytes[index] == 0x20 || bytes[index] == 0x09 || bytes[index] == 0x0D { index += 1 }
    }
}
