// What the probe tries. An attempt that the kernel stops is an answer with the kernel's words, never a failed call.

import Glibc
import WizPlugin

/// Who the process is, as the kernel tells it.
struct About: Encodable {
    /// Its user inside the sandbox.
    let user = getuid()
    /// Its effective capabilities, in hexadecimal: zeros are none.
    let capabilities: String
    /// Whether no program that it starts may gain privileges.
    let noNewPrivileges: Bool
    /// The process ids that it sees, its own included.
    let processes: [Int32]

    init() {
        let status = lines(of: "/proc/self/status")
        capabilities = Self.field("CapEff:", status) ?? "unknown"
        noNewPrivileges = Self.field("NoNewPrivs:", status) == "1"
        processes = names(in: "/proc").compactMap { Int32($0) }.sorted()
    }

    private static func field(_ name: String, _ lines: [Substring]) -> String? {
        lines.first { $0.hasPrefix(name) }?.split(separator: "\t").last.map(String.init)
    }
}

/// An IPv4 address and a port.
struct Target: Decodable {
    var address: String
    var port: UInt16
}

/// A path, and whether to write.
struct File: Decodable {
    var path: String
    var write: Bool?
}

/// An amount of memory.
struct Amount: Codable {
    var megabytes: Int
}

/// How the kernel answered an attempt.
struct Attempt: Encodable {
    /// Whether it let it pass.
    let allowed: Bool
    /// The call that decided: "socket", "connect", "open".
    let call: String
    /// The kernel's words when it did not.
    var error: String?

    static func connect(_ target: Target) -> Attempt {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return failed("socket") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = target.port.bigEndian
        guard inet_pton(AF_INET, target.address, &address.sin_addr) == 1 else {
            return Attempt(allowed: false, call: "connect", error: "\(target.address) is no IPv4 address")
        }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        // A connection under way has passed the sandbox; whether somebody answers is another question.
        if result == 0 || errno == EINPROGRESS || errno == ECONNREFUSED {
            return Attempt(allowed: true, call: "connect")
        }
        return failed("connect")
    }

    static func open(_ file: File) -> Attempt {
        let descriptor = Glibc.open(file.path, file.write == true ? O_WRONLY | O_CREAT : O_RDONLY, 0o600)
        guard descriptor >= 0 else { return failed("open") }
        close(descriptor)
        return Attempt(allowed: true, call: "open")
    }

    private static func failed(_ call: String) -> Attempt {
        Attempt(allowed: false, call: call, error: String(cString: strerror(errno)))
    }
}

/// Takes memory 16 MB at a time, as a leak in a hurry does, and writes to every page of it, so that it counts.
@Sendable func hog(_ amount: Amount) async throws -> Amount {
    let block = 16 << 20
    var taken: [UnsafeMutableRawPointer] = []
    defer { for pointer in taken { pointer.deallocate() } }
    for _ in 0..<max(1, min(amount.megabytes, 4096) / 16) {
        let pointer = UnsafeMutableRawPointer.allocate(byteCount: block, alignment: 4096)
        for page in stride(from: 0, to: block, by: 4096) {
            pointer.storeBytes(of: 1, toByteOffset: page, as: UInt8.self)
        }
        taken.append(pointer)
        try await Task.sleep(for: .milliseconds(40))
    }
    return amount
}

/// Says something on standard error, as programs do before they end, and aborts.
@Sendable func crash() -> Nothing {
    let words = "sandbox-probe: crashing, as it was told to\n"
    _ = write(STDERR_FILENO, words, words.utf8.count)
    abort()
}

private func lines(of path: String) -> [Substring] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    let count = fread(&buffer, 1, buffer.count, file)
    return String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n")
}

private func names(in folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        names.append(name)
    }
    return names
}
