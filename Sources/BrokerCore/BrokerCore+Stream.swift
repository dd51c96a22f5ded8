// CHUNK and CREDIT in both directions of a call: the account of credit, the order of chunks, and what a breach means.

import MeshProtocol

extension BrokerCore {
    @inline(__always)
    mutating func chunkReceived(
        _ header: UnsafeRawBufferPointer,
        _ payload: Payload,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) throws(DecodeError) {
        let chunk = try Chunk.decode(header)
        if let lease = LeaseID(chunk.id) {
            guard let call = held(lease, by: session), calls.slots[call.at].phase != .cancelling else {
                counters.lateFrames &+= 1
                return outbox.release(payload.body)
            }
            replyChunk(chunk, payload, call, session, now: now, into: &outbox)
        } else {
            guard
                case .call(let call) = requests[UInt64(session.raw), chunk.id.rawValue]
                    .map(LiveRequest.init(packed:))
            else {
                counters.lateFrames &+= 1
                return outbox.release(payload.body)
            }
            requestChunk(chunk, payload, call, session, now: now, into: &outbox)
        }
    }

    /// A chunk from a worker.
    @inline(__always)
    private mutating func replyChunk(
        _ chunk: Chunk,
        _ payload: Payload,
        _ call: CallIndex,
        _ session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard calls.slots[call.at].flags.contains(.replyStream), !chunk.flags.contains(.last) else {
            let failure = Failure(.invalidArgument, message: "the worker sent a chunk that the call has no stream for")
            return breach(call, .noStream, failure, payload, session, now: now, into: &outbox)
        }
        guard chunk.sequence == calls.slots[call.at].replySequence else {
            return breach(
                call,
                .sequence,
                gap(chunk, calls.slots[call.at].replySequence),
                payload,
                session,
                now: now,
                into: &outbox
            )
        }
        guard calls.slots[call.at].replyCredit.take(byteCount: payload.byteCount) else {
            return breach(call, .overdraw, overdraw("the worker"), payload, session, now: now, into: &outbox)
        }
        accepted(call, now: now, into: &outbox)
        calls.slots[call.at].replySequence &+= 1
        calls.slots[call.at].chunkClockStart = now
        counters.chunks &+= 1
        var out = chunk
        out.id = WireID(rawValue: calls.slots[call.at].request)
        send(to: calls.slots[call.at].caller, body: payload.body, into: &outbox) { out.encode(to: &$0) }
        armCall(call)
    }

    /// A chunk from a caller.
    @inline(__always)
    private mutating func requestChunk(
        _ chunk: Chunk,
        _ payload: Payload,
        _ call: CallIndex,
        _ session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard calls.slots[call.at].flags.contains(.requestStream), !calls.slots[call.at].requestEnded else {
            let failure = Failure(
                .invalidArgument,
                message: "the caller sent a chunk that the call has no open stream for"
            )
            return breach(call, .noStream, failure, payload, session, now: now, into: &outbox)
        }
        guard chunk.sequence == calls.slots[call.at].requestSequence else {
            return breach(
                call,
                .sequence,
                gap(chunk, calls.slots[call.at].requestSequence),
                payload,
                session,
                now: now,
                into: &outbox
            )
        }
        guard calls.slots[call.at].requestCredit.take(byteCount: payload.byteCount) else {
            return breach(call, .overdraw, overdraw("the caller"), payload, session, now: now, into: &outbox)
        }
        calls.slots[call.at].requestSequence &+= 1
        calls.slots[call.at].requestEnded = chunk.flags.contains(.last)
        counters.chunks &+= 1
        var out = chunk
        out.id = calls.lease(call).wire
        send(to: calls.slots[call.at].worker, body: payload.body, into: &outbox) { out.encode(to: &$0) }
    }

    private func gap(_ chunk: Chunk, _ expected: UInt32) -> Failure {
        Failure(.dataLoss, message: "chunk \(chunk.sequence) came where \(expected) was to come")
    }

    private func overdraw(_ who: String) -> Failure {
        Failure(.protocolError, message: "\(who) sent a chunk without credit for it")
    }

    private mutating func breach(
        _ call: CallIndex,
        _ offence: Counters.Offence,
        _ failure: Failure,
        _ payload: Payload,
        _ session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        outbox.release(payload.body)
        brokenCall(call, failure, now: now, into: &outbox)
        _ = offended(session, offence, failure.message, now: now, into: &outbox)
    }

    // MARK: Credit

    @inline(__always)
    mutating func creditReceived(
        _ header: UnsafeRawBufferPointer,
        _ payload: Payload,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) throws(DecodeError) {
        let grant = try CreditGrant.decode(header)
        outbox.release(payload.body)
        if let lease = LeaseID(grant.id) {
            guard let call = held(lease, by: session), calls.slots[call.at].phase != .cancelling else {
                counters.lateFrames &+= 1
                return
            }
            accepted(call, now: now, into: &outbox)
            return grantRequestCredit(grant.credit, call, into: &outbox)
        }
        switch requests[UInt64(session.raw), grant.id.rawValue].map(LiveRequest.init(packed:)) {
        case .call(let call): grantReplyCredit(grant.credit, call, now: now, into: &outbox)
        case .subscription(let slot): topics.grant(grant.credit, to: Int32(bitPattern: slot), limits: limits)
        case .registration, .drain, nil: counters.lateFrames &+= 1
        }
    }

    /// The caller is ready for more of the reply.
    private mutating func grantReplyCredit(
        _ credit: Credit,
        _ call: CallIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard calls.slots[call.at].flags.contains(.replyStream) else { return }
        let before = calls.slots[call.at].replyCredit
        calls.slots[call.at].replyCredit.grant(credit, limits: limits)
        if !before.isOpen, calls.slots[call.at].replyCredit.isOpen { calls.slots[call.at].chunkClockStart = now }
        switch calls.slots[call.at].phase {
        case .dispatched, .accepted:
            armCall(call)
            guard !calls.slots[call.at].isAdministrative else { return }
            let added = calls.slots[call.at].replyCredit.added(since: before)
            let grant = CreditGrant(id: calls.lease(call).wire, credit: added)
            send(to: calls.slots[call.at].worker, into: &outbox) { grant.encode(to: &$0) }
        case .queued: break
        case .free, .cancelling:
            preconditionFailure("a caller's request stands for a call in phase \(calls.slots[call.at].phase)")
        }
    }

    /// The worker is ready for more of the request.
    mutating func grantRequestCredit(_ credit: Credit, _ call: CallIndex, into outbox: inout Outbox) {
        guard calls.slots[call.at].flags.contains(.requestStream), !calls.slots[call.at].requestEnded else { return }
        let before = calls.slots[call.at].requestCredit
        calls.slots[call.at].requestCredit.grant(credit, limits: limits)
        let added = calls.slots[call.at].requestCredit.added(since: before)
        let grant = CreditGrant(id: WireID(rawValue: calls.slots[call.at].request), credit: added)
        send(to: calls.slots[call.at].caller, into: &outbox) { grant.encode(to: &$0) }
    }
}

extension StreamCredit {
    /// What was added, after the limits.
    func added(since before: StreamCredit) -> Credit {
        Credit(
            messages: messages > before.messages ? messages - before.messages : 0,
            bytes: UInt32(clamping: bytes - before.bytes)
        )
    }
}
