// The log of a plugin: one line for each record on standard error, which the host prefixes with the plugin's name.

internal import Glibc

/// Writes records as `level: message key=value`.
struct LineLog: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let pairs = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let fields = pairs.map { " \($0.key)=\($0.value)" }.joined()
        let level = event.level == .info ? "" : "\(event.level): "
        Self.write(level + "\(event.message)" + fields)
    }

    /// Writes a line to standard error in one piece.
    static func write(_ line: String) {
        let bytes = Array((line.split(whereSeparator: \.isNewline).joined(separator: " | ") + "\n").utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
