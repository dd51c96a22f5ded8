// Sending without ever waiting and without ever losing a message: what could not be sent is given back. errno is read
// straight after each call.

import CZeroMQ
import Glibc

/// What became of a message that should be sent.
public enum SendOutcome: ~Copyable {
    /// libzmq has it; that says nothing about its arrival.
    case sent
    /// The queue is full or there is no peer yet; here is the message again.
    case wouldBlock(Message)
    /// The peer is gone; here is the message again.
    case unreachable(Message)
}

/// What became of a header and a body that should be sent together; the body, if there was one, is given back.
public enum EnvelopeOutcome: ~Copyable {
    /// libzmq has it; that says nothing about its arrival.
    case sent
    /// The queue is full or there is no peer yet: send the whole again later.
    case wouldBlock(Message?)
    /// The peer is gone.
    case unreachable(Message?)
}

/// The errno of a send that a caller can act on.
public enum SendFailure: Sendable {
    /// The queue is full or there is no peer yet: send the whole again later.
    case wouldBlock
    /// The peer is gone.
    case unreachable
}

extension Socket {
    /// Sends one frame unless that would have to wait.
    ///
    /// A REQ, REP, PAIR or PUSH message of several frames must be sent to its end: begin it only when the first frame
    /// went out. Prefer `trySend(header:body:)` and `trySend(to:header:body:)`, which send a whole message.
    /// - Parameters:
    ///   - message: the frame; freed if the call throws.
    ///   - more: whether further frames of the same message follow.
    /// - Returns: whether it was sent, else the frame.
    /// - Throws: `.contextTerminated` after the context's shutdown; `.invalidState` if it is not this side's turn.
    public borrowing func trySend(_ message: consuming Message, more: Bool = false) throws(ZeroMQError) -> SendOutcome {
        checkThread()
        guard let failure = try push(message.raw, more: more) else {
            free(message.release())
            return .sent
        }
        switch failure {
        case .wouldBlock: return .wouldBlock(message)
        case .unreachable: return .unreachable(message)
        }
    }

    /// Sends a copy of the bytes as one frame unless that would have to wait.
    /// - Returns: whether it was sent; false if the queue is full or the peer is gone.
    public borrowing func trySend(
        copying bytes: UnsafeRawBufferPointer,
        more: Bool = false
    ) throws(ZeroMQError) -> Bool {
        checkThread()
        return try push(bytes, more: more) == nil
    }

    /// Sends `[header]` or `[header][body]` as one message unless that would have to wait; for DEALER and PAIR.
    ///
    /// If the connection is lost between the frames, the outcome is `.wouldBlock` and nothing of it arrives.
    /// - Parameters:
    ///   - header: copied into the first frame.
    ///   - body: the second frame; freed if the call throws.
    /// - Returns: whether it was sent, else the body.
    /// - Throws: `.contextTerminated` after the context's shutdown.
    public borrowing func trySend(
        header: UnsafeRawBufferPointer,
        body: consuming Message?
    ) throws(ZeroMQError) -> EnvelopeOutcome {
        checkThread()
        guard let body else { return outcome(try push(header, more: false), nil) }
        if let failure = try push(header, more: true) { return outcome(failure, body) }
        return try finish(body)
    }

    /// Sends `[id][header]` or `[id][header][body]` to one connection of a ROUTER unless that would have to wait.
    ///
    /// Needs `routerMandatory`, else what cannot be sent is dropped. `.sent` is no proof of arrival: a peer that is lost
    /// after the id was accepted takes the message with it. `.wouldBlock` about a peer that is gone may stay until the
    /// socket is next received from.
    /// - Parameters:
    ///   - peer: the connection.
    ///   - header: copied into the frame after the id.
    ///   - body: the last frame; freed if the call throws.
    /// - Returns: whether it was sent, else the body.
    /// - Throws: `.contextTerminated` after the context's shutdown.
    public borrowing func trySend(
        to peer: RoutingID,
        header: UnsafeRawBufferPointer,
        body: consuming Message?
    ) throws(ZeroMQError) -> EnvelopeOutcome {
        checkThread()
        let idFailure = try peer.withUnsafeBytes { (id) throws(ZeroMQError) in try push(id, more: true) }
        if let idFailure { return outcome(idFailure, body) }
        guard let body else { return outcome(try push(header, more: false), nil) }
        if let failure = try push(header, more: true) { return outcome(failure, body) }
        return try finish(body)
    }

    /// Sends `[id][header]` or `[id][header][body]` to one connection, the body out of a cell, which is empty afterwards;
    /// see the form that takes a message.
    /// - Returns: nil when it was sent, else why not; the body then is still in its cell.
    /// - Throws: `.contextTerminated` after the context's shutdown.
    public borrowing func trySend(
        to peer: RoutingID,
        header: UnsafeRawBufferPointer,
        cell: MessageCell?
    ) throws(ZeroMQError) -> SendFailure? {
        checkThread()
        let idFailure = try peer.withUnsafeBytes { (id) throws(ZeroMQError) in try push(id, more: true) }
        if let idFailure { return idFailure }
        guard let cell else { return try push(header, more: false) }
        if let failure = try push(header, more: true) { return failure }
        return try push(cell.raw, more: false)
    }

    /// Sends `[header]` or `[header][body]` as one message; see the form that takes a buffer.
    public borrowing func trySend(
        header: RawSpan,
        body: consuming Message?
    ) throws(ZeroMQError) -> EnvelopeOutcome {
        var body = body.take()
        return try header.withUnsafeBytes { (bytes) throws(ZeroMQError) in
            try trySend(header: bytes, body: body.take())
        }
    }

    /// Sends `[id][header]` or `[id][header][body]` to one connection; see the form that takes a buffer.
    public borrowing func trySend(
        to peer: RoutingID,
        header: RawSpan,
        body: consuming Message?
    ) throws(ZeroMQError) -> EnvelopeOutcome {
        var body = body.take()
        return try header.withUnsafeBytes { (bytes) throws(ZeroMQError) in
            try trySend(to: peer, header: bytes, body: body.take())
        }
    }

    private borrowing func finish(_ body: consuming Message) throws(ZeroMQError) -> EnvelopeOutcome {
        if let failure = try push(body.raw, more: false) { return outcome(failure, body) }
        free(body.release())
        return .sent
    }

    private borrowing func outcome(_ failure: SendFailure?, _ body: consuming Message?) -> EnvelopeOutcome {
        switch failure {
        case nil: .sent
        case .wouldBlock: .wouldBlock(body)
        case .unreachable: .unreachable(body)
        }
    }

    /// Sends a zmq_msg_t; on success it is empty and needs no closing.
    private borrowing func push(
        _ raw: UnsafeMutablePointer<zmq_msg_t>,
        more: Bool
    ) throws(ZeroMQError) -> SendFailure? {
        let flags = more ? ZMQ_DONTWAIT | ZMQ_SNDMORE : ZMQ_DONTWAIT
        while zmq_msg_send(raw, handle, flags) < 0 {
            if let failure = try classify(zmq_errno()) { return failure }
        }
        return nil
    }

    /// Sends a copy of bytes; up to 33 bytes libzmq keeps them inline, without malloc.
    private borrowing func push(_ bytes: UnsafeRawBufferPointer, more: Bool) throws(ZeroMQError) -> SendFailure? {
        let flags = more ? ZMQ_DONTWAIT | ZMQ_SNDMORE : ZMQ_DONTWAIT
        while zmq_send(handle, bytes.baseAddress, bytes.count, flags) < 0 {
            if let failure = try classify(zmq_errno()) { return failure }
        }
        return nil
    }

    /// Nil if the call was interrupted and is to be repeated.
    private borrowing func classify(_ code: Int32) throws(ZeroMQError) -> SendFailure? {
        switch code {
        case ZMQErrno.interrupted: return nil
        case ZMQErrno.wouldBlock: return .wouldBlock
        case ZMQErrno.unreachable: return .unreachable
        default: throw ZeroMQError(code: .init(rawValue: code), operation: .send)
        }
    }
}
