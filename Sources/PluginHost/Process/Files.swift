// Small files and folders, as the process layer reads and writes them, and what an error number says.

import Glibc

/// What an error number says.
func errorText(_ code: Int32) -> String { String(cString: strerror(code < 0 ? -code : code)) }

/// Writes a new file.
func writeFile(_ path: String, _ bytes: [UInt8], mode: mode_t) -> Bool {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    guard file >= 0 else { return false }
    defer { close(file) }
    return write(file, bytes, bytes.count) == bytes.count
}

/// Reads a small file as text; nil when it cannot be read.
func readText(_ path: String, atMost limit: Int = 64 * 1024) -> String? {
    // Of a FIFO in its place nothing is read, and nobody waits for it.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: limit)
    var count = 0
    while count < limit {
        let got = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress?.advanced(by: count), limit - count) }
        if got < 0 {
            if errno == EINTR { continue }
            return nil
        }
        if got == 0 { break }
        count += got
    }
    return String(decoding: bytes.prefix(count), as: UTF8.self)
}

/// What is in a folder; nothing when it cannot be read.
func folderNames(_ path: String) -> [String] {
    guard let listing = opendir(path) else { return [] }
    defer { closedir(listing) }
    var names: [String] = []
    while let entry = readdir(listing) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}
