// What the terminal can do: colour only on one and without NO_COLOR, its width, and texts made safe for it. Text that comes
// from workers is shown with its control characters removed.

import Glibc

/// One of the process's outputs.
struct Terminal: Sendable {
    let descriptor: Int32
    let isTerminal: Bool
    let style: Style

    static let output = Terminal(STDOUT_FILENO)
    static let errors = Terminal(STDERR_FILENO)

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        isTerminal = isatty(descriptor) == 1
        style = Style(
            isOn: Terminal.wantsColour(isTerminal: isTerminal, environment: { getenv($0).map { String(cString: $0) } })
        )
    }

    static func wantsColour(isTerminal: Bool, environment: (String) -> String?) -> Bool {
        if let no = environment("NO_COLOR"), !no.isEmpty { return false }
        if let force = environment("CLICOLOR_FORCE"), force != "0", !force.isEmpty { return true }
        return isTerminal && environment("TERM") != "dumb"
    }

    /// The number of columns; nil when this is no terminal.
    var width: Int? {
        guard isTerminal else { return nil }
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// The terminals that this process was started at.
    private static let own = (STDIN_FILENO...STDERR_FILENO).filter { isatty($0) == 1 }

    /// Notes which terminals there are.
    static func begin() { _ = own }

    /// Whether the terminal has gone, as when its window was closed.
    static var hasGone: Bool {
        var waits = own.map { pollfd(fd: $0, events: 0, revents: 0) }
        return !waits.isEmpty && poll(&waits, nfds_t(waits.count), 0) > 0
            && waits.contains { $0.revents & Int16(POLLHUP) != 0 }
    }

    /// Writes text at once.
    func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count < 0 {
                    guard errno == EINTR || errno == EAGAIN else { return }
                    // One that others have made non-blocking takes more when it can.
                    var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&wait, 1, -1)
                    continue
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }

    /// Writes a line at once.
    func line(_ text: String = "") { write(text + "\n") }
}

/// Colours, or none.
struct Style: Sendable {
    let isOn: Bool

    static let plain = Style(isOn: false)

    func bold(_ text: String) -> String { wrap(text, "1") }
    func dim(_ text: String) -> String { wrap(text, "2") }
    func red(_ text: String) -> String { wrap(text, "31") }
    func green(_ text: String) -> String { wrap(text, "32") }
    func yellow(_ text: String) -> String { wrap(text, "33") }
    func blue(_ text: String) -> String { wrap(text, "34") }
    func cyan(_ text: String) -> String { wrap(text, "36") }

    /// A colour that stays the same for the same name.
    func named(_ text: String, by name: String) -> String {
        let codes = ["36", "33", "35", "32", "34", "96", "93", "95", "92", "94"]
        let hash = name.utf8.reduce(UInt32(5381)) { ($0 &* 33) ^ UInt32($1) }
        return wrap(text, codes[Int(hash) % codes.count])
    }

    /// The colour of a state: green when well, yellow when not quite, red when bad.
    func state(_ word: String) -> String {
        switch word {
        case "alive", "ready", "ok": green(word)
        case "suspect", "draining", "paused", "starting", "backoff", "warn": yellow(word)
        default: red(word)
        }
    }

    private func wrap(_ text: String, _ code: String) -> String {
        isOn && !text.isEmpty ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

/// The text without control characters, so that nothing that a worker sends can move the cursor or colour the screen.
func clean(_ text: String, keepingLines: Bool = false) -> String {
    guard
        text.unicodeScalars.contains(where: { isControl($0, keepingLines: keepingLines) })
    else { return text }
    var scalars = String.UnicodeScalarView()
    for scalar in text.unicodeScalars where !isControl(scalar, keepingLines: keepingLines) { scalars.append(scalar) }
    return String(scalars)
}

private func isControl(_ scalar: Unicode.Scalar, keepingLines: Bool) -> Bool {
    if scalar == "\t" || (keepingLines && scalar == "\n") { return false }
    return scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || (0x202A...0x202E).contains(scalar.value)
        || (0x2066...0x2069).contains(scalar.value)
}

/// The text with spaces up to a width.
func pad(_ text: String, to width: Int, right: Bool = false) -> String {
    let space = String(repeating: " ", count: max(0, width - text.count))
    return right ? space + text : text + space
}

/// The text cut to a width, with an ellipsis when something is missing.
func cut(_ text: String, to width: Int) -> String {
    guard text.count > width else { return text }
    return width < 1 ? "" : String(text.prefix(width - 1)) + "…"
}
