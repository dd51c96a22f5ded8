// What this machine has for sandboxes: bubblewrap and its version, the launcher, the user that plugins become, the top
// folders of the system. Read once; every reason why something is missing comes with what to type.

import CLinuxShims
import Glibc

/// This machine, as far as sandboxes need it.
struct Machine: Sendable {
    let launcher: String?
    let bubblewrap: String?
    let facts: SandboxFacts

    static let noLauncher =
        "the program wizmesh-launch is not beside this one; install it there, or name it with WIZ_LAUNCH"

    init(_ configuration: SystemLauncher.Configuration) {
        launcher = Self.findLauncher(configuration.launcher)
        bubblewrap = Self.findBubblewrap(configuration.bubblewrap)
        var facts = SandboxFacts(
            bubblewrap: bubblewrap ?? "/usr/bin/bwrap",
            system: Self.systemFolders(),
            launcher: launcher ?? "",
            launchFolder: ""
        )
        let settings = [
            "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime",
        ]
        facts.settings = settings.filter { access($0, F_OK) == 0 }
        let network = [
            "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services",
            "/etc/ssl", "/etc/ca-certificates", "/etc/pki",
        ]
        facts.networkSettings = network.filter { access($0, F_OK) == 0 }
        facts.disablesUserNamespaces = bubblewrap.map(Self.knowsDisableUserNamespaces) ?? true
        facts.hasFilter = FilterArchitecture.current != nil
        facts.temporaryBytes = configuration.temporaryBytes
        if geteuid() == 0 {
            facts.account = configuration.account.map { Account(uid: $0.uid, gid: $0.gid) } ?? Self.account()
            facts.stages = true
        }
        self.facts = facts
    }

    /// What is missing for any sandbox.
    var problem: String? {
        if launcher == nil { return Self.noLauncher }
        if bubblewrap == nil { return "bubblewrap is not installed: sudo apt-get install bubblewrap" }
        return nil
    }

    /// A failure of bubblewrap in words that tell what to do.
    func explain(_ failure: any Error) -> String { explain("\(failure)") }

    func explain(_ text: String) -> String {
        if text.contains("uid map") || text.contains("Creating new namespace")
            || text.contains("No permissions to create")
        {
            if Self.setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
                return """
                    \(text): AppArmor keeps user namespaces from programs without a profile \
                    (kernel.apparmor_restrict_unprivileged_userns=1): install the profile for bwrap \
                    (sudo apt-get install apparmor-profiles), or sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0
                    """
            }
            if Self.setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
                return "\(text): user namespaces are off: sudo sysctl kernel.unprivileged_userns_clone=1"
            }
            if Self.setting("/proc/sys/user/max_user_namespaces") == "0" {
                return "\(text): user namespaces are off: sudo sysctl user.max_user_namespaces=15000"
            }
            return
                "\(text): namespaces are kept from this process, as in most containers; let the container be the sandbox (docs/ISOLATION.md)"
        }
        return text
    }

    private static func setting(_ path: String) -> String? {
        readText(path, atMost: 64)?.split(separator: "\n").first.map(String.init)
    }

    private static func findLauncher(_ given: String?) -> String? {
        if let path = given ?? getenv("WIZ_LAUNCH").map({ String(cString: $0) }) {
            return access(path, X_OK) == 0 ? realPath(path) : nil
        }
        guard let own = realPath("/proc/self/exe"), let slash = own.lastIndex(of: "/") else { return nil }
        let folder = own[..<slash]
        let places: [String] = ["\(folder)/wizmesh-launch", "\(folder)/../libexec/wizmesh-launch"]
        return places.first { access($0, X_OK) == 0 }.flatMap { realPath($0) }
    }

    private static func findBubblewrap(_ given: String?) -> String? {
        if let path = given ?? getenv("WIZ_BWRAP").map({ String(cString: $0) }) {
            return access(path, X_OK) == 0 ? path : nil
        }
        let places: [String] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"]
        return places.first { access($0, X_OK) == 0 }
    }

    /// Whether the program has the option in its text: asking it would take a process at each start of a host.
    private static func knowsDisableUserNamespaces(_ program: String) -> Bool {
        let file = open(program, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return true }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = read(file, &bytes, bytes.count)
        return wiz_contains(bytes, max(0, count), "--disable-userns")
    }

    private static func systemFolders() -> [SandboxFacts.SystemFolder] {
        ProgramLayout.systemFolders.compactMap { path in
            var status = stat()
            guard lstat(path, &status) == 0 else { return nil }
            guard status.st_mode & S_IFMT == S_IFLNK else { return .folder(path) }
            var target = [CChar](repeating: 0, count: 4096)
            let count = readlink(path, &target, target.count - 1)
            guard count > 0 else { return nil }
            return .link(
                path,
                target: String(decoding: target.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            )
        }
    }

    private static func account() -> Account {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16 * 1024)
        if getpwnam_r("wizmesh", &entry, &buffer, buffer.count, &found) == 0, found != nil, entry.pw_uid != 0 {
            return Account(uid: entry.pw_uid, gid: entry.pw_gid)
        }
        return Account(uid: 65534, gid: 65534)
    }
}
