// Reads the golden vectors of Tests/Vectors/wire and makes headers of their fields. Touches the repository's files.

import Foundation
import MeshProtocol

/// A JSON value as the vectors use them.
enum JSON: Decodable, Sendable, Hashable {
    case null
    case number(UInt64)
    case text(String)
    case list([JSON])
    case object([String: JSON])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let number = try? container.decode(UInt64.self) {
            self = .number(number)
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let list = try? container.decode([JSON].self) {
            self = .list(list)
        } else {
            self = .object(try container.decode([String: JSON].self))
        }
    }
}

/// A header that decodes.
struct GoodVector: Decodable, Sendable {
    var name: String
    var hex: String
    var padding: Int?
    var canonical: Bool?
    var fields: JSON

    var bytes: [UInt8] { unhex(hex) + [UInt8](repeating: 0, count: padding ?? 0) }
}

/// All vectors of a verb.
struct VectorFile: Decodable, Sendable, CustomStringConvertible {
    var verb: String
    var code: UInt8
    var vectors: [GoodVector]

    var description: String { verb }
}

/// A header that does not decode, and why.
struct BadVector: Decodable, Sendable {
    var name: String
    var hex: String
    var padding: Int?
    var verb: String?
    var field: String
    var offset: Int
    var problem: String

    var bytes: [UInt8] { unhex(hex) + [UInt8](repeating: 0, count: padding ?? 0) }
}

/// The repository's files that tests read.
enum Repository {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func good(_ verb: Verb) throws -> VectorFile {
        try decode("\(verb.name.lowercased()).json")
    }

    static func bad() throws -> [BadVector] {
        struct File: Decodable {
            var vectors: [BadVector]
        }
        return try decode("malformed.json", as: File.self).vectors
    }

    static func specification() throws -> String {
        try String(contentsOf: root.appending(path: "docs/PROTOCOL.md"), encoding: .utf8)
    }

    private static func decode<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws -> Value {
        let data = try Data(contentsOf: root.appending(path: "Tests/Vectors/wire/\(name)"))
        return try JSONDecoder().decode(type, from: data)
    }
}

/// The bytes that hexadecimal digits stand for; blanks are left out.
func unhex(_ text: String) -> [UInt8] {
    let digits = text.utf8.compactMap { byte in Character(UnicodeScalar(byte)).hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// Why a vector's fields do not make a header.
struct VectorError: Error {
    var key: String
}

/// The fields of a vector, by name.
struct VectorFields {
    var values: [String: JSON]

    init(_ json: JSON) throws {
        guard case .object(let values) = json else { throw VectorError(key: "fields") }
        self.values = values
    }

    func number<Value: FixedWidthInteger>(_ key: String, as type: Value.Type = Value.self) throws -> Value {
        guard case .number(let number) = values[key] else { throw VectorError(key: key) }
        return Value(number)
    }

    /// A number of 64 bits, in decimal text.
    func long(_ key: String) throws -> UInt64 {
        guard case .text(let text) = values[key], let number = UInt64(text) else { throw VectorError(key: key) }
        return number
    }

    func text(_ key: String) throws -> String {
        guard case .text(let text) = values[key] else { throw VectorError(key: key) }
        return text
    }

    func texts(_ key: String) throws -> [String] {
        guard case .list(let list) = values[key] else { throw VectorError(key: key) }
        return try list.map { element in
            guard case .text(let text) = element else { throw VectorError(key: key) }
            return text
        }
    }

    func list(_ key: String) throws -> [VectorFields] {
        guard case .list(let list) = values[key] else { throw VectorError(key: key) }
        return try list.map { try VectorFields($0) }
    }

    func flags<Flags: OptionSet>(_ names: [String: Flags]) throws -> Flags where Flags.Element == Flags {
        try texts("flags").reduce(into: []) { flags, name in
            guard let flag = names[name] else { throw VectorError(key: "flags.\(name)") }
            flags.insert(flag)
        }
    }

    var id: WireID { get throws { WireID(rawValue: try long("id")) } }
    var request: RequestID {
        get throws {
            guard let request = RequestID(try id) else { throw VectorError(key: "id") }
            return request
        }
    }
    var status: Status { get throws { Status(rawValue: try number("status")) } }
    var contentType: ContentType { get throws { ContentType(rawValue: try number("contentType")) } }
    var credit: Credit {
        get throws { Credit(messages: try number("creditMessages"), bytes: try number("creditBytes")) }
    }

    func choice<Value: RawRepresentable>(_ key: String) throws -> Value where Value.RawValue == UInt8 {
        guard let value = Value(rawValue: try number(key)) else { throw VectorError(key: key) }
        return value
    }
}
