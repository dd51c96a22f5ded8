// The grammar of names, topics and patterns, and what matches what.

import MeshProtocol
import Testing

@Suite struct `Names, topics and patterns` {
    @Test(arguments: [
        "a", "echo", "ngram-llm", "text_generation", "ui.theme", "a1", "a-1.b_2", String(repeating: "a", count: 96),
    ]) func `a name`(text: String) {
        #expect(Names.isName(text))
        #expect(Names.isMethod(text))
    }

    @Test(arguments: [
        "", "A", "1a", "-a", "a-", "a.", "a--b", "a.-b", "_a", "a b", "é", "a/b", "a@b", "[", "`", "{", "\u{0}",
        String(repeating: "a", count: 97), "aé",
    ]) func `no name`(text: String) {
        #expect(!Names.isName(text))
    }

    @Test(arguments: ["a", "Z", "registerTheme", "a..b", "a-", "x_1", "A.b", String(repeating: "Z", count: 96)])
    func `a method`(text: String) {
        #expect(Names.isMethod(text))
    }

    @Test(arguments: [
        "", "1", "-", "_a", ".", "a b", "é", "a:b", "@", "[a", "`a", "{a", String(repeating: "Z", count: 97),
    ])
    func `no method`(text: String) {
        #expect(!Names.isMethod(text))
    }

    @Test func `exactly the ASCII letters begin a method's name`() {
        for scalar in (0 as UInt32)..<0x200 {
            guard let character = UnicodeScalar(scalar) else { continue }
            let isLetter = (0x41...0x5a).contains(scalar) || (0x61...0x7a).contains(scalar)
            #expect(Names.isMethod(String(Character(character))) == isLetter, "U+\(String(scalar, radix: 16))")
        }
    }

    @Test(arguments: ["a", "A", "1", "-", "_", "mesh.plugin.started", "a.b.c.d", String(repeating: "t", count: 200)])
    func `a topic`(text: String) {
        #expect(Topics.isTopic(text))
        #expect(Topics.isPattern(text))
        #expect(Topics.matches(pattern: text, topic: text))
        #expect(Topics.matches(pattern: ">", topic: text))
    }

    @Test(arguments: [
        "", ".", "a.", ".a", "a..b", "a b", "é", "*", ">", "a.*", "a/b", String(repeating: "t", count: 201),
    ])
    func `no topic`(text: String) {
        #expect(!Topics.isTopic(text))
    }

    @Test(arguments: ["*", ">", "a.*", "*.a", "a.>", "*.>", "*.*", "a.*.b.>"]) func `a pattern`(text: String) {
        #expect(Topics.isPattern(text))
    }

    @Test(arguments: [
        "", ".", "a.", ".>", ">.a", "a.>.b", "a*", "*a", "a>", "**", ">>", "a..>", "é", "a.é",
        String(repeating: "t", count: 199) + ".>",
    ]) func `no pattern`(text: String) {
        #expect(!Topics.isPattern(text))
    }

    @Test(arguments: [
        ("a", "a", true), ("a", "b", false), ("a", "A", false), ("a", "a.b", false), ("a.b", "a", false),
        ("*", "a", true), ("*", "a.b", false), ("a.*", "a.b", true), ("a.*", "a", false), ("a.*", "a.b.c", false),
        ("*.b", "a.b", true), ("*.b", "a.c", false), ("a.*.c", "a.b.c", true), ("a.*.c", "a.b.d", false),
        (">", "a", true), (">", "a.b.c", true), ("a.>", "a", false), ("a.>", "a.b", true), ("a.>", "a.b.c", true),
        ("a.>", "b.c", false), ("*.>", "a", false), ("*.>", "a.b", true), ("ab", "a", false), ("a", "ab", false),
    ]) func `a pattern matches a topic word by word`(pattern: String, topic: String, matches: Bool) {
        #expect(Topics.matches(pattern: pattern, topic: topic) == matches)
    }
}
