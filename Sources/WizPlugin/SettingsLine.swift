// The first line of standard input, by which a host hands over settings and secrets: bounded in time and length.

internal import Glibc

/// Reads the line.
enum SettingsLine {
    static let longest = 1 << 20

    /// What came.
    enum Outcome: Hashable {
        case line([UInt8])
        /// A signal came first.
        case stopped(Int32)
        /// Standard input ended before the line did: the host has gone.
        case ended
    }

    /// Waits for the line.
    ///
    /// - Parameters:
    ///   - input: Where the line comes from.
    ///   - signals: A descriptor on which a signal that came arrives as a byte.
    ///   - bound: How long to wait.
    /// - Returns: what came; what follows the line in the same piece is dropped.
    /// - Throws: ``PluginError/configuration(_:)`` when it is too long, ``PluginError/notReady(reason:retryAfter:)`` when it is
    ///   late.
    static func read(from input: Int32, signals: Int32, within bound: Duration) throws(PluginError) -> Outcome {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let end = ContinuousClock.now + bound
        while true {
            var descriptors = [
                pollfd(fd: input, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
            ]
            let left = ContinuousClock.now.duration(to: end)
            guard left > .zero else {
                throw .notReady(
                    reason: "no settings came over standard input within \(bound), which WIZ_SETTINGS=stdin promises",
                    retryAfter: nil
                )
            }
            let milliseconds = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000 + 1
            guard poll(&descriptors, 2, Int32(clamping: milliseconds)) > 0 else { continue }
            var number: UInt8 = 0
            if descriptors[1].revents != 0, Glibc.read(signals, &number, 1) == 1 { return .stopped(Int32(number)) }
            guard descriptors[0].revents != 0 else { continue }
            let count = Glibc.read(input, &buffer, buffer.count)
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else { return .ended }
            let piece = buffer.prefix(count)
            let newline = piece.firstIndex(of: UInt8(ascii: "\n"))
            line.append(contentsOf: piece[..<(newline ?? piece.endIndex)])
            guard line.count <= longest else {
                throw .configuration("the settings on standard input are longer than \(longest) bytes")
            }
            if newline != nil { return .line(line) }
        }
    }
}
