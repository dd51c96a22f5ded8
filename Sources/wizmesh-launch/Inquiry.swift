// Inside a sandbox: tries what its words name and prints a line for each, `word=outcome`. The host's probe and the tests ask
// with it, so that what is said about a sandbox is what was seen in one.

import CLinuxShims
import Glibc

enum Inquiry {
    /// Answers each word: `ok`, the name of an error, or what was found.
    static func run(_ words: [String]) {
        var text = ""
        for word in words { text += "\(word)=\(answer(word))\n" }
        _ = text.utf8CString.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count - 1) }
    }

    private static func answer(_ word: String) -> String {
        let parts = word.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let value = parts.count > 1 ? parts[1] : ""
        switch parts[0] {
        case "socket":
            let numbers = value.split(separator: ":").compactMap { Int32($0) }
            guard numbers.count == 3 else { return "?" }
            return outcome(wiz_try_socket(numbers[0], numbers[1], numbers[2]))
        case "tcp":
            guard let colon = value.lastIndex(of: ":"), let port = UInt16(value[value.index(after: colon)...]) else {
                return "?"
            }
            return outcome(wiz_connect_address(String(value[..<colon]), port, 1000))
        case "proxy": return proxy(value)
        case "abstract": return outcome(wiz_try_abstract(value))
        case "unix": return outcome(wiz_connect_unix(value))
        case "read":
            let file = open(value, O_RDONLY | O_CLOEXEC)
            return outcome(file < 0 ? -errno : file)
        case "write": return write(in: value)
        case "status": return status(value)
        case "processes": return "\(processes())"
        case "mounts": return outcome(wiz_unshare_mounts())
        case "setuid": return outcome(setuid(0) == 0 ? 0 : -errno)
        case "signal": return outcome(Int32(value).map { wiz_kill($0, 0) } ?? -EINVAL)
        case "interfaces": return interfaces()
        case "environment": return getenv(value).map { String(cString: $0) } ?? "none"
        case "folder": return folder()
        case "processid": return "\(getpid())"
        default: return "?"
        }
    }

    static func outcome(_ code: Int32) -> String {
        guard code < 0 else {
            if code > STDERR_FILENO { close(code) }
            return "ok"
        }
        return names[-code] ?? String(cString: strerror(-code))
    }

    private static let names: [Int32: String] = [
        EACCES: "EACCES", EPERM: "EPERM", ENOENT: "ENOENT", ECONNREFUSED: "ECONNREFUSED", ENETUNREACH: "ENETUNREACH",
        ETIMEDOUT: "ETIMEDOUT", EROFS: "EROFS", ENOSPC: "ENOSPC", ESRCH: "ESRCH", EAFNOSUPPORT: "EAFNOSUPPORT",
        EINVAL: "EINVAL", EHOSTUNREACH: "EHOSTUNREACH", EADDRNOTAVAIL: "EADDRNOTAVAIL", EFBIG: "EFBIG",
    ]

    /// The status with which the proxy of the sandbox answers a request for a tunnel.
    private static func proxy(_ place: String) -> String {
        let file = wiz_connect_address("127.0.0.1", 3128, 5000)
        guard file >= 0 else { return outcome(file) }
        defer { close(file) }
        let request = Array("CONNECT \(place) HTTP/1.1\r\n\r\n".utf8)
        guard Glibc.write(file, request, request.count) == request.count else { return "no request" }
        var answer = [UInt8](repeating: 0, count: 64)
        let count = read(file, &answer, answer.count)
        let words = String(decoding: answer.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
        return words.count > 1 ? String(words[1]) : "no answer"
    }

    private static func write(in folder: String) -> String {
        let path = folder + "/wizmesh-probe-\(getpid())"
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { return outcome(-errno) }
        close(file)
        unlink(path)
        return "ok"
    }

    private static func status(_ key: String) -> String {
        for line in text("/proc/self/status").split(separator: "\n") where line.hasPrefix(key + ":") {
            return line.dropFirst(key.count + 1).drop { $0 == "\t" || $0 == " " }.description
        }
        return "none"
    }

    private static func interfaces() -> String {
        text("/proc/net/dev").split(separator: "\n").dropFirst(2).compactMap { line in
            line.split(separator: ":").first.map { $0.drop { $0 == " " }.description }
        }.joined(separator: ",")
    }

    private static func folder() -> String {
        guard let path = getcwd(nil, 0) else { return outcome(-errno) }
        defer { free(path) }
        return String(cString: path)
    }

    private static func processes() -> Int {
        guard let listing = opendir("/proc") else { return 0 }
        defer { closedir(listing) }
        var count = 0
        while let entry = readdir(listing) {
            let isNumber = withUnsafeBytes(of: &entry.pointee.d_name) { $0[0] >= 0x31 && $0[0] <= 0x39 }
            if isNumber { count += 1 }
        }
        return count
    }

    private static func text(_ path: String) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 16 * 1024)
        let count = read(file, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}
