// A host that tests kill: it starts one program and tells its process id, and waits for the program's end.

import Glibc
import PluginHost

@main
enum SandboxHost {
    /// Arguments: the launcher, the folder of a test's place, the enforcement, the program and its arguments.
    static func main() async {
        let words = CommandLine.arguments.dropFirst()
        guard words.count >= 4, let enforcement = Enforcement(rawValue: words[words.startIndex + 2]) else { return }
        let place = words[words.startIndex + 1]
        let launcher = SystemLauncher(SystemLauncher.Configuration(launcher: words[words.startIndex]))
        let order = LaunchOrder(
            label: "child#1@1",
            program: words[words.startIndex + 3],
            arguments: Array(words.dropFirst(4)),
            folder: place + "/plugin",
            enforcement: enforcement,
            meshFolder: place + "/mesh",
            dataFolder: place + "/data"
        )
        do {
            let process = try await launcher.launch(order) { _, _ in }
            tell("child \(process.process)")
            _ = await process.end()
        } catch {
            tell("failed \(error)")
        }
    }

    /// At once: a test waits for it at the other end of a pipe.
    private static func tell(_ text: String) {
        _ = (text + "\n").utf8CString.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count - 1) }
    }
}
