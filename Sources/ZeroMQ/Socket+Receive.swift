// Receiving a whole message at a time into reusable slots, with a bound on its frames. errno is read straight after
// each call.

import CZeroMQ

/// What a receive found.
public enum ReceiveOutcome: Hashable, Sendable {
    /// A message, now in the frame buffer.
    case received
    /// Nothing is there.
    case nothing
    /// A message with more frames than the buffer takes; the first ones are in the buffer, the others were thrown away.
    case tooManyFrames(total: Int)
}

extension Socket {
    /// Receives one whole message without waiting.
    /// - Parameter frames: takes the frames; what it held is freed.
    /// - Returns: what was found.
    /// - Throws: `.contextTerminated` after the context's shutdown.
    public borrowing func tryReceive(into frames: inout FrameBuffer) throws(ZeroMQError) -> ReceiveOutcome {
        checkThread()
        frames.count = 0
        guard try pull(into: frames.slot(0), flags: ZMQ_DONTWAIT) else { return .nothing }
        return try receiveRest(into: &frames)
    }

    /// Receives one whole message, waiting for as long as it takes or until the context is shut down.
    /// - Parameter frames: takes the frames; what it held is freed.
    /// - Returns: what was found.
    /// - Throws: `.contextTerminated` after the context's shutdown.
    public borrowing func receive(into frames: inout FrameBuffer) throws(ZeroMQError) -> ReceiveOutcome {
        checkThread()
        frames.count = 0
        guard try pull(into: frames.slot(0), flags: 0) else { return .nothing }
        return try receiveRest(into: &frames)
    }

    /// Receives one frame without waiting; nil if nothing is there.
    public borrowing func tryReceive() throws(ZeroMQError) -> Message? {
        checkThread()
        let message = Message()
        guard try pull(into: message.raw, flags: ZMQ_DONTWAIT) else { return nil }
        return message
    }

    /// libzmq shows a message only when all of it is there, so the rest never has to be waited for.
    private borrowing func receiveRest(into frames: inout FrameBuffer) throws(ZeroMQError) -> ReceiveOutcome {
        var count = 1
        while zmq_msg_more(frames.slot(count - 1)) != 0 {
            guard count < frames.capacity else { return try drainRest(into: &frames) }
            guard try pull(into: frames.slot(count), flags: 0) else { break }
            count += 1
        }
        frames.count = count
        return .received
    }

    private borrowing func drainRest(into frames: inout FrameBuffer) throws(ZeroMQError) -> ReceiveOutcome {
        frames.count = frames.capacity
        var total = frames.capacity
        let excess = Message()
        repeat {
            guard try pull(into: excess.raw, flags: 0) else { break }
            total += 1
        } while excess.more
        return .tooManyFrames(total: total)
    }

    /// Receives a frame, closing what the slot held; false if nothing is there.
    private borrowing func pull(
        into slot: UnsafeMutablePointer<zmq_msg_t>,
        flags: Int32
    ) throws(ZeroMQError) -> Bool {
        while zmq_msg_recv(slot, handle, flags) < 0 {
            let code = zmq_errno()
            switch code {
            case ZMQErrno.interrupted: continue
            case ZMQErrno.wouldBlock: return false
            default: throw ZeroMQError(code: .init(rawValue: code), operation: .receive)
            }
        }
        return true
    }
}
