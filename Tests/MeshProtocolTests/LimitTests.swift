// What writers do with texts and lists over their limits.

import MeshProtocol
import Testing

@Suite struct `Limits of what is written` {
    @Test func `a sentence is cut at a character's end`() throws {
        for (text, expected) in [
            (String(repeating: "x", count: 3000), 2048), (String(repeating: "x", count: 2047) + "語", 2047),
            (String(repeating: "語", count: 1000), 2046), (String(repeating: "🧙", count: 513), 2048),
        ] {
            let bytes = Bye(reason: text).encoded()
            let reason = try Bye.decode(bytes).reason
            #expect(reason.utf8.count == expected)
            #expect(text.hasPrefix(reason))
        }
    }

    @Test func `a name over its limit is written whole, and refused by name`() {
        let call = CallHeader(
            id: WireID(rawValue: 1),
            service: String(repeating: "a", count: 97),
            method: "m"
        )
        let error = #expect(throws: DecodeError.self) { try call.validate() }
        #expect(error?.field.description == "service")
        #expect(error?.problem == .tooLong(count: 97, maximum: 96))
        #expect(throws: DecodeError.self) { try CallHeader(id: .session, service: "a", method: "m").validate() }
        #expect(throws: DecodeError.self) { try Hello(name: "").validate() }
        #expect(throws: Never.self) { try Hello(name: "a").validate() }
    }

    @Test(arguments: [65535, 65536, 65537, 200_000]) func `what a length cannot count makes no header`(
        count: Int
    ) throws {
        let id = try #require(RequestID(rawValue: 1))
        let long = Hello(name: String(repeating: "a", count: count))
        let many = Provide(
            id: id,
            service: "a",
            version: "1.0.0",
            methods: [],
            capabilities: [String](repeating: "", count: count)
        )
        for header in [long as any HeaderFields, many] {
            let error = #expect(throws: DecodeError.self) { try header.validate() }
            #expect(error?.problem.kind == "oversized")
        }
    }

    @Test func `a list over its limit is written whole, and refused by name`() throws {
        let id = try #require(RequestID(rawValue: 1))
        let provide = Provide(
            id: id,
            service: "a",
            version: "1.0.0",
            methods: [],
            attributes: [Attribute](repeating: Attribute(name: "a", value: ""), count: 65)
        )
        let error = #expect(throws: DecodeError.self) { try provide.validate() }
        #expect(error?.field.description == "attributes")
        #expect(error?.problem == .tooLong(count: 65, maximum: 64))
    }
}
