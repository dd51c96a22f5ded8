// What the host's tests share: script plugins in temporary folders, and a log of everything a host tells.

import Glibc
import PluginHost
import Synchronization

/// A plugin whose program is a shell script, in a temporary folder that ends with this value.
final class ScriptPlugin: Sendable {
    let path: String

    init(_ name: String, _ script: String, restart: String = "transient", more: String = "") throws {
        var template = Array("/tmp/wiz-host-XXXXXX\0".utf8CString)
        guard mkdtemp(&template) != nil, let real = realpath(template, nil) else { throw Failed() }
        path = String(cString: real)
        free(real)
        try write("main.sh", "#!/bin/sh\n" + script + "\n", mode: 0o755)
        try write(
            "plugin.json",
            #"{"name":"\#(name)","version":"1.0.0",\#(more)"main":"main.sh","restart":"\#(restart)"}"#,
            mode: 0o644
        )
    }

    deinit {
        unlink(path + "/main.sh")
        unlink(path + "/plugin.json")
        rmdir(path)
    }

    private func write(_ name: String, _ text: String, mode: mode_t) throws {
        guard let file = fopen(path + "/" + name, "w") else { throw Failed() }
        fputs(text, file)
        fclose(file)
        chmod(path + "/" + name, mode)
    }

    struct Failed: Error {}
}

/// Keeps what a host tells; a process counts as ready once it has written a line.
final class EventLog: Sendable {
    struct End: Sendable {
        let instance: InstanceID
        let process: Int32
        let cause: ExitCause
    }

    struct State {
        var lines: [String] = []
        var started: [InstanceID] = []
        var readyCount = 0
        var ends: [End] = []
        var spoken: Set<Int32> = []
        var processes: [InstanceID: Int32] = [:]
    }

    private let state = Mutex(
        (state: State(), waiters: [(test: @Sendable (State) -> Bool, wake: CheckedContinuation<Void, Never>)]())
    )
    private let readyLine: String

    init(readyOnLine line: String) { readyLine = line }

    var lines: [String] { state.withLock { $0.state.lines } }
    var started: [InstanceID] { state.withLock { $0.state.started } }
    var ends: [End] { state.withLock { $0.state.ends } }

    var hooks: HostHooks {
        HostHooks(
            endpoint: "ipc:///test",
            ticket: { "ticket-\($0)" },
            awaitReady: { [self] _, process in
                await wait { $0.spoken.contains(process) }
                try Task.checkCancellation()
            },
            ended: { _, _ in },
            event: { [self] in take($0) }
        )
    }

    /// Waits until what was told passes a test, or the task is cancelled.
    func wait(_ test: @escaping @Sendable (State) -> Bool) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let passes = state.withLock { all in
                    if !test(all.state), !Task.isCancelled {
                        all.waiters.append((test, continuation))
                        return false
                    }
                    return true
                }
                if passes { continuation.resume() }
            }
        } onCancel: {
            wake(all: true)
        }
    }

    private func wake(all everyone: Bool = false) {
        let woken = state.withLock { all in
            let state = all.state
            let woken = all.waiters.filter { everyone || $0.test(state) }
            all.waiters.removeAll { everyone || $0.test(state) }
            return woken
        }
        for waiter in woken { waiter.wake.resume() }
    }

    private func take(_ event: HostEvent) {
        state.withLock { all in
            switch event {
            case .started(let id, let process):
                all.state.started.append(id)
                all.state.processes[id] = process
            case .ready: all.state.readyCount += 1
            case .line(let id, let output, let text):
                all.state.lines.append("\(id) \(output.rawValue) \(text)")
                if text == readyLine, let process = all.state.processes[id] { all.state.spoken.insert(process) }
            case .exited(let id, let process, let cause, _, _):
                all.state.ends.append(End(instance: id, process: process, cause: cause))
            case .restarting, .left, .late: break
            }
        }
        wake()
    }
}
