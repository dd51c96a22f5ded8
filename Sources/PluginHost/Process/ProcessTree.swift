// A process and all below it, as /proc tells: who they are and what they use. In a sandbox nobody leaves the tree, since
// orphans go to the first process of their namespace; without one they go to the supervisor.

import Glibc

enum ProcessTree {
    /// The process and all below it.
    static func members(of root: Int32) -> [Int32] {
        var found = [root]
        var next = 0
        while next < found.count, found.count < 4096 {
            found += children(of: found[next])
            next += 1
        }
        return found
    }

    /// What the process and all below it use.
    static func usage(of root: Int32) -> UsageSample {
        var sample = UsageSample()
        for process in members(of: root) {
            guard let memory = readText("/proc/\(process)/statm", atMost: 256), let pages = privatePages(memory),
                let text = readText("/proc/\(process)/stat", atMost: 1024), let stat = Stat(text)
            else { continue }
            sample.memoryBytes += pages * pageSize
            sample.cpu += stat.cpu
            sample.taskCount += stat.threads
            if stat.isRunnable { sample.runnableCount += 1 }
        }
        return sample
    }

    /// Resident pages without those of files that others may have as well.
    static func privatePages(_ text: String) -> Int64? {
        let numbers = text.split(separator: " ").prefix(3).compactMap { Int64($0) }
        return numbers.count == 3 ? max(0, numbers[1] - numbers[2]) : nil
    }

    /// The part of `/proc/PID/stat` that counts here.
    struct Stat: Hashable {
        let cpu: Duration
        let threads: Int
        let isRunnable: Bool

        init?(_ text: String) {
            // The name, in brackets, may hold anything.
            guard let close = text.lastIndex(of: ")") else { return nil }
            let fields = text[text.index(after: close)...].split(separator: " ")
            guard fields.count > 17, let threads = Int(fields[17]) else { return nil }
            let ticks = fields[11...14].compactMap { Int64($0) }
            guard ticks.count == 4 else { return nil }
            cpu = .milliseconds(ticks.reduce(0, +) * 1000 / ticksPerSecond)
            self.threads = threads
            isRunnable = fields[0] == "R"
        }
    }

    private static let pageSize = Int64(sysconf(Int32(_SC_PAGESIZE)))
    private static let ticksPerSecond = max(1, Int64(sysconf(Int32(_SC_CLK_TCK))))

    private static func children(of process: Int32) -> [Int32] {
        var found: [Int32] = []
        for thread in folderNames("/proc/\(process)/task") {
            guard let text = readText("/proc/\(process)/task/\(thread)/children") else { continue }
            found += text.split(separator: " ").compactMap { Int32($0) }
        }
        return found
    }
}
