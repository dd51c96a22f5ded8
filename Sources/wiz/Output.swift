// The two ways in which every command answers: for people (tables, colours) and with `--json` for programs, one document or
// one line for each element of a stream. Results go to standard output, everything else to standard error.

import ArgumentParser
import ConfigDocument

/// The options that every command has.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Answer in JSON: one document, or one line for each element of a stream.")
    var json = false

    /// Prints a result.
    func show(_ value: JSON, _ human: (Terminal) -> String) {
        let terminal = Terminal.output
        terminal.write(json ? value.json + "\n" : human(terminal))
    }

    /// Prints a table.
    func show(_ value: JSON, _ table: Table, empty: String) {
        show(value) { terminal in
            table.rows.isEmpty
                ? terminal.style.dim(empty) + "\n" : table.text(width: terminal.width, style: terminal.style)
        }
    }

    /// Prints that something was done.
    func done(_ value: JSON, _ sentence: String) {
        show(value) { $0.style.green("✓") + " " + sentence + "\n" }
    }
}

/// Tells a failure on standard error: what happened, and below it what to type next.
func tell(_ failure: CommandFailure, asJSON: Bool) {
    let terminal = Terminal.errors
    guard !asJSON else { return terminal.line(failure.json.json) }
    // Who types Ctrl-C knows.
    guard failure.message != CommandFailure.interrupted.message else { return }
    let style = terminal.style
    var text = style.red("error:") + " " + clean(failure.message, keepingLines: true) + "\n"
    if !failure.hint.isEmpty {
        for line in clean(failure.hint, keepingLines: true).split(separator: "\n") {
            text += style.cyan("  →") + " \(line)\n"
        }
    }
    terminal.write(text)
}

/// Tells something on standard error that is no failure.
func note(_ text: String) {
    let terminal = Terminal.errors
    terminal.line(terminal.style.dim(clean(text)))
}
