// Public keys in files of their own: what `wiz keys new --public` writes and a principal's `keyFile` reads.

import Glibc
import Testing

@testable import Broker

@Suite struct KeyFileTests {
    @Test func `a principal's key may stand in a file of its own`() throws {
        let folder = TemporaryFolder()
        let key = try KeyFile(creating: folder.path + "/echo.json")
        try key.writePublicKey(to: folder.path + "/echo.pub")
        let text = "principals: { echo: { roles: [plugin], keyFile: echo.pub } }"
        let file = try MeshFile(text: text, path: folder.path + "/mesh.yaml")
        #expect(file.keys == [key.publicKey: "echo"])
    }

    @Test func `a file without a key, a missing one and two keys are told with their place`() throws {
        let folder = TemporaryFolder()
        _ = folder.file("none.pub", "no key\n")
        let key = try KeyFile(creating: folder.path + "/echo.json")
        try key.writePublicKey(to: folder.path + "/echo.pub")
        for (principal, part) in [
            ("{ keyFile: none.pub }", "none.pub holds no public key"),
            ("{ keyFile: missing.pub }", "missing.pub cannot be read"),
            ("{ keyFile: echo.pub, key: \"\(key.publicKey)\" }", "there is a key beside it"),
        ] {
            let error = #expect(throws: (any Error).self) {
                try MeshFile(text: "principals: { echo: \(principal) }", path: folder.path + "/mesh.yaml")
            }
            #expect("\(String(describing: error))".contains(part))
        }
    }

    @Test func `a public key that is written again replaces the one before`() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/echo.pub"
        let first = try KeyFile(creating: folder.path + "/1.json")
        let second = try KeyFile(creating: folder.path + "/2.json")
        try first.writePublicKey(to: path)
        try second.writePublicKey(to: path)
        #expect(try KeyFile.publicKey(at: path) == second.publicKey)
    }
}
