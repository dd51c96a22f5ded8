// What peers do in the simulation, and what befalls them. Pure.

import BrokerCore
import MeshProtocol

extension MeshSimulation {
    /// Opens a new connection and says HELLO.
    mutating func connect(_ peer: Int) {
        guard peers[peer].link == nil else { return }
        let link = links.count
        let handle = PeerHandle(listener: 0, routingID: UInt32(link + 1))
        links.append(SimulatedLink(peer: peer, handle: handle))
        linkOfHandle[handle] = link
        peers[peer].link = link
        peers[peer].incarnation += 1
        if peers[peer].role == .hostile, !isCalm, random.once(in: 3) {
            sendRubbish(from: peer)
        } else {
            send(hello(peer), from: peer)
        }
        schedule(.act(peer: peer), after: UInt64(random.pick(1...30)) * 1_000_000)
    }

    /// Workers come now and then with a ticket that keeps them in shadow; some peers come back from an earlier broker.
    private mutating func hello(_ peer: Int) -> Hello {
        var hello = Hello(lastEpoch: random.once(in: 3) ? 77 : 0, name: peers[peer].name, version: "1.0.0")
        guard peers[peer].role == .worker, !isCalm, random.once(in: 2) else { return hello }
        peers[peer].label = "\(hello.name)#1@\(peers[peer].incarnation)"
        peers[peer].isShadow = random.once(in: 2)
        let grant = TicketGrant(
            name: hello.name,
            principal: hello.name,
            instance: peers[peer].label,
            isShadow: peers[peer].isShadow
        )
        hello.ticket = core.issueTicket(grant, now: instant)
        return hello
    }

    /// A host does something.
    private mutating func actAsHost() {
        let sessions = core.sessions(after: nil, limit: 100, now: instant)
        switch random.pick(0...3) {
        case 0: expectSomething(sessions)
        case 1:
            guard let standing = expectations.randomElement(using: &random) else { return }
            expectations.removeAll { $0.id == standing.id }
            _ = core.unexpect(standing.id, by: standing.session, now: instant, into: &outbox)
        default: promoteSomething(sessions)
        }
    }

    private mutating func expectSomething(_ sessions: [SessionSnapshot]) {
        guard let host = sessions.randomElement(using: &random) else { return }
        let model = peers[0].worker.provision(using: &random)
        let service = Expectation.Service(
            service: model.service,
            version: model.version,
            methods: model.methods,
            attributes: model.attributes,
            capabilities: model.capabilities,
            queueCount: random.once(in: 3) ? random.pick(0...3) : nil
        )
        let expectation = Expectation(owner: "worker-0", services: [service])
        let id = SessionID(rawValue: host.session)
        note("\(host.name) can start \(model.service)@\(model.version)")
        if case .success(let number) = core.expect(expectation, by: id, now: instant, into: &outbox) {
            expectations.append((number, id))
        }
    }

    private mutating func promoteSomething(_ sessions: [SessionSnapshot]) {
        guard let arriving = sessions.filter({ $0.stage == .shadow }).randomElement(using: &random) else { return }
        if !random.once(in: 6) {
            _ = core.setReady(SessionID(rawValue: arriving.session), now: instant, into: &outbox)
        }
        let leaving = sessions.filter { $0.instance != arriving.instance && $0.instance.contains("#") }
            .randomElement(using: &random)
        let retired = (random.once(in: 2) ? leaving : nil).map { [$0.instance] } ?? []
        let order = PromotionOrder(
            instances: [arriving.instance],
            retired: retired,
            graceMilliseconds: UInt32(random.pick(0...2000)),
            reason: "simulated"
        )
        note("\(arriving.instance) takes over from \(retired)")
        let held = sessions.reduce(0) { $0 + $1.leasesHeld }
        let result = core.promote(order, by: "", now: instant, into: &outbox)
        // What waits may go elsewhere, or be too much for the queue there; what was given out goes on.
        let after = core.sessions(after: nil, limit: 100, now: instant).reduce(0) { $0 + $1.leasesHeld }
        if after < held { report.violations.append("a promotion ended \(held - after) calls that were worked on") }
        guard case .success = result else { return }
        for peer in peers.indices where peers[peer].label == arriving.instance { peers[peer].isShadow = false }
    }

    /// A frame reaches a peer.
    mutating func arriveAtPeer(_ link: Int, _ header: Header, _ body: BodyLedger.Body?) {
        let peer = links[link].peer
        guard peers[peer].link == link else { return }
        // Behind what waits already, even if the clock has jumped over the moment at which the peer goes on.
        guard peers[peer].stoppedUntil <= now, links[link].unread.isEmpty else {
            links[link].unread.append((header, body))
            return
        }
        read(header, body, link)
    }

    /// A peer that was stopped reads what has come in the meantime.
    mutating func goOn(_ peer: Int) {
        guard peers[peer].stoppedUntil <= now, let link = peers[peer].link else { return }
        let unread = links[link].unread
        links[link].unread = []
        for (header, body) in unread where peers[peer].link == link { read(header, body, link) }
        schedule(.act(peer: peer), after: 0)
    }

    private mutating func read(_ header: Header, _ body: BodyLedger.Body?, _ link: Int) {
        let peer = links[link].peer
        switch header {
        case .welcome:
            peers[peer].isWelcome = true
        case .ping(let ping):
            send(Pong(nonce: ping.nonce), from: peer)
        case .reject, .bye:
            links[link].isUp = false
            schedule(.peerLearns(link: link), after: 0)
        case .call(let call):
            arrive(call, body, at: peer)
        default:
            arriveInRole(header, at: peer)
        }
    }

    private mutating func arriveInRole(_ header: Header, at peer: Int) {
        let problem =
            switch peers[peer].role {
            case .caller: peers[peer].client.received(header)
            case .worker: peers[peer].worker.received(header)
            case .watcher: peers[peer].watcher.received(header)
            case .hostile: nil as String?
            }
        if let problem { report.violations.append("\(peers[peer].name): \(problem)") }
    }

    private mutating func arrive(_ call: CallHeader, _ body: BodyLedger.Body?, at peer: Int) {
        let process = "\(peers[peer].name)#\(peers[peer].incarnation)"
        if call.caller.isEmpty { report.violations.append("a CALL without its caller's principal") }
        let tag = body?.tag ?? 0
        if tag != 0, !call.flags.contains(.idempotent) {
            if let other = begun[tag] { report.violations.append("call \(tag) began at \(other) and at \(process)") }
            begun[tag] = process
        }
        if random.once(in: 8), !isCalm {
            begun[tag] = nil
            send(Refuse(status: .resourceExhausted, id: call.id, retryAfterMilliseconds: 5), from: peer)
            return
        }
        if let problem = peers[peer].worker.received(call, tag: tag, using: &random) {
            report.violations.append("\(process): \(problem)")
        }
        if call.flags.contains(.requestStream) {
            let credit = random.pick(0...4)
            peers[peer].worker.leases[call.id.rawValue]?.requestMessages = credit
            send(Accept(id: call.id, credit: Credit(messages: UInt32(credit), bytes: 10_000)), from: peer)
        }
    }

    /// A peer does something, and will again.
    mutating func act(_ peer: Int) {
        guard peers[peer].link != nil else { return }
        guard peers[peer].stoppedUntil <= now else { return }
        let pause = UInt64(isCalm ? random.pick(50...400) : random.pick(1...80)) * 1_000_000
        schedule(.act(peer: peer), after: pause)
        guard peers[peer].isWelcome || peers[peer].role == .hostile else { return }
        if now - peers[peer].lastSent > 500_000_000 { send(Ping(nonce: now), from: peer) }
        switch peers[peer].role {
        case .caller: actAsCaller(peer)
        case .worker: actAsWorker(peer)
        case .watcher: actAsWatcher(peer)
        case .hostile: if !isCalm { sendRubbish(from: peer) }
        }
    }

    private mutating func actAsCaller(_ peer: Int) {
        if !isCalm, peers[peer].client.pending.count < 14, random.once(in: 2) {
            let (header, body) = peers[peer].client.newCall(tag: nextTag, parent: .session, using: &random)
            nextTag += 1
            send(header, body, from: peer)
            if random.once(in: 30) {
                peers[peer].client.pending[header.id.rawValue]?.duplicates += 1
                send(CallHeader(id: header.id, service: "alpha", method: "once"), from: peer)
            }
        }
        guard let id = peers[peer].client.pending.keys.sorted().randomElement(using: &random),
            let call = peers[peer].client.pending[id]
        else { return }
        let wire = WireID(rawValue: id)
        if isCalm || random.once(in: 12), !call.isCancelled {
            peers[peer].client.pending[id]?.isCancelled = true
            send(Cancel(id: wire, reason: "changed its mind"), from: peer)
        } else if call.flags.contains(.replyStream), random.once(in: 2) {
            let credit = random.pick(1...4)
            peers[peer].client.pending[id]?.replyMessages += credit
            send(CreditGrant(id: wire, credit: Credit(messages: UInt32(credit), bytes: 4000)), from: peer)
        } else if call.requestsLeft > 0, call.requestCredit > 0 {
            let isLast = call.requestsLeft == 1
            peers[peer].client.pending[id]?.requestsLeft -= 1
            peers[peer].client.pending[id]?.requestCredit -= 1
            peers[peer].client.pending[id]?.nextRequest += 1
            send(
                Chunk(flags: isLast ? .last : [], id: wire, sequence: call.nextRequest),
                BodyLedger.Body(tag: call.tag, byteCount: 10),
                from: peer
            )
        }
    }

    private mutating func actAsWorker(_ peer: Int) {
        let worker = peers[peer].worker
        if worker.capacities.count < 2, !worker.isDraining, random.once(in: 2) {
            let provide = peers[peer].worker.newProvide(using: &random)
            send(provide, from: peer)
        } else if !isCalm, random.once(in: 30), let id = worker.capacities.keys.sorted().randomElement(using: &random),
            let registration = RequestID(rawValue: id)
        {
            let capacity = UInt32(random.pick(0...4))
            peers[peer].worker.capacities[id] = max(worker.capacities[id] ?? 0, capacity)
            send(Capacity(id: registration, capacity: capacity), from: peer)
        }
        for _ in 0..<(isCalm ? 4 : 1) {
            guard let id = peers[peer].worker.leases.keys.sorted().randomElement(using: &random),
                let lease = peers[peer].worker.leases[id]
            else { return }
            advance(lease, WireID(rawValue: id), at: peer)
        }
    }

    private mutating func advance(_ lease: HeldLease, _ id: WireID, at peer: Int) {
        if lease.isForgotten, !lease.isCancelled || random.once(in: 3), !isCalm { return }
        if lease.chunksLeft > 0, !lease.isCancelled {
            guard lease.replyMessages > 0, lease.replyBytes > 0 else { return }
            let byteCount = random.pick(0...2000)
            peers[peer].worker.leases[id.rawValue]?.chunksLeft -= 1
            peers[peer].worker.leases[id.rawValue]?.replyMessages -= 1
            peers[peer].worker.leases[id.rawValue]?.replyBytes -= byteCount
            peers[peer].worker.leases[id.rawValue]?.nextReply += 1
            send(
                Chunk(id: id, sequence: lease.nextReply),
                BodyLedger.Body(tag: lease.tag, byteCount: byteCount),
                from: peer
            )
            return
        }
        peers[peer].worker.leases[id.rawValue] = nil
        if random.once(in: 4) {
            send(Fail(status: .internal, id: id, message: "it went wrong"), from: peer)
        } else {
            let byteCount = random.pick(0...500)
            send(End(id: id), BodyLedger.Body(tag: lease.tag, byteCount: byteCount), from: peer)
        }
        if !isCalm, random.once(in: 25) { send(End(id: id), from: peer) }
    }

    private mutating func actAsWatcher(_ peer: Int) {
        if !isCalm, random.once(in: 3), let publish = peers[peer].watcher.newPublish(using: &random) {
            let byteCount = random.pick(0...300)
            send(publish, BodyLedger.Body(tag: 0, byteCount: byteCount), from: peer)
        }
        if !isCalm, peers[peer].watcher.subscriptions.count < 3, random.once(in: 4),
            let subscribe = peers[peer].watcher.newSubscribe(using: &random)
        {
            send(subscribe, from: peer)
        }
        guard let id = peers[peer].watcher.subscriptions.keys.sorted().randomElement(using: &random),
            let open = peers[peer].watcher.subscriptions[id], let request = RequestID(rawValue: id)
        else { return }
        if !open.isEnding, isCalm || random.once(in: 10) {
            peers[peer].watcher.subscriptions[id]?.isEnding = true
            send(Unsubscribe(id: request), from: peer)
        } else if !open.isEnding, random.once(in: 3) {
            let credit = random.pick(1...5)
            peers[peer].watcher.subscriptions[id]?.credit += credit
            send(CreditGrant(id: request.wire, credit: Credit(messages: UInt32(credit), bytes: 10_000)), from: peer)
        }
    }

    /// Bytes that are no header, headers that may not come now, and good headers with a bit turned.
    private mutating func sendRubbish(from peer: Int) {
        let byteCount = random.pick(0...9000)
        let body = random.once(in: 2) ? BodyLedger.Body(tag: 0, byteCount: byteCount) : nil
        switch random.pick(0...4) {
        case 0:
            var bytes: [UInt8] = []
            for _ in 0..<random.pick(0...60) { bytes.append(UInt8(random.pick(0...255))) }
            send(bytes, body, from: peer)
        case 1:
            let lease = WireID(rawValue: random.next() | WireID.leaseBit)
            send(End(id: lease), body, from: peer)
        case 2:
            let id = WireID(rawValue: random.next())
            send(CreditGrant(id: id, credit: Credit(messages: .max, bytes: .max)), body, from: peer)
        case 3:
            send(Hello(name: "somebody-else"), body, from: peer)
        default:
            var bytes = CallHeader(id: WireID(rawValue: 7), service: "alpha", method: "once").encoded()
            let at = random.pick(0...bytes.count - 1)
            bytes[at] ^= UInt8(1 << random.pick(0...7))
            send(bytes, body, from: peer)
        }
    }

    /// Something goes wrong in the world.
    mutating func fault() {
        let peer = random.pick(0...peers.count - 1)
        switch random.pick(0...9) {
        case 7, 8, 9:
            actAsHost()
        case 0, 1:
            breakLink(of: peer)
        case 2:
            let name = peers[peer].name
            note("\(name) stops")
            let pause = UInt64(random.pick(100...6000)) * 1_000_000
            peers[peer].stoppedUntil = max(peers[peer].stoppedUntil, now + pause)
            schedule(.goOn(peer: peer), after: peers[peer].stoppedUntil - now)
        case 3:
            let jump = UInt64(random.pick(1...20_000)) * 1_000_000
            note("the clock jumps by \(jump / 1_000_000) ms")
            now += jump
        case 4:
            guard let link = peers[peer].link, !links[link].isClosedByBroker else { return }
            let name = peers[peer].name
            note("the shell's overflow for \(name) is full")
            core.overflowed(links[link].handle, now: instant, into: &outbox)
        case 5:
            guard let session = core.sessions(after: nil, limit: 100, now: instant).randomElement(using: &random) else {
                return
            }
            let id = SessionID(rawValue: session.session)
            if random.once(in: 2) {
                _ = core.kickSession(id, reason: "simulated", now: instant, into: &outbox)
            } else {
                _ = core.drainSession(id, graceMilliseconds: 500, reason: "simulated", now: instant, into: &outbox)
            }
        default:
            if let call = core.calls(after: nil, limit: 100, now: instant).randomElement(using: &random),
                let lease = LeaseID(text: call.lease)
            {
                _ = core.cancelCall(lease, by: "simulated", now: instant, into: &outbox)
            }
        }
    }

    /// A link breaks; both sides learn of it in their own time, and what was under way may be lost.
    private mutating func breakLink(of peer: Int) {
        guard let link = peers[peer].link, links[link].isUp else { return }
        let name = peers[peer].name
        note("the link of \(name) breaks")
        links[link].isUp = false
        let notice = delay()
        schedule(.brokerLearns(link: link), after: notice)
        peers[peer].lost()
        schedule(.connect(peer: peer), after: UInt64(random.pick(50...900)) * 1_000_000)
    }

    /// Nobody waits for anything.
    private var isDone: Bool {
        peers.allSatisfy { $0.client.pending.isEmpty } && core.calls(after: nil, limit: 1, now: instant).isEmpty
    }

    /// No more faults and no new calls: everything must come to its end.
    mutating func calmDown() {
        isCalm = true
        let end = now + 60_000_000_000
        while report.violations.isEmpty, now < end, !isDone { step() }
        guard report.violations.isEmpty else { return }
        for peer in peers where !peer.client.pending.isEmpty {
            report.violations.append("\(peer.name) still waits for calls \(peer.client.pending.keys.sorted())")
        }
        let calls = core.calls(after: nil, limit: 100, now: instant)
        if !calls.isEmpty { report.violations.append("calls that never end: \(calls)") }
    }
}
