// A line on standard error that moves while something takes long, on a terminal only. Everything else that is written while
// it stands must go through it, so that it never mixes with a line.

import Synchronization

/// A moving line on the terminal.
final class Progress: Sendable {
    private struct State {
        var text: String
        var isShown = false
        var frame = 0
        var task: Task<Void, Never>?
    }

    private static let frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]
    private let terminal = Terminal.errors
    private let isOn: Bool
    private let state: Mutex<State>

    /// A line that moves from now on; `isQuiet` keeps it away.
    init(_ text: String, isQuiet: Bool = false) {
        isOn = !isQuiet && Terminal.errors.isTerminal
        state = Mutex(State(text: text))
        guard isOn else { return }
        let task = Task { [weak self] in
            while !Task.isCancelled {
                self?.draw()
                try? await Task.sleep(for: .milliseconds(80))
            }
        }
        state.withLock { $0.task = task }
    }

    /// Changes the text.
    func update(_ text: String) { state.withLock { $0.text = text } }

    /// Writes something else: the line steps aside for it.
    func write(_ text: String, to output: Terminal) {
        state.withLock { state in
            erase(&state)
            output.write(text)
        }
    }

    /// Takes the line away.
    func finish() {
        state.withLock { state in
            state.task?.cancel()
            state.task = nil
            erase(&state)
        }
    }

    private func draw() {
        state.withLock { state in
            guard state.task != nil, !Task.isCancelled else { return }
            state.frame = (state.frame + 1) % Self.frames.count
            let width = terminal.width ?? 80
            terminal.write(
                "\r\u{1B}[2K" + terminal.style.cyan(Self.frames[state.frame]) + " " + cut(state.text, to: width - 3)
            )
            state.isShown = true
        }
    }

    private func erase(_ state: inout State) {
        guard state.isShown else { return }
        terminal.write("\r\u{1B}[2K")
        state.isShown = false
    }
}
