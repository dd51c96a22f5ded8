// Messages by themselves: ownership, stable bytes, sharing.

import Testing
import ZeroMQ

extension ZeroMQTests {
    @Suite struct MessageTests {
        private struct Holder: ~Copyable {
            var message: Message?
        }

        private func address(_ message: borrowing Message) -> Int {
            message.withUnsafeBytes { $0.baseAddress.map { Int(bitPattern: $0) } ?? 0 }
        }

        @Test(arguments: [1, 10, 33, 34, 1000, 100_000])
        func `a message's bytes stay where they are when the message moves`(size: Int) throws {
            let message = Message(copying: [UInt8](repeating: 7, count: size))
            let before = address(message)
            var holder = Holder(message: message)
            var handle: RawMessage?
            if let moved = holder.message.take() { handle = moved.take() }
            let back = Message(owning: try #require(handle))
            #expect(address(back) == before)
            #expect(text(back).utf8.count == size)
        }

        @Test func `an empty message has no bytes`() {
            let messages = [Message().take(), Message(size: 0).take(), Message(copying: [UInt8]()).take()]
            for handle in messages {
                let message = Message(owning: handle)
                let (size, span, more) = (message.size, message.bytes.byteCount, message.more)
                #expect(size == 0 && span == 0 && !more)
                let (user, descriptor) = (message.property(.userID), message.sourceFileDescriptor())
                #expect(user == nil && descriptor == nil)
            }
        }

        @Test func `a span reads what was written`() {
            var message = Message(size: 3)
            message.withUnsafeMutableBytes { $0.copyBytes(from: [1, 2, 3]) }
            let copy = Message(copying: message.bytes)
            let bytes = copy.withUnsafeBytes { Array($0) }
            #expect(bytes == [1, 2, 3])
        }

        @Test func `a large shared message has one body`() {
            let message = Message(copying: [UInt8](repeating: 1, count: 5000))
            let shared = message.share()
            #expect(address(shared) == address(message))
        }

        @Test func `a shared message outlives the first one`() {
            let handle = Message(copying: Array("a body long enough to be shared and not copied".utf8)).take()
            let shared = handle.share()
            handle.close()
            #expect(text(shared) == "a body long enough to be shared and not copied")
        }

        @Test func `only what looks like a command is copied by rewrapping`() {
            let ordinary = Message(copying: [UInt8](repeating: 9, count: 5000))
            let before = address(ordinary)
            #expect(address(ordinary.rewrapped()) == before)
            for command in ["\u{9}SUBSCRIBE and much more text than fits inline", "\u{6}CANCEL"] {
                let message = Message(copying: Array(command.utf8))
                let before = address(message)
                let shared = message.share()
                let rewrapped = message.rewrapped()
                #expect(address(rewrapped) != before)
                #expect(text(rewrapped) == command)
                #expect(text(shared) == command)
            }
        }

        @Test func `a detached small message has memory of its own`() {
            for (count, isMoved) in [(100, true), (8_192, true), (8_193, false), (100_000, false)] {
                let cell = MessageCell()
                defer { cell.free() }
                cell.put(Message(copying: [UInt8](repeating: 1, count: count)))
                let before = cell.withUnsafeBytes { $0.baseAddress }
                // Held, so that its memory is not given out again.
                let kept = MessageCell()
                defer { kept.free() }
                kept.share(cell)
                cell.detach()
                #expect(cell.withUnsafeBytes { Array($0) } == [UInt8](repeating: 1, count: count))
                #expect((cell.withUnsafeBytes { $0.baseAddress } != before) == isMoved, "\(count)")
            }
        }

        @Test func `a routing id is five bytes that begin with zero`() {
            let id = RoutingID(number: 0x0403_0201)
            let bytes = id.withUnsafeBytes { Array($0) }
            #expect(bytes == [0, 1, 2, 3, 4])
            #expect(bytes.withUnsafeBytes { RoutingID(bytes: $0) } == id)
            for foreign: [UInt8] in [[], [0, 1, 2, 3], [1, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5]] {
                #expect(foreign.withUnsafeBytes { RoutingID(bytes: $0) } == nil)
            }
        }
    }
}
