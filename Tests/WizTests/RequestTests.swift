// What people type, as requests; and what they are told when it is wrong.

import ConfigDocument
import MeshClient
import MeshProtocol
import Testing

@testable import wiz

struct RequestTests {
    @Test(arguments: [
        ("echo.say", "echo", "", "say"),
        ("ui.registerTheme", "ui", "", "registerTheme"),
        ("acme.tools.run", "acme.tools", "", "run"),
        ("echo@^1.2.say", "echo", "^1.2", "say"),
        ("echo@1.2.3.say", "echo", "1.2.3", "say"),
        ("echo@1.x.say", "echo", "1.x", "say"),
        ("echo@1.0.0-beta.x.say", "echo", "1.0.0-beta.x", "say"),
        ("echo@>=1.2.0 <2.0.0.say", "echo", ">=1.2.0 <2.0.0", "say"),
        ("echo@^1/a.b", "echo", "^1", "a.b"),
        ("acme.tools/a.b", "acme.tools", "", "a.b"),
        ("echo@*.say", "echo", "*", "say"),
    ])
    func `a method is named by service, range and method`(
        _ text: String,
        _ name: String,
        _ range: String,
        _ method: String
    ) throws {
        let reference = try MethodReference(text)
        #expect(reference.name == name)
        #expect(reference.range == range)
        #expect(reference.method == method)
    }

    @Test(arguments: ["echo", "Echo.say", "echo.", ".say", "echo@^^1.say", "@1.say", "echo@1.2.3", ""])
    func `what names no method is a usage error with the shape to type`(_ text: String) {
        let failure = #expect(throws: CommandFailure.self) { try MethodReference(text) }
        #expect(failure?.exit == .usage)
        #expect(failure?.hint.contains("SERVICE.METHOD") == true)
    }

    @Test func `a word that is not JSON is told with its quoting`() {
        let failure = #expect(throws: CommandFailure.self) {
            try PayloadArgument.payload("hello", as: .json, command: "wiz call echo.say")
        }
        #expect(failure?.exit == .usage)
        #expect(failure?.hint.contains(#"wiz call echo.say '"hello"'"#) == true)
    }

    @Test func `an object that lost its quotes to the shell is given them back`() {
        #expect(PayloadArgument.repaired("{text:hi there}") == #"{"text":"hi there"}"#)
        #expect(PayloadArgument.repaired("{a:1, b:true}") == #"{"a":1,"b":true}"#)
        #expect(PayloadArgument.repaired("[a,b]") == #"["a","b"]"#)
    }

    @Test func `no payload is an empty object, and text needs no quotes`() throws {
        #expect(try PayloadArgument.payload(nil, as: .json, command: "") == .json(text: "{}"))
        #expect(try PayloadArgument.payload("hello", as: .text, command: "") == .text("hello"))
    }

    @Test func `a text is quoted for the shell`() { #expect(PayloadArgument.shellQuoted("it's") == #"'it'\''s'"#) }

    @Test(arguments: [
        (Status.notFound, WizExit.notFound), (.unimplemented, .notFound), (.permissionDenied, .permissionDenied),
        (.unauthenticated, .permissionDenied), (.deadlineExceeded, .deadline), (.unavailable, .unavailable),
        (.resourceExhausted, .unavailable), (.invalidArgument, .invalidArgument), (.internal, .failed),
        (.cancelled, .failed),
    ])
    func `each status has its exit code`(_ status: Status, _ exit: WizExit) { #expect(WizExit(status) == exit) }

    @Test func `a failure in JSON carries status, hint and exit code`() {
        let error = MeshError(.notFound, "no such service", hint: "see wiz services", subject: "eco.say")
        let json = CommandFailure(error).json["error"]
        #expect(json?.text("message") == "NOT_FOUND: eco.say: no such service")
        #expect(json?.text("hint") == "see wiz services")
        #expect(json?.number("exit") == 4)
        #expect(json?.text("status") == "NOT_FOUND")
    }

    @Test func `the nearest service, method or version is suggested`() throws {
        let services = try JSON(
            parsing: #"[{"service":"echo","version":"1.0.0","methods":[{"name":"say"},{"name":"count"}]}]"#
        ).items
        #expect(didYouMean(.service("eco", method: "say"), services: services) == "Did you mean `echo.say`?")
        #expect(didYouMean(.service("echo", method: "cuont"), services: services) == "Did you mean `echo.count`?")
        let version = didYouMean(.service("echo", range: "^2", method: "say"), services: services)
        #expect(version == "echo is here in 1.0.0; ^2 takes none of them.")
        #expect(didYouMean(.service("echo", method: "zzzzzzz"), services: services) == "echo has: count, say.")
        // What was found and failed in another way needs no other name.
        #expect(didYouMean(.service("echo", method: "say"), services: services) == nil)
        #expect(didYouMean(.service("echo", range: "^1", method: "say"), services: services) == nil)
    }
}
