// The log of `wiz up`: the lines of the broker and of every plugin process on one stream, each with its source, coloured on a
// terminal, or as JSON lines. Also the log handler that brings the broker's own messages here.

import ConfigDocument
import Glibc
import Logging
import Synchronization

/// Prints lines with their source.
final class LogPrinter: Sendable {
    /// What a line is about.
    enum Mark: Sendable {
        /// A line that a process wrote.
        case line
        /// Something that went well.
        case good
        /// Something to look at.
        case warning
        /// Something that failed.
        case bad
    }

    let asJSON: Bool
    /// Whether printing waits until the output takes it; who runs a mesh must not.
    private let waits: Bool
    private let width = Atomic<Int>(8)
    private let progress = Mutex<Progress?>(nil)
    private static let queue = OutputQueue()

    init(asJSON: Bool, waits: Bool = false) {
        self.asJSON = asJSON
        self.waits = waits
    }

    /// Waits a moment for what was printed to be written.
    static func flush() { queue.flush(within: .seconds(2)) }

    /// The moving line that steps aside for log lines.
    func setProgress(_ progress: Progress?) { self.progress.withLock { $0 = progress } }

    /// Makes room for a source's name.
    func makeRoom(for source: String) { width.max(source.count, ordering: .relaxed) }

    /// Prints a line.
    ///
    /// - Parameters:
    ///   - source: Who says it: `broker`, or a plugin's process such as `echo#1`.
    ///   - text: What is said.
    ///   - mark: What it is about.
    ///   - fields: Further fields of the JSON line.
    ///   - past: When it was said, in milliseconds since 1970; now unless given.
    func print(
        _ source: String,
        _ text: String,
        mark: Mark = .line,
        fields: [JSON.Entry] = [],
        at past: Int64? = nil
    ) {
        let time = past.map { UInt64(clamping: $0) &* 1_000_000 } ?? now()
        if asJSON {
            let entries: [JSON.Entry] = [
                .init(key: "time", value: .integer(Int64(clamping: time / 1_000_000))),
                .init(key: "source", value: .string(source)), .init(key: "message", value: .string(text)),
            ]
            write(JSON.mapping(entries + fields).json + "\n")
            return
        }
        let style = Terminal.output.style
        let name = pad(cut(source, to: 24), to: width.load(ordering: .relaxed))
        let bar = style.dim("│")
        let head = "\(style.dim(clockText(nanosecondsSince1970: time))) \(style.named(name, by: source)) \(bar) "
        var whole = ""
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = clean(String(line))
            let isFirst = index == 0
            let body =
                switch mark {
                case .line: line
                case .good: style.green(isFirst ? "✓ " : "  ") + line
                case .warning: style.yellow((isFirst ? "! " : "  ") + line)
                case .bad: style.red((isFirst ? "✗ " : "  ") + line)
                }
            whole += head + body + "\n"
        }
        write(whole)
    }

    /// Prints text as it is.
    func write(_ text: String) {
        if waits { return Terminal.output.write(text) }
        let leftOut = Self.queue.add(text, progress.withLock { $0 })
        guard leftOut > 0 else { return }
        print("wiz", "\(count(leftOut, "message")) before this were left out: the output took no more", mark: .warning)
    }

    private func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// Brings log messages to a printer.
struct PrintingLogHandler: LogHandler {
    let printer: LogPrinter
    let source: String
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(_ printer: LogPrinter, source: String, level: Logger.Level) {
        self.printer = printer
        self.source = source
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let mark: LogPrinter.Mark =
            switch event.level {
            case .warning: .warning
            case .error, .critical: .bad
            default: .line
            }
        if printer.asJSON {
            let fields = all.map { JSON.Entry(key: $0.key, value: .string("\($0.value)")) }
            printer.print(
                source,
                "\(event.message)",
                fields: [
                    .init(key: "level", value: .string(event.level.rawValue)),
                    .init(key: "fields", value: .mapping(fields)),
                ]
            )
        } else {
            // A notice of the broker is a sentence that holds its fields already.
            let isNotice = all.contains { $0.key == "topic" }
            guard !isNotice || !isVisit(all) else { return }
            let fields = isNotice ? "" : all.map { " \($0.key)=\($0.value)" }.joined()
            printer.print(source, "\(event.message)" + fields, mark: mark)
        }
    }

    /// Whether a notice tells only that `wiz` itself came or went.
    private func isVisit(_ fields: [(key: String, value: Logger.Metadata.Value)]) -> Bool {
        let topic = fields.first { $0.key == "topic" }.map { "\($0.value)" } ?? ""
        let name = fields.first { $0.key == "name" }.map { "\($0.value)" } ?? ""
        let cause = fields.first { $0.key == "cause" }.map { "\($0.value)" } ?? "left"
        return topic.hasPrefix("mesh.session.") && (name == "wiz" || name == "wiz-up") && cause == "left"
    }
}
