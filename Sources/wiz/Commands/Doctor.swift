// `wiz doctor`: whether everything that a mesh needs is here; each line is ok, a warning or a failure with what to type.

import ArgumentParser
import Broker
import CLinuxShims
import ConfigDocument
import Glibc
import Manifest
import MeshClient
import MeshProtocol
import PluginHost

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check whether everything that a mesh needs is here.",
        discussion: "Exit code 0 when nothing failed, 1 when something did. A broker that does not run is a warning."
    )

    @Option(help: "The mesh file to check. Default: mesh.yaml, if it is there.")
    var mesh: String?
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        var findings = [library(), system(), openFiles(), processHandles(), runFolder()]
        findings += meshFile()
        findings.append(await reach())
        let isolation = await SystemLauncher().probe()
        findings.append(sandbox(isolation))
        if !output.json {
            let style = Terminal.output.style
            let width = findings.map(\.subject.count).max() ?? 0
            for finding in findings { Terminal.output.write(finding.text(style, width: width)) }
            show(isolation, style)
            let failed = findings.count { $0.verdict == .fail }
            let warned = findings.count { $0.verdict == .warn }
            Terminal.output.line(
                (failed > 0 ? style.red("\(failed) failed") : style.green("nothing failed"))
                    + (warned > 0 ? ", \(count(warned, "warning"))" : "")
            )
        } else {
            Terminal.output.line(
                JSON.object([
                    "ok": .boolean(!findings.contains { $0.verdict == .fail }), "checks": .list(findings.map(\.json)),
                    "isolation": .list(isolation.map(json)),
                ]).json
            )
        }
        if findings.contains(where: { $0.verdict == .fail }) { throw ExitCode(WizExit.failed.rawValue) }
    }

    /// One line for all that plugins may not do; the table follows.
    private func sandbox(_ isolation: [SandboxFinding]) -> Finding {
        let open = isolation.filter { !$0.isProven }
        guard let first = open.first else {
            return Finding(.ok, "isolation", "every permission and limit is enforced, seen just now")
        }
        let names = open.map(\.subject).joined(separator: ", ")
        return Finding(
            .warn,
            "isolation",
            "not enforced here: \(names)",
            "\(first.detail)\nplugins with `enforcement: require`, the default, do not start until it is"
        )
    }

    private func show(_ isolation: [SandboxFinding], _ style: Style) {
        let width = 2 + (isolation.compactMap { $0.mechanism?.count }.max() ?? 10)
        Terminal.output.line("")
        Terminal.output.line(
            style.bold("\(pad("isolation", to: 22))\(pad("proven now", to: 12))\(pad("mechanism", to: width))seen")
        )
        for line in isolation {
            let proven = pad(line.isProven ? "yes" : "NO", to: 12)
            Terminal.output.line(
                pad(line.subject, to: 22) + (line.isProven ? style.green(proven) : style.red(proven))
                    + pad(clean(line.mechanism ?? "none"), to: width) + clean(line.detail)
            )
        }
        Terminal.output.line("")
    }

    private func json(_ line: SandboxFinding) -> JSON {
        .object([
            "subject": .string(line.subject), "mechanism": line.mechanism.map { .string($0) } ?? .null,
            "proven": .boolean(line.isProven), "detail": .string(line.detail),
        ])
    }

    private func library() -> Finding {
        let version = Broker.zeroMQVersion
        let numbers = version.split(separator: ".").compactMap { Int($0) }
        let isNewEnough = numbers.count == 3 && (numbers[0], numbers[1]) >= (4, 3)
        return isNewEnough
            ? Finding(
                .ok,
                "versions",
                "wizmesh \(WizmeshVersion.current), protocol \(WizmeshVersion.wireProtocol), libzmq \(version)"
            )
            : Finding(
                .fail,
                "versions",
                "libzmq \(version) is too old: 4.3 is needed",
                "sudo apt-get install libzmq3-dev"
            )
    }

    private func system() -> Finding {
        var name = utsname()
        uname(&name)
        func text<Value>(_ value: Value) -> String {
            withUnsafeBytes(of: value) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
        }
        #if compiler(>=6.3)
        let compiler = "Swift 6.3 or newer"
        #else
        let compiler = "Swift before 6.3"
        #endif
        let cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        return Finding(
            .ok,
            "system",
            "\(text(name.sysname)) \(text(name.release)) \(text(name.machine)), \(cores) cores, built with \(compiler)"
        )
    }

    private func openFiles() -> Finding {
        var soft: UInt64 = 0
        var hard: UInt64 = 0
        guard wiz_get_open_file_limit(&soft, &hard) == 0 else {
            return Finding(.warn, "open files", "the limit cannot be read")
        }
        let text = "limit \(limit(soft)), at most \(limit(hard))"
        if hard < 4096 {
            return Finding(
                .warn,
                "open files",
                text + ": a few hundred peers at most",
                "ulimit -Hn 65536   (as root, or in limits.conf)"
            )
        }
        return Finding(.ok, "open files", text + " (the broker raises its own)")
    }

    private func limit(_ number: UInt64) -> String { number > 1 << 40 ? "none" : "\(number)" }

    private func processHandles() -> Finding {
        let pidfd = wiz_pidfd_open(getpid())
        defer { if pidfd >= 0 { _ = wiz_close(pidfd) } }
        if pidfd >= 0 { return Finding(.ok, "process handles", "the kernel tells at once when a plugin ends (pidfd)") }
        return Finding(
            .warn,
            "process handles",
            "the kernel has no pidfd: ends of plugins are noticed a little later",
            "use Linux 5.4 or newer"
        )
    }

    private func runFolder() -> Finding {
        let folder = BrokerOptions.runFolder
        var status = stat()
        guard stat(folder, &status) == 0 else {
            let parent = folder.lastIndex(of: "/").map { String(folder[..<$0]) } ?? "."
            return access(parent.isEmpty ? "/" : parent, W_OK) == 0
                ? Finding(.ok, "run folder", "\(folder) will be made by the broker")
                : Finding(
                    .fail,
                    "run folder",
                    "\(folder) cannot be made: \(parent) is not writable",
                    "export WIZ_RUN=$HOME/.wizmesh"
                )
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            return Finding(.fail, "run folder", "\(folder) is no folder", "rm \(folder)")
        }
        guard status.st_uid == geteuid() else {
            return Finding(
                .fail,
                "run folder",
                "\(folder) belongs to user \(status.st_uid)",
                "export WIZ_RUN=$HOME/.wizmesh"
            )
        }
        guard status.st_mode & 0o077 == 0 || [0o710, 0o750].contains(status.st_mode & 0o777) else {
            return Finding(.fail, "run folder", "others may enter \(folder)", "chmod 700 \(folder)")
        }
        return Finding(.ok, "run folder", folder)
    }

    private func meshFile() -> [Finding] {
        let path = mesh ?? "mesh.yaml"
        if mesh == nil, access(path, F_OK) != 0 {
            return [Finding(.ok, "mesh file", "no mesh.yaml here; name one with --mesh")]
        }
        let file: MeshFile
        do { file = try MeshFile(reading: path) } catch {
            return error.problems.map { Finding(.fail, "mesh file", $0.description) }
        }
        return [Finding(.ok, "mesh file", "\(path): mesh \(file.mesh), \(count(file.plugins.count, "plugin"))")]
            + file.warnings.map { Finding(.warn, "mesh file", $0) } + file.plugins.flatMap { plugin(of: $0) }
    }

    private func plugin(of entry: PluginEntry) -> [Finding] {
        let name = "plugin \(entry.name)"
        if let host = entry.host { return [Finding(.ok, name, "runs on the machine of the host \(host)")] }
        do {
            let manifest = try PluginManifest.load(folder: entry.folder, checking: .location)
            if let executable = entry.executable {
                guard access(executable, X_OK) == 0 else {
                    return [Finding(.fail, name, "\(executable) is not there or not executable", "make build")]
                }
            } else {
                _ = try manifest.main.resolve(in: entry.folder)
            }
            let asked = manifest.permissions.map(\.name).filter { !entry.permissions.contains($0) }
            guard asked.isEmpty else {
                return [
                    Finding(
                        .warn,
                        name,
                        "it asks for \(asked.joined(separator: ", ")), which is not granted",
                        "wiz grant \(entry.name) \(asked.joined(separator: " "))"
                    )
                ]
            }
            return [Finding(.ok, name, "\(manifest.version), \(Self.instances(entry))")]
        } catch let errors as ConfigErrors {
            return errors.problems.map { Finding(.fail, name, $0.description) }
        } catch {
            return [Finding(.fail, name, "\(error)", "make build")]
        }
    }

    private static func instances(_ entry: PluginEntry) -> String {
        guard let instances = entry.instances else { return "as many instances as its manifest says" }
        let (least, most) = (instances.lowerBound, instances.upperBound)
        return least == most ? count(least, "instance") : "\(least) to \(most) instances"
    }

    private func reach() async -> Finding {
        do {
            let begin = ContinuousClock.now
            let answer = try await broker.withMesh { try await $0.ask("info") }
            return Finding(
                .ok,
                "broker",
                "\(answer.text("version")) of mesh \(answer.text("mesh")) answers in "
                    + "\(Units.text(begin.duration(to: .now))), pid \(answer.number("pid"))"
            )
        } catch let failure as CommandFailure where failure.exit == .noBroker {
            return Finding(.warn, "broker", failure.message, "wiz up")
        } catch let failure as CommandFailure {
            return Finding(.fail, "broker", failure.message, failure.hint)
        } catch {
            return Finding(.fail, "broker", "\(error)")
        }
    }
}

/// One line of the doctor's.
private struct Finding: Sendable {
    enum Verdict: String, Sendable {
        case ok
        case warn
        case fail
    }

    let verdict: Verdict
    let subject: String
    let text: String
    let advice: String

    init(_ verdict: Verdict, _ subject: String, _ text: String, _ advice: String = "") {
        self.verdict = verdict
        self.subject = subject
        self.text = text
        self.advice = advice
    }

    var json: JSON {
        .object([
            "verdict": .string(verdict.rawValue), "subject": .string(subject), "text": .string(text),
            "advice": .string(advice),
        ])
    }

    func text(_ style: Style, width: Int) -> String {
        let mark =
            switch verdict {
            case .ok: style.green("ok  ")
            case .warn: style.yellow("warn")
            case .fail: style.red("fail")
            }
        var line = "\(mark)  \(style.bold(pad(subject, to: width)))  \(clean(text))\n"
        for advice in advice.split(separator: "\n") {
            line += "      " + style.cyan("→") + " \(clean(String(advice)))\n"
        }
        return line
    }
}
