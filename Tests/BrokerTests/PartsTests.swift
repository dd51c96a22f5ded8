// The shell's parts by themselves: who may connect, key files, payloads, overflow, the queues between the threads.

import BrokerCore
import Glibc
import Synchronization
import Testing
import ZeroMQ

@testable import Broker

@Suite struct PartsTests {
    private func gatekeeper(_ keys: [CurvePublicKey: String] = [:]) -> Gatekeeper {
        Gatekeeper(number: 1, principals: keys, hasTicket: { _ in false }, onRefusal: { _ in })
    }

    @Test func `every process that can reach the local socket is let in and named by its user`() {
        let request = ZapRequest(domain: "ipc.1", address: "localhost:12345:100:77", mechanism: .null)
        #expect(gatekeeper().decide(request) == .accept(userID: "uid:12345"))
    }

    @Test func `a local connection without the kernel's word is refused`() {
        for address in ["", "127.0.0.1", "localhost:x:1:2"] {
            let request = ZapRequest(domain: "ipc.1", address: address, mechanism: .null)
            guard case .deny = gatekeeper().decide(request) else {
                Issue.record("\(address) was let in")
                continue
            }
        }
    }

    @Test func `only keys of the mesh file come in over tcp, and only until they are taken away`() throws {
        let known = try CurveKeyPair.generate().publicKey
        let unknown = try CurveKeyPair.generate().publicKey
        let gate = gatekeeper([known: "theme"])
        func decide(_ mechanism: ZapRequest.Mechanism, _ domain: String = "tcp.1") -> ZapDecision {
            gate.decide(ZapRequest(domain: domain, address: "127.0.0.1", mechanism: mechanism))
        }
        func isDenied(_ decision: ZapDecision) -> Bool {
            if case .deny = decision { true } else { false }
        }
        #expect(decide(.curve(known)) == .accept(userID: "theme"))
        #expect(isDenied(decide(.curve(unknown))))
        #expect(isDenied(decide(.null)))
        #expect(isDenied(decide(.plain(user: "theme", password: ""))))
        #expect(isDenied(decide(.curve(known), "tcp.2")))
        gate.setPrincipals([:])
        #expect(isDenied(decide(.curve(known))))
        #expect(gate.refusalCount == 5)
    }

    @Test func `a key file is written for its owner alone and read again`() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/key.json"
        let made = try KeyFile(creating: path)
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(try KeyFile(reading: path) == made)
        #expect(throws: KeyFileError.self) { try KeyFile(creating: path) }
        chmod(path, 0o644)
        let error = #expect(throws: KeyFileError.self) { try KeyFile(reading: path) }
        #expect(error?.description.contains("chmod 600") == true)
        let other = try CurveKeyPair.generate()
        let mixed = folder.file(
            "mixed.json",
            "{\"publicKey\": \"\(made.publicKey)\", \"secretKey\": \"\(other.secretKey.revealedZ85)\"}"
        )
        #expect(throws: KeyFileError.self) { try KeyFile(reading: mixed) }
    }

    @Test func `payloads are kept, shared, given away once, and stray handles do no harm`() {
        var slab = BodySlab()
        let first = slab.insert(Message(copying: Array("first".utf8)))
        let second = slab.insert(Message(copying: Array(repeating: 7, count: 100)))
        #expect(slab.count == 2)
        #expect(slab.bytes(of: first) == Array("first".utf8))
        let large = slab.insert(Message(copying: Array(repeating: 9, count: 5_000)))
        for body in [first, second, large] { slab.detach(body) }
        for (body, size) in [(second, 100), (large, 5_000)] {
            // Shared as often as is asked for, whether the frame was sent or not.
            for _ in 0..<3 { #expect(slab.cellToShare(body)?.take().size == size) }
            #expect(slab.cellToShare(body)?.size == size)
            #expect(slab.bytes(of: body).count == size)
        }
        #expect(slab.cellToMove(second)?.take().size == 100)
        #expect(slab.cellToMove(first)?.take().size == 5)
        for body in [first, second, large] { slab.release(body) }
        let isGone = slab.cellToMove(first) == nil
        #expect(isGone)
        #expect(slab.strayHandleCount == 1)
        slab.release(.none)
        #expect(slab.count == 0)
        let third = slab.insert(Message())
        #expect([first, second, large].contains(third))
        #expect(slab.bytes(of: BodyHandle(rawValue: 999)).isEmpty)
    }

    @Test func `a slot is used again for copies of any size`() {
        var slab = BodySlab()
        for size in [0, 1, 64, 65, 1024, 1025, 1, 700, 0] {
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
            let body = bytes.withUnsafeBytes { slab.insert(copying: $0) }
            #expect(body.rawValue == 0 && slab.bytes(of: body) == bytes)
            for _ in 0..<3 {
                #expect(slab.cellToShare(body)?.take().size == size)
                #expect(slab.bytes(of: body) == bytes)
            }
            #expect(slab.cellToMove(body)?.take().size == size)
            slab.release(body)
        }
        #expect(slab.count == 0 && slab.strayHandleCount == 0)
    }

    @Test func `an overflow is bounded by messages and by bytes`() {
        var byCount = Overflow()
        var kept = 0
        [UInt8](repeating: 1, count: 16).withUnsafeBytes { header in
            while kept <= Overflow.messageCount, byCount.append(header: header, body: nil) { kept += 1 }
        }
        #expect(kept == Overflow.messageCount)
        var byBytes = Overflow()
        kept = 0
        [UInt8](repeating: 1, count: 16).withUnsafeBytes { header in
            while kept < 100, byBytes.append(header: header, body: Message(size: 1 << 20)) { kept += 1 }
        }
        #expect(kept == 15)
        byBytes.removeAll()
    }

    @Test func `the workbench does its jobs in order and ends with the last`() throws {
        let bench = try Workbench()
        let thread = try OSThread.start(name: "test") { bench.run() }
        let log = Log()
        for number in 0..<100 { #expect(bench.post { log.add(number) }) }
        bench.end { log.add(100) }
        thread.join()
        #expect(log.numbers == Array(0...100))
        #expect(!bench.post {})
    }

    @Test func `a mailbox that is closed answers nobody`() throws {
        let mailbox = try Mailbox()
        #expect(mailbox.post { _ in })
        #expect(mailbox.hasCommands)
        mailbox.close()
        #expect(!mailbox.post { _ in })
        #expect(mailbox.ask { _ in 1 } == nil)
    }

    @Test func `errands come when they are due and not before`() {
        let peer = PeerHandle(listener: 0, routingID: 1)
        func at(_ nanoseconds: UInt64) -> MeshInstant { MeshInstant(nanoseconds: nanoseconds) }
        var errands = Errands()
        for _ in 0..<3000 { errands.add(.kick, peer, now: at(0)) }
        errands.add(.probeSoon, peer, now: at(0))
        #expect(errands.nextDeadline == at(3_000_000))
        #expect(errands.next(due: at(2_999_999))?.kind == nil)
        #expect(errands.next(due: at(3_000_000))?.kind == .probeSoon)
        #expect(errands.next(due: at(3_000_000))?.kind == nil)
        #expect(errands.nextDeadline == at(500_000_000))
        var kicks = 0
        while errands.next(due: at(500_000_000))?.kind == .kick { kicks += 1 }
        #expect(kicks == 3000)
        #expect(errands.nextDeadline == nil)
    }

    @Test func `the peers heard lately are told apart by number and listener`() {
        let recent = RecentPeers()
        let peer = PeerHandle(listener: 0, routingID: 0x0100_0000)
        var answers = [recent.contains(peer)]
        recent.insert(peer)
        answers.append(recent.contains(peer))
        answers.append(recent.contains(PeerHandle(listener: 1, routingID: 0x0100_0000)))
        recent.remove(peer)
        answers.append(recent.contains(peer))
        #expect(answers == [false, true, false, false])
    }
}

private final class Log: Sendable {
    private let list = Mutex<[Int]>([])
    var numbers: [Int] { list.withLock { $0 } }
    func add(_ number: Int) { list.withLock { $0.append(number) } }
}
