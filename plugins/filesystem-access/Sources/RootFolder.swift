// The folder below which everything happens. Paths are opened by descriptors that the kernel keeps below it
// (openat2), so that neither "..", nor a link, nor a folder that is moved meanwhile leads out. Calls Linux alone.

import CLinuxShims
import Glibc
import WizPlugin

/// What a path is.
struct FileFacts: Encodable, Sendable, Hashable {
    var path: String
    /// `file`, `folder`, `link` or `other`.
    var kind: String
    var bytes: Int64
    /// Seconds since 1970-01-01 UTC.
    var modified: Int64

    init(path: String, _ status: stat) {
        self.path = path
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: "file"
            case S_IFDIR: "folder"
            case S_IFLNK: "link"
            default: "other"
            }
        bytes = Int64(status.st_size)
        modified = Int64(status.st_mtim.tv_sec)
    }
}

/// A path that cannot lead out by its words alone.
struct RelativePath: Sendable, Hashable {
    let steps: [String]

    /// - Throws: ``MeshError`` PERMISSION_DENIED for a path that leads out, INVALID_ARGUMENT for one that is none.
    init(_ text: String) throws(MeshError) {
        guard !text.utf8.contains(0), text.utf8.count <= 4096 else {
            throw MeshError(.invalidArgument, "the path is longer than 4096 bytes or holds a zero byte")
        }
        guard !text.hasPrefix("/") else { throw Self.leavesRoot(text) }
        let steps = text.split(separator: "/").map(String.init).filter { $0 != "." }
        guard !steps.contains("..") else { throw Self.leavesRoot(text) }
        guard steps.allSatisfy({ $0.utf8.count <= 255 }) else {
            throw MeshError(.invalidArgument, "a part of the path is longer than 255 bytes")
        }
        self.steps = steps
    }

    init(steps: [String]) { self.steps = steps }

    var text: String { steps.joined(separator: "/") }
    var parent: RelativePath { RelativePath(steps: Array(steps.dropLast())) }

    static func leavesRoot(_ text: String) -> MeshError {
        MeshError(
            .permissionDenied,
            "the path \"\(text)\" leads out of the root folder",
            hint: "Paths are relative to the root; \"..\", a leading \"/\" and links are refused."
        )
    }
}

/// A descriptor that is closed when it is let go.
final class Descriptor: Sendable {
    let number: Int32
    init(_ number: Int32) { self.number = number }
    deinit { wiz_close(number) }
}

/// Does what the service offers, below one folder.
struct RootFolder: Sendable {
    let folder: Descriptor
    let maximumBytes: Int

    /// Opens the root, and makes it when it is not there.
    init(path: String, maximumBytes: Int) throws(PluginError) {
        var made = path.hasPrefix("/") ? "/" : "."
        for step in path.split(separator: "/") {
            made += "/" + step
            mkdir(made, 0o700)
        }
        guard let pointer = opendir(path) else {
            throw .configuration("the root folder \(path) could not be opened: \(String(cString: strerror(errno)))")
        }
        defer { closedir(pointer) }
        // The stream's descriptor ends with it: a second one stays.
        let descriptor = fcntl(dirfd(pointer), F_DUPFD_CLOEXEC, 3)
        guard descriptor >= 0 else { throw .configuration("the root folder \(path) could not be opened") }
        folder = Descriptor(descriptor)
        self.maximumBytes = maximumBytes
    }

    func open(_ path: RelativePath, _ flags: Int32, mode: UInt32 = 0) throws -> Descriptor {
        let result = wiz_open_beneath(folder.number, path.text, flags, mode)
        guard result >= 0 else { throw Self.error(-result, path) }
        return Descriptor(result)
    }

    private func openParent(_ path: RelativePath, makingFolders: Bool = false) throws -> (Descriptor, name: String) {
        guard let name = path.steps.last else { throw MeshError(.invalidArgument, "the path is empty") }
        if makingFolders {
            for count in path.steps.indices.dropFirst() {
                let above = try open(RelativePath(steps: Array(path.steps[..<(count - 1)])), O_RDONLY | O_DIRECTORY)
                if mkdirat(above.number, path.steps[count - 1], 0o755) != 0, errno != EEXIST {
                    throw Self.error(errno, path)
                }
            }
        }
        return (try open(path.parent, O_RDONLY | O_DIRECTORY), name)
    }

    /// Opens a file for reading; anything else than a file is refused.
    func openFile(_ path: RelativePath) throws -> (Descriptor, FileFacts) {
        let file = try open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw Self.error(errno, path) }
        let facts = FileFacts(path: path.text, status)
        guard facts.kind == "file" else {
            throw MeshError(.failedPrecondition, "\(path.text) is a \(facts.kind), not a file")
        }
        return (file, facts)
    }

    /// Reads a whole file.
    func read(_ path: RelativePath) throws -> [UInt8] {
        let (file, facts) = try openFile(path)
        guard facts.bytes <= maximumBytes else {
            throw MeshError(
                .outOfRange,
                "\(path.text) has \(facts.bytes) bytes, at most \(maximumBytes) are read at once",
                hint: "Read it with readStream."
            )
        }
        var bytes: [UInt8] = []
        while let chunk = try Self.chunk(of: file, path, count: 64 << 10) {
            bytes += chunk
            guard bytes.count <= maximumBytes else {
                throw MeshError(.outOfRange, "\(path.text) grew beyond \(maximumBytes) bytes while it was read")
            }
        }
        return bytes
    }

    /// The next bytes of a file; nil at its end.
    static func chunk(of file: Descriptor, _ path: RelativePath, count: Int) throws -> [UInt8]? {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let result = Glibc.read(file.number, buffer.baseAddress, count)
            if result < 0 { failure = errno }
            filled = max(0, result)
        }
        guard failure == 0 else { throw error(failure, path) }
        return bytes.isEmpty ? nil : bytes
    }

    /// Writes a whole file in one step, or adds to it.
    func write(_ path: RelativePath, _ bytes: [UInt8], append: Bool, makingFolders: Bool) throws {
        guard bytes.count <= maximumBytes else {
            throw MeshError(
                .outOfRange,
                "\(bytes.count) bytes are too many, at most \(maximumBytes) are written at once"
            )
        }
        let (parent, name) = try openParent(path, makingFolders: makingFolders)
        if append {
            let file = try open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY, mode: 0o644)
            return try Self.put(bytes, into: file, path)
        }
        var status = stat()
        if fstatat(parent.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_mode & S_IFMT != S_IFREG {
            throw MeshError(.failedPrecondition, "\(path.text) is there and is no file")
        }
        let temporary = ".wiz-" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        let result = wiz_open_beneath(parent.number, temporary, O_WRONLY | O_CREAT | O_EXCL, 0o644)
        guard result >= 0 else { throw Self.error(-result, path) }
        let file = Descriptor(result)
        do {
            try Self.put(bytes, into: file, path)
            guard fsync(file.number) == 0, renameat(parent.number, temporary, parent.number, name) == 0 else {
                throw Self.error(errno, path)
            }
        } catch {
            unlinkat(parent.number, temporary, 0)
            throw error
        }
    }

    private static func put(_ bytes: [UInt8], into file: Descriptor, _ path: RelativePath) throws {
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(file.number, $0.baseAddress, $0.count) }
            guard count >= 0 || errno == EINTR else { throw error(errno, path) }
            written += max(0, count)
        }
    }

    func facts(_ path: RelativePath) throws -> FileFacts {
        var status = stat()
        guard !path.steps.isEmpty else {
            guard fstat(folder.number, &status) == 0 else { throw Self.error(errno, path) }
            return FileFacts(path: "", status)
        }
        let (parent, name) = try openParent(path)
        guard fstatat(parent.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { throw Self.error(errno, path) }
        return FileFacts(path: path.text, status)
    }

    /// The entries of a folder by name in order, after a name and at most so many.
    func list(_ path: RelativePath, after: String?, limit: Int) throws -> (entries: [FileFacts], next: String?) {
        let descriptor = try open(path, O_RDONLY | O_DIRECTORY)
        let copy = fcntl(descriptor.number, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0, let stream = fdopendir(copy) else { throw Self.error(errno, path) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != "..", after.map({ name > $0 }) ?? true { names.append(name) }
        }
        names.sort()
        let page = names.prefix(limit)
        let entries = page.compactMap { name -> FileFacts? in
            var status = stat()
            guard fstatat(descriptor.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
            return FileFacts(path: name, status)
        }
        return (entries, page.count < names.count ? page.last : nil)
    }

    /// Deletes a file, a link or an empty folder.
    func delete(_ path: RelativePath) throws {
        let facts = try facts(path)
        let (parent, name) = try openParent(path)
        guard unlinkat(parent.number, name, facts.kind == "folder" ? AT_REMOVEDIR : 0) == 0 else {
            throw Self.error(errno, path)
        }
    }

    /// What Linux said, as the caller gets it.
    static func error(_ number: Int32, _ path: RelativePath) -> MeshError {
        let reason = String(cString: strerror(number))
        switch number {
        case EXDEV, ELOOP: return RelativePath.leavesRoot(path.text)
        case ENOENT: return MeshError(.notFound, "\(path.text) is not there")
        case ENOTDIR: return MeshError(.failedPrecondition, "a part of \(path.text) is no folder, or is a link")
        case ENOTEMPTY, EEXIST: return MeshError(.failedPrecondition, "the folder \(path.text) is not empty")
        case EISDIR: return MeshError(.failedPrecondition, "\(path.text) is a folder")
        case EACCES, EPERM, EROFS: return MeshError(.permissionDenied, "\(path.text): \(reason)")
        case ENOSPC, EDQUOT, EMFILE, ENFILE: return MeshError(.resourceExhausted, "\(path.text): \(reason)")
        default: return MeshError(.internal, "\(path.text): \(reason)")
        }
    }
}
