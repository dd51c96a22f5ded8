// What this machine can enforce, proven now: sandboxes with the very flags that plugins get, around a program that tries what
// is forbidden and tells how it went. `wiz doctor` prints the lines.

import CLinuxShims
import Glibc
import Manifest

/// What was found about one permission or limit.
public struct SandboxFinding: Hashable, Sendable {
    /// `networking`, `networking with hosts`, `storage`, `files`, `processes`, `privileges`, `memory`, `cpu`, `pids`, `open files`.
    public let subject: String
    /// What enforces it; nil: nothing can here.
    public let mechanism: String?
    /// Whether it was seen to hold just now.
    public let isProven: Bool
    /// What was seen, or why it does not hold.
    public let detail: String
}

extension SystemLauncher {
    /// Tries every mechanism, and tells what holds.
    ///
    /// - Returns: a line for each permission and each limit, in a fixed order.
    public func probe() async -> [SandboxFinding] {
        let subjects = ["networking", "networking with hosts", "storage", "files", "processes", "privileges"]
        guard let bench = ProbeBench() else {
            return subjects.map {
                SandboxFinding(subject: $0, mechanism: nil, isProven: false, detail: "no folder for the probe in /tmp")
            }
        }
        if let problem = await sandboxProblem() {
            let lines = subjects.map { SandboxFinding(subject: $0, mechanism: nil, isProven: false, detail: problem) }
            return lines + (await limits(bench, enforcement: .prefer))
        }
        var findings = [await networking(bench), await hosts(bench), await storage(bench)]
        findings += await confinement(bench)
        return findings + (await limits(bench, enforcement: .require))
    }

    private func networking(_ bench: ProbeBench) async -> SandboxFinding {
        let kinds = [
            ("TCP", "socket:2:1:0"), ("UDP", "socket:2:2:0"), ("IPv6", "socket:10:1:0"), ("raw", "socket:17:3:0"),
        ]
        let answers = await ask(bench, kinds.map(\.1) + ["interfaces", "unix:/run/wiz/mesh.sock"])
        let open = kinds.filter { answers.found[$0.1] == "ok" || answers.found[$0.1] == nil }.map(\.0)
        let isAlone = answers.found["interfaces"] == "lo"
        let reaches = answers.found["unix:/run/wiz/mesh.sock"] == "ok"
        return finding(
            "networking",
            answers,
            holds: open.isEmpty && isAlone && reaches,
            seen: "TCP, UDP, IPv6 and raw sockets are refused, the broker's socket is reached",
            else: open.isEmpty
                ? "the network is \(answers.found["interfaces"] ?? "unknown")"
                : "\(open.joined(separator: ", ")) is open"
        )
    }

    private func hosts(_ bench: ProbeBench) async -> SandboxFinding {
        let server = wiz_listen_loopback(0)
        defer { if server >= 0 { close(server) } }
        guard server >= 0, let port = ProbeBench.port(of: server), let pattern = HostPattern("127.0.0.1:\(port)") else {
            return SandboxFinding(
                subject: "networking with hosts",
                mechanism: nil,
                isProven: false,
                detail: "no port to try"
            )
        }
        let granted = "proxy:127.0.0.1:\(port)"
        let other = "proxy:127.0.0.1:\(port == 1 ? 2 : 1)"
        let answers = await ask(
            bench,
            [granted, other, "interfaces"],
            LaunchPermissions(networking: .hosts([pattern]))
        )
        return finding(
            "networking with hosts",
            subject: "networking",
            answers,
            holds: answers.found[granted] == "200" && answers.found[other] == "403"
                && answers.found["interfaces"] == "lo",
            seen: "a granted host is reached through the proxy, another is refused",
            else: "granted: \(answers.found[granted] ?? "no answer"), other: \(answers.found[other] ?? "no answer")"
        )
    }

    private func storage(_ bench: ProbeBench) async -> SandboxFinding {
        let with = await ask(bench, ["write:/data"], LaunchPermissions(storage: true))
        let without = await ask(bench, ["write:/data", "write:/plugin"])
        return finding(
            "storage",
            with,
            holds: with.found["write:/data"] == "ok" && without.found["write:/data"] != "ok"
                && without.found["write:/plugin"] == "EROFS",
            seen: "/data is there with the permission, and nothing of it without",
            else: "with: \(with.found["write:/data"] ?? "?"), without: \(without.found["write:/data"] ?? "?")"
        )
    }

    private func confinement(_ bench: ProbeBench) async -> [SandboxFinding] {
        let hidden = ["/etc/passwd", "/root", "/home", bench.path]
        let closed = ["/", "/usr", "/plugin", "/dev", "/run/wiz"]
        let capabilities = ["status:CapEff", "status:CapBnd"]
        let answers = await ask(
            bench,
            hidden.map { "read:" + $0 } + closed.map { "write:" + $0 } + capabilities
                + ["processes", "signal:\(getpid())", "status:NoNewPrivs", "mounts", "setuid"]
        )
        let seen = hidden.filter { answers.found["read:" + $0] != "ENOENT" }
        let writable = closed.filter { answers.found["write:" + $0] == "ok" || answers.found["write:" + $0] == nil }
        let none = "0000000000000000"
        return [
            finding(
                "files",
                answers,
                holds: seen.isEmpty && writable.isEmpty,
                seen: "home, /etc and others' files are not there; the system and the plugin's folder are read-only",
                else: "seen: \(seen.joined(separator: ", ")); writable: \(writable.joined(separator: ", "))"
            ),
            finding(
                "processes",
                answers,
                holds: answers.found["processes"] == "1" && answers.found["signal:\(getpid())"] == "ESRCH",
                seen: "no other process is seen or signalled",
                else: "\(answers.found["processes"] ?? "?") processes are seen"
            ),
            finding(
                "privileges",
                answers,
                holds: capabilities.allSatisfy { answers.found[$0] == none }
                    && answers.found["status:NoNewPrivs"] == "1"
                    && answers.found["mounts"] == "EPERM" && answers.found["setuid"] != "ok",
                seen: "no capabilities, no set-uid, no mounts",
                else: "CapEff \(answers.found["status:CapEff"] ?? "?"), mounts \(answers.found["mounts"] ?? "?")"
            ),
        ]
    }

    /// What holds limits: a process with all of them was started, which the launcher refuses when one cannot be set.
    private func limits(_ bench: ProbeBench, enforcement: Enforcement) async -> [SandboxFinding] {
        let all = ProcessLimits(memoryBytes: 256 << 20, cpuPercent: 100, processCount: 32, openFileCount: 64)
        let answers = await ask(bench, ["processes"], limits: all, enforcement: enforcement)
        return ["memory", "cpu", "pids", "open files"].map { subject in
            let line = answers.report[subject]
            return SandboxFinding(
                subject: subject,
                mechanism: line?.mechanism,
                isProven: line?.isEnforced == true && answers.found["processes"] != nil,
                detail: line?.reason.map { "no control group: \($0)" } ?? answers.failure
                    ?? "a process was started with it"
            )
        }
    }

    private func finding(
        _ name: String,
        subject: String? = nil,
        _ answers: ProbeAnswers,
        holds: Bool,
        seen: String,
        else missing: String
    ) -> SandboxFinding {
        SandboxFinding(
            subject: name,
            mechanism: answers.report[subject ?? name]?.mechanism,
            isProven: holds,
            detail: holds ? seen : answers.failure ?? missing
        )
    }

    private func ask(
        _ bench: ProbeBench,
        _ questions: [String],
        _ permissions: LaunchPermissions = LaunchPermissions(),
        limits: ProcessLimits = ProcessLimits(),
        enforcement: Enforcement = .require
    ) async -> ProbeAnswers {
        let order = LaunchOrder(
            label: "probe",
            program: machine.launcher ?? "",
            arguments: ["probe", "--"] + questions,
            folder: bench.path + "/plugin",
            permissions: permissions,
            limits: limits,
            enforcement: enforcement,
            meshFolder: bench.path + "/mesh",
            dataFolder: bench.path + "/data"
        )
        let lines = LastLines(questions.count)
        do {
            let process = try await launch(order) { output, text in if output == .standardOutput { lines.add(text) } }
            let end = await process.end()
            var found: [String: String] = [:]
            for line in lines.lines {
                guard let equals = line.lastIndex(of: "=") else { continue }
                found[String(line[..<equals])] = String(line[line.index(after: equals)...])
            }
            return ProbeAnswers(
                found: found,
                report: process.isolation,
                failure: found.isEmpty ? "the probe ended with \(end.cause)" : nil
            )
        } catch {
            return ProbeAnswers(found: [:], report: IsolationReport(), failure: "\(error)")
        }
    }
}

/// What a probe said.
private struct ProbeAnswers {
    var found: [String: String]
    var report: IsolationReport
    var failure: String?
}

/// Folders for a probe, with a socket in place of the broker's, which end with this value.
private final class ProbeBench: Sendable {
    let path: String
    private let listener: Int32

    init?() {
        var template = Array("/tmp/wiz-probe-XXXXXX\0".utf8CString)
        guard mkdtemp(&template) != nil else { return nil }
        path = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(path, 0o755)
        for name in ["/plugin", "/mesh"] { mkdir(path + name, 0o755) }
        listener = wiz_listen_unix(path + "/mesh/mesh.sock")
    }

    deinit {
        if listener >= 0 { close(listener) }
        unlink(path + "/mesh/mesh.sock")
        for name in ["/plugin", "/mesh", "/data", ""] { rmdir(path + name) }
    }

    /// The port on which a socket of the loopback listens.
    static func port(of file: Int32) -> UInt16? {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let told = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(file, $0, &length) }
        }
        return told == 0 ? UInt16(bigEndian: address.sin_port) : nil
    }
}
