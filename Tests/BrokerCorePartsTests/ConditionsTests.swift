// The grammar of conditions and how values compare.

import MeshProtocol
import Testing

@testable import BrokerCore

@Suite struct ConditionsTests {
    private let attributes = [
        Attribute(name: "model", value: "tiny"), Attribute(name: "contextLength", value: "4096"),
        Attribute(name: "ratio", value: "0.5"), Attribute(name: "empty", value: ""),
        Attribute(name: "big", value: "9007199254740993"),
    ]

    @Test(arguments: [
        ("", true), ("   ", true), ("model=tiny", true), ("model=large", false), ("model!=large", true),
        ("model!=tiny", false), ("model=tiny;contextLength>=4096", true), ("model=tiny;contextLength>4096", false),
        ("contextLength=4096.0", true), ("contextLength<10000", true), ("contextLength<=4.096e3", true),
        ("contextLength>999", true), ("ratio>=0.50", true), ("ratio<1", true), ("model>4", false), ("model<4", false),
        ("model!=4", true), ("model<z", true), ("model>a", true), ("missing=1", false), ("missing!=1", true),
        ("missing<1", false), ("empty=", true), ("empty!=", false), (" model = tiny ; ratio < 1 ", true),
        ("big=9007199254740992", false), ("big>9007199254740992", true), ("model=nan", false),
        ("contextLength=0x1000", false),
    ])
    func `conditions hold or not`(text: String, holds: Bool) throws {
        #expect(try Conditions(text).matches(attributes) == holds)
    }

    @Test(arguments: [
        ("model", 5), ("model=tiny;", 11), (";", 0), ("=x", 0), ("a=1;;b=2", 4), ("a==1", 1), ("a=>1", 1), ("a!1", 1),
        ("a<", 2), ("a=1;b>= ", 8), ("a=1; b c", 7), ("ä=1", 0), ("a<>1", 1),
    ])
    func `a broken text is refused with the place`(text: String, offset: Int) {
        #expect {
            try Conditions(text)
        } throws: { error in
            (error as? ConditionsError)?.offset == offset
        }
    }

    @Test func `no text traps`() {
        var random = SeededGenerator(seed: 5)
        let alphabet = Array("a1.;=!<> -e+é\u{0}".unicodeScalars)
        for _ in 0..<5_000 {
            var text = ""
            for _ in 0..<Int.random(in: 0..<14, using: &random) {
                text.unicodeScalars.append(alphabet.randomElement(using: &random) ?? "a")
            }
            _ = (try? Conditions(text))?.matches([Attribute(name: "a", value: "1e"), Attribute(name: "e", value: "-")])
        }
    }

    @Test func `none are empty`() throws {
        #expect(try Conditions("").isEmpty)
        #expect(try !Conditions("a=1").isEmpty)
    }
}
