// The codec against the golden vectors, which are made from the specification's tables.

import MeshProtocol
import Testing

@Suite struct `Golden vectors` {
    @Test(arguments: Verb.allCases) func `every good header decodes to its fields and encodes to its bytes`(
        verb: Verb
    ) throws {
        let file = try Repository.good(verb)
        #expect(file.verb == verb.name)
        #expect(file.code == verb.rawValue)
        #expect(file.vectors.count >= 2)
        for vector in file.vectors {
            let expected = try Header(verb, VectorFields(vector.fields))
            let decoded = try Header.decode(vector.bytes)
            #expect(decoded == expected, "\(verb.name): \(vector.name)")
            guard vector.canonical ?? true else { continue }
            #expect(expected.encoded() == vector.bytes, "\(verb.name): \(vector.name)")
            #expect(throws: Never.self, "\(verb.name): \(vector.name)") { try expected.fields.validate() }
        }
    }

    @Test func `every malformed header is refused with its field, offset and problem`() throws {
        let vectors = try Repository.bad()
        #expect(vectors.count > 500)
        for vector in vectors {
            let name = "\(vector.verb ?? "prefix"): \(vector.name)"
            do throws(DecodeError) {
                let header = try Header.decode(vector.bytes)
                Issue.record("\(name): decoded as \(header)")
            } catch {
                #expect(error.verb?.name == vector.verb, "\(name)")
                #expect(error.field.description == vector.field, "\(name)")
                #expect(error.offset == vector.offset, "\(name)")
                #expect(error.problem.kind == vector.problem, "\(name)")
                #expect(error.description.contains("\"\(vector.field)\" at byte \(vector.offset)"), "\(name)")
            }
        }
    }

    @Test func `the malformed headers show every problem`() throws {
        let kinds = Set(try Repository.bad().map(\.problem))
        #expect(
            kinds == [
                "truncated", "trailingBytes", "oversized", "unknownValue", "unknownFlags", "tooLong", "empty",
                "notUTF8", "malformed", "mustBeZero",
            ]
        )
    }

    @Test(arguments: Verb.allCases) func `a header cut anywhere is refused`(verb: Verb) throws {
        for vector in try Repository.good(verb).vectors where vector.canonical ?? true {
            let bytes = vector.bytes
            // The longest vectors hold thousands of bytes that are alike; cuts are tried at every byte of the rest.
            for count in stride(from: 0, to: bytes.count, by: bytes.count > 4096 ? 37 : 1) {
                #expect(throws: DecodeError.self) { try Header.decode(Array(bytes[0..<count])) }
            }
        }
    }

    @Test(arguments: Verb.allCases) func `a header read as another verb is refused`(verb: Verb) throws {
        let bytes = try #require(Repository.good(verb).vectors.first).bytes
        if verb != .ping {
            let error = #expect(throws: DecodeError.self) { try Ping.decode(bytes) }
            #expect(error?.field.description == "verb")
            #expect(error?.problem == .unknownValue(UInt64(verb.rawValue)))
        } else {
            #expect(throws: DecodeError.self) { try Pong.decode(bytes) }
        }
    }
}

extension DecodeError.Problem {
    /// The case's name, as the specification writes it.
    var kind: String {
        switch self {
        case .truncated: "truncated"
        case .trailingBytes: "trailingBytes"
        case .oversized: "oversized"
        case .unknownValue: "unknownValue"
        case .unknownFlags: "unknownFlags"
        case .tooLong: "tooLong"
        case .empty: "empty"
        case .notUTF8: "notUTF8"
        case .malformed: "malformed"
        case .mustBeZero: "mustBeZero"
        }
    }
}
