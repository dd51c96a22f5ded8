// A bench for the core: peers by name, a clock set by hand, payloads counted by reference, and every invariant checked
// after every turn.

import MeshProtocol
import Testing

@testable import BrokerCore

/// A frame that a peer got.
struct Frame: Equatable {
    var header: Header
    var body: UInt32?
}

/// A core with peers around it.
final class CoreBench {
    var core: BrokerCore
    var outbox = Outbox()
    private(set) var now = MeshInstant(nanoseconds: 1_000_000_000)
    /// References by payload.
    private var references: [UInt32: Int] = [:]
    private var nextBody: UInt32 = 0
    private var nextRoutingID: UInt32 = 0
    private var inboxes: [PeerHandle: [Frame]] = [:]
    private(set) var closed: Set<PeerHandle> = []
    private(set) var probed: Set<PeerHandle> = []
    private(set) var notices: [Notice] = []
    /// Payloads that are to have memory of their own.
    private(set) var detached: [UInt32] = []
    private(set) var administration: [AdministrativeCall] = []

    /// A policy in which the principal `root` is an operator and `guest` may nothing.
    static var policy: Policy {
        var policy = Policy()
        policy.principals["root"] = Policy.Principal(roles: ["operator"], origin: "mesh.yaml:1")
        policy.principals["guest"] = Policy.Principal(origin: "mesh.yaml:2")
        policy.localUsers[1000] = "root"
        return policy
    }

    init(limits: Limits = Limits(), policy: Policy = CoreBench.policy) {
        let state = Seed()
        core = BrokerCore(
            limits: limits,
            policy: policy,
            identity: BrokerIdentity(epoch: 7, name: "wizmesh/test"),
            entropy: { state.next() }
        )
    }

    func body() -> BodyHandle {
        nextBody += 1
        references[nextBody] = 1
        return BodyHandle(rawValue: nextBody)
    }

    /// A connection that has said nothing.
    func stranger(_ credentials: Credentials = .key(principal: "root")) -> Peer {
        nextRoutingID += 1
        let peer = Peer(bench: self, handle: PeerHandle(listener: 1, routingID: nextRoutingID))
        core.connected(peer.handle, credentials: credentials, now: now, into: &outbox)
        settle()
        return peer
    }

    /// A peer with a session.
    func peer(_ name: String, _ credentials: Credentials = .key(principal: "root")) throws -> Peer {
        let peer = stranger(credentials)
        peer.send(.hello(Hello(name: name)))
        guard case .welcome(let welcome) = peer.next() else { throw BenchError.notWelcomed }
        peer.session = SessionID(rawValue: welcome.session)
        return peer
    }

    func receive(_ bytes: [UInt8], body: BodyHandle, byteCount: Int, from peer: PeerHandle) {
        bytes.withUnsafeBytes { raw in
            core.received(from: peer, header: raw, body: body, bodyByteCount: byteCount, now: now, into: &outbox)
        }
        settle()
    }

    /// Lets time pass, timer by timer.
    func pass(milliseconds: UInt64) {
        let end = now.advanced(milliseconds: milliseconds)
        while let due = core.nextDeadline, due <= end {
            if due > now { now = due }
            core.timePassed(now: now, into: &outbox)
            settle()
        }
        now = end
    }

    /// Lets a peer's process hang up.
    func disconnect(_ peer: Peer) {
        core.disconnected(peer.handle, now: now, into: &outbox)
        settle()
    }

    /// Runs an operation on the core and what follows from it.
    @discardableResult
    func run<Result>(_ operation: (inout BrokerCore, MeshInstant, inout Outbox) -> Result) -> Result {
        let result = operation(&core, now, &outbox)
        settle()
        return result
    }

    /// Does what the outbox says and checks the books.
    func settle() {
        for action in outbox.actions {
            switch action {
            case .send(let send):
                let bytes = Array(outbox.headers[send.headerOffset..<send.headerOffset + send.headerCount])
                guard let header = try? Header.decode(bytes) else {
                    Issue.record("the core sent a header that cannot be read")
                    continue
                }
                #expect(!closed.contains(send.peer), "a frame after the end: \(header)")
                if send.use == .move { give(back: send.body) }
                let body = send.body.isNone ? nil : send.body.rawValue
                inboxes[send.peer, default: []].append(Frame(header: header, body: body))
            case .release(let body): give(back: body)
            case .detach(let body): detached.append(body.rawValue)
            case .close(let peer): closed.insert(peer)
            case .probe(let peer): probed.insert(peer)
            case .administer(let place):
                administration.append(outbox.administration[place])
                give(back: outbox.administration[place].body)
            case .notice(let place): notices.append(outbox.notices[place])
            }
        }
        outbox.removeAll()
        let problems = core.checkInvariants()
        #expect(problems.isEmpty, "\(problems)")
        let held = references.values.reduce(0, +)
        #expect(core.heldBodyCount == held, "\(held) payloads are out")
    }

    private func give(back body: BodyHandle) {
        guard !body.isNone else { return }
        let count = references[body.rawValue, default: 0] - 1
        #expect(count >= 0, "payload \(body.rawValue) was given back twice")
        references[body.rawValue] = count > 0 ? count : nil
    }

    func takeAll(_ peer: PeerHandle) -> [Frame] { inboxes.removeValue(forKey: peer) ?? [] }

    func takeFirst(_ peer: PeerHandle) -> Frame? {
        guard inboxes[peer]?.isEmpty == false else { return nil }
        return inboxes[peer]?.removeFirst()
    }

    func mailCount(_ peer: PeerHandle) -> Int { inboxes[peer]?.count ?? 0 }

    // Macros cannot look into a core that is not copied, so the bench looks for them.
    func knows(_ peer: PeerHandle) -> Bool { core.knows(peer) }
    func isLive(_ lease: LeaseID) -> Bool { core.isLive(lease) }
    func sessions(after: SessionID?, limit: Int, now: MeshInstant) -> [SessionSnapshot] {
        core.sessions(after: after, limit: limit, now: now)
    }
    func services(after: String?, limit: Int) -> [ServiceSnapshot] { core.services(after: after, limit: limit) }
    func registryChanges(since revision: UInt64) -> RegistryChanges { core.registryChanges(since: revision) }

    func takeNotices() -> [Notice] {
        defer { notices = [] }
        return notices
    }

    func takeAdministration() -> AdministrativeCall? {
        administration.isEmpty ? nil : administration.removeFirst()
    }
}

enum BenchError: Error {
    case notWelcomed
    case unexpected(String)
}

/// A deterministic source of entropy; the bench is one thread.
final class Seed: @unchecked Sendable {
    private var state: UInt64 = 0x1234_5678
    func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}

/// One connection of the bench.
final class Peer {
    let bench: CoreBench
    let handle: PeerHandle
    var session = SessionID.broker
    /// A connection that it has opened besides.
    var stranger: Peer?
    private var nextRequest: UInt64 = 0

    init(bench: CoreBench, handle: PeerHandle) {
        self.bench = bench
        self.handle = handle
    }

    var isClosed: Bool { bench.closed.contains(handle) }

    func send(_ header: Header, bytes: Int? = nil) {
        let body = bytes == nil ? BodyHandle.none : bench.body()
        bench.receive(header.encoded(), body: body, byteCount: bytes ?? 0, from: handle)
    }

    func sendRaw(_ bytes: [UInt8]) { bench.receive(bytes, body: .none, byteCount: 0, from: handle) }

    func take() -> [Header] { bench.takeAll(handle).map(\.header) }
    func next() -> Header? { bench.takeFirst(handle)?.header }
    func nextFrame() -> Frame? { bench.takeFirst(handle) }

    func id() throws -> RequestID {
        nextRequest += 1
        return try #require(RequestID(rawValue: nextRequest))
    }

    /// Provides a service and expects END.
    @discardableResult
    func provide(
        _ service: String,
        _ version: String = "1.0.0",
        methods: [MethodDescription] = [MethodDescription(name: "run")],
        capacity: UInt32 = 1,
        weight: UInt32 = 100,
        attributes: [Attribute] = [],
        capabilities: [String] = []
    ) throws -> RequestID {
        let id = try id()
        send(
            .provide(
                Provide(
                    id: id,
                    capacity: capacity,
                    weight: weight,
                    service: service,
                    version: version,
                    methods: methods,
                    attributes: attributes,
                    capabilities: capabilities
                )
            )
        )
        guard case .end(let end)? = next(), end.id == id.wire else { throw BenchError.unexpected("no END for PROVIDE") }
        return id
    }

    /// Makes a call; what comes is left in the inbox.
    @discardableResult
    func call(
        _ service: String,
        _ method: String = "run",
        range: String = "",
        flags: CallFlags = [],
        clocks: CallClocks = CallClocks(),
        credit: Credit = .none,
        band: Band = .normal,
        cost: UInt32 = 1,
        parent: WireID = .session,
        affinity: String = "",
        conditions: String = "",
        bytes: Int? = 10
    ) throws -> RequestID {
        let id = try id()
        let header = CallHeader(
            flags: flags,
            id: id.wire,
            clocks: clocks,
            credit: credit,
            cost: cost,
            band: band,
            parent: parent,
            service: service,
            range: range,
            method: method,
            affinity: affinity,
            conditions: conditions
        )
        send(.call(header), bytes: bytes)
        return id
    }

    func expectCall() throws -> CallHeader {
        let header = next()
        guard case .call(let call)? = header else {
            throw BenchError.unexpected("no CALL but \(String(describing: header))")
        }
        return call
    }

    func expectFail(_ status: Status) throws -> Fail {
        let header = next()
        guard case .fail(let fail)? = header else {
            throw BenchError.unexpected("no FAIL but \(String(describing: header))")
        }
        #expect(fail.status == status, "\(fail.message)")
        #expect(!fail.message.isEmpty)
        return fail
    }

    func expectReject(_ status: Status) throws -> Reject {
        let header = next()
        guard case .reject(let reject)? = header else {
            throw BenchError.unexpected("no REJECT but \(String(describing: header))")
        }
        #expect(reject.status == status, "\(reject.message)")
        #expect(isClosed)
        return reject
    }

    func expectEnd(_ id: RequestID) throws {
        let header = next()
        guard case .end(let end)? = header, end.id == id.wire else {
            throw BenchError.unexpected("no END of \(id) but \(String(describing: header))")
        }
    }

    func expectCancel(_ id: WireID, _ status: Status = .cancelled) throws {
        let header = next()
        guard case .cancel(let cancel)? = header, cancel.id == id, cancel.status == status else {
            throw BenchError.unexpected("no CANCEL but \(String(describing: header))")
        }
    }

    func end(_ lease: WireID, bytes: Int? = 5) { send(.end(End(id: lease)), bytes: bytes) }
    func accept(_ lease: WireID, credit: Credit = .none) { send(.accept(Accept(id: lease, credit: credit))) }
}
