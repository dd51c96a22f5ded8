// Reads a configuration file from disk, never more than the limit allows, and never from anything but a regular file: a
// pipe or a device in its place can neither block the reader nor feed it without end.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

extension ConfigDocument {
    /// Reads a file.
    ///
    /// - Parameters:
    ///   - path: Where the file is.
    ///   - source: What problems call it; its path unless given.
    ///   - format: Its language; by its name unless given.
    ///   - limits: Bounds.
    /// - Throws: why it cannot be opened or read.
    public init(
        path: String,
        source: String? = nil,
        format: ConfigFormat? = nil,
        limits: ConfigLimits = ConfigLimits()
    ) throws(ConfigErrors) {
        let source = source ?? path
        let bytes = try readRegularFile(path, source: source, limit: limits.bytes)
        try self.init(bytes: bytes, source: source, format: format ?? ConfigFormat(fileName: path), limits: limits)
    }
}

private func readRegularFile(_ path: String, source: String, limit: Int) throws(ConfigErrors) -> [UInt8] {
    func problem(_ message: String, expected: String? = nil) -> ConfigErrors {
        ConfigErrors(
            ConfigProblem(source: source, position: .start, pointer: "", message: message, expected: expected)
        )
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw problem("the file cannot be opened: \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
        throw problem("this is not a regular file", expected: "a file")
    }
    guard Int(status.st_size) <= limit else {
        throw problem("the file is too large: \(status.st_size) bytes", expected: "at most \(formatByteCount(limit))")
    }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while bytes.count <= limit {
        let count = read(descriptor, &chunk, chunk.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw problem("the file cannot be read: \(String(cString: strerror(errno)))") }
        if count == 0 { break }
        bytes.append(contentsOf: chunk[..<count])
    }
    return bytes
}
