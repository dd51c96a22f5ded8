// The way to the mesh thread from every other thread: a queue of commands and an eventfd that is written only when the
// mesh thread may be asleep. Closed at the end; whoever still waits for an answer then learns that there is none.

import Synchronization
import ZeroMQ

/// Something to do on the mesh thread.
struct MeshCommand: Sendable {
    /// Runs on the mesh thread.
    let run: @Sendable (inout MeshLoop) -> Void
    /// Runs instead when the mesh thread has ended.
    let abandon: @Sendable () -> Void
}

/// The mesh thread's mailbox.
final class Mailbox: Sendable {
    private struct State {
        var commands: [MeshCommand] = []
        var isClosed = false
    }

    /// What the mesh thread polls.
    let wakeUp: WakeUp
    private let state = Mutex(State())
    private let isPending = Atomic<Bool>(false)

    init() throws(ZeroMQError) { wakeUp = try WakeUp() }

    /// Whether commands wait; cheap enough for every turn.
    var hasCommands: Bool { isPending.load(ordering: .acquiring) }

    /// Posts a command; false when the mesh thread has ended.
    @discardableResult
    func post(_ command: @escaping @Sendable (inout MeshLoop) -> Void) -> Bool {
        post(MeshCommand(run: command, abandon: {}))
    }

    @discardableResult
    private func post(_ command: MeshCommand) -> Bool {
        let isOpen = state.withLock { state in
            guard !state.isClosed else { return false }
            state.commands.append(command)
            return true
        }
        guard isOpen else {
            command.abandon()
            return false
        }
        if !isPending.exchange(true, ordering: .acquiringAndReleasing) { wakeUp.signal() }
        return true
    }

    /// Asks the mesh thread for something and waits; nil when it has ended.
    ///
    /// Never call it on the mesh thread.
    func ask<Value: Sendable>(_ question: @escaping @Sendable (inout MeshLoop) -> Value) -> Value? {
        guard let answer = try? Answer<Value>() else { return nil }
        post(
            MeshCommand(
                run: { loop in answer.give(question(&loop)) },
                abandon: { answer.give(nil) }
            )
        )
        return answer.wait()
    }

    /// The commands that came, in order.
    func take() -> [MeshCommand] {
        isPending.store(false, ordering: .releasing)
        wakeUp.drain()
        return state.withLock { state in
            var taken: [MeshCommand] = []
            swap(&taken, &state.commands)
            return taken
        }
    }

    /// Ends the mailbox; what waits in it is abandoned.
    func close() {
        let left = state.withLock { state in
            state.isClosed = true
            defer { state.commands = [] }
            return state.commands
        }
        for command in left { command.abandon() }
    }
}

/// One answer that one thread waits for.
private final class Answer<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private let isThere: WakeUp

    init() throws(ZeroMQError) { isThere = try WakeUp() }

    func give(_ value: Value?) {
        self.value.withLock { $0 = value }
        isThere.signal()
    }

    func wait() -> Value? {
        var poller = Poller(capacity: 1)
        poller.add(isThere)
        _ = try? poller.wait(timeout: nil)
        return value.withLock { $0 }
    }
}
