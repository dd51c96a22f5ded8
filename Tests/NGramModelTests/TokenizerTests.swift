// The tokenizer splits where a reader would, and loses nothing.

import NGramModel
import Testing

struct TokenizerTests {
    let tokenizer = Tokenizer()

    @Test func `words, numbers and marks are tokens, and expected spaces are not`() {
        #expect(
            tokenizer.tokens(of: "Wait, it's 3.5 (or so).") == [
                "Wait", ",", "it's", "3.5", "(", "or", "so", ")", ".",
            ]
        )
        #expect(tokenizer.tokens(of: "a well-known fog\nlifts") == ["a", "well-known", "fog", "\n", "lifts"])
        #expect(tokenizer.tokens(of: "").isEmpty)
    }

    @Test func `quotation marks open and close in turn`() {
        #expect(tokenizer.tokens(of: "He said \"no\" twice.") == ["He", "said", "\"", "no", "\"", "twice", "."])
        #expect(
            tokenizer.text(of: ["He", "said", "\"", "no", ",", "\"", "and", "left", "."]) == "He said \"no,\" and left."
        )
    }

    @Test func `a missing space is a joint, and a space too many is a token`() {
        #expect(tokenizer.tokens(of: "a/b") == ["a", "", "/", "", "b"])
        #expect(tokenizer.tokens(of: "so  on ,") == ["so", " ", " ", "on", " ", ","])
    }

    @Test(arguments: [
        "", " ", "\n\n", "plain words", "  leading and trailing  ", "tabs\tand\r\nlines\n", "f(x)=[1, 2,3];",
        "\"quoted\" and \"again\"", "an \"open quote\nand the next \"line\"", "it's the dogs' bowl, isn't it?",
        "naïve café — ‘single’ and “double”", "👩‍🔬 brings 3,000.50 ¢oins…", "e\u{301}tude", "http://a.b/c?d=e&f#g",
        "User: hello\nWizard:", "a , b ; c", "100% of $5", "\u{0}\u{FFFD}\u{E000}",
    ])
    func `text goes through tokens and comes back`(text: String) {
        let back = tokenizer.text(of: tokenizer.tokens(of: text))
        #expect(Array(back.utf8) == Array(text.utf8))
    }

    @Test func `text of random marks, letters and spaces comes back`() {
        let alphabet = Array("ab1 .,\"'-()\n\t“”’éZ\r_%$…")
        var state: UInt64 = 1
        for _ in 0..<2_000 {
            var text = ""
            for _ in 0..<12 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                text.append(alphabet[Int(state >> 33) % alphabet.count])
            }
            #expect(tokenizer.text(of: tokenizer.tokens(of: text)) == text)
        }
    }

    @Test func `the whole library comes back`() {
        #expect(Samples.library.count > 50)
        for passage in Samples.library {
            #expect(tokenizer.text(of: tokenizer.tokens(of: passage)) == passage)
        }
    }

    @Test func `passages are split at lines of three hyphens`() {
        #expect(NGramModel.passages(in: "one\n\ntwo\n---\n\nthree\n---\n---\n") == ["one\n\ntwo", "three"])
    }
}
