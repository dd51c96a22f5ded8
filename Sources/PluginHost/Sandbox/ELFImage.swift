// What a program needs of shared libraries, read from its ELF file: their names and the folders it looks in. Only as much of
// the format as that takes: 64-bit, little-endian. A file that is something else needs nothing.

import Glibc

/// The dynamic part of a program.
struct ELFImage: Hashable, Sendable {
    /// Names of libraries (`DT_NEEDED`).
    let needed: [String]
    /// Folders it looks in, with `$ORIGIN` put in (`DT_RUNPATH`, else `DT_RPATH`).
    let searchPath: [String]

    /// Reads a program's file; nil when it is none or needs no library.
    init?(reading path: String) {
        guard let file = FileBytes(path) else { return nil }
        let origin = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        self.init(file, origin: origin)
    }

    /// A shared library.
    struct Library: Hashable, Sendable {
        let folder: String
        let name: String
        var path: String { folder + "/" + name }
    }

    /// The libraries in folders outside `isSystem` that a program needs, and those that they need in turn.
    ///
    /// What the files say is not trusted: only what is a shared library in a plain place is found.
    static func libraries(of program: String, isSystem: (String) -> Bool) -> [Library] {
        guard let first = ELFImage(reading: program) else { return [] }
        let common = first.searchPath
        var found: [Library] = []
        var images = [first]
        while let image = images.popLast(), found.count < 256 {
            let folders = image.searchPath + common
            for name in image.needed where !name.isEmpty && !name.contains("/") {
                let place = folders.first { isPlain($0) && access($0 + "/" + name, R_OK) == 0 }
                guard let folder = place, !isSystem(folder) else { continue }
                let library = Library(folder: folder, name: name)
                guard !found.contains(library), isLibrary(library.path) else { continue }
                found.append(library)
                if let next = ELFImage(reading: library.path) { images.append(next) }
            }
        }
        return found.sorted { $0.path < $1.path }
    }

    /// Whether a path is one from the top without steps back.
    private static func isPlain(_ folder: String) -> Bool {
        folder.hasPrefix("/") && folder.count > 1 && !folder.split(separator: "/").contains { $0 == ".." || $0 == "." }
    }

    private static func isLibrary(_ path: String) -> Bool {
        guard let file = FileBytes(path) else { return false }
        // ET_DYN
        return file.bytes(0, 6) == [0x7F, 0x45, 0x4C, 0x46, 2, 1] && file.short(16) == 3
    }

    init?(_ file: FileBytes, origin: String) {
        guard file.bytes(0, 6) == [0x7F, 0x45, 0x4C, 0x46, 2, 1] else { return nil }
        guard let table = file.number(32), let size = file.short(54), let count = file.short(56), size >= 56 else {
            return nil
        }
        var segments: [(kind: UInt32, offset: UInt64, address: UInt64, length: UInt64)] = []
        for index in 0..<UInt64(min(count, 64)) {
            let at = table &+ index * UInt64(size)
            guard let kind = file.word(at), let offset = file.number(at &+ 8), let address = file.number(at &+ 16),
                let length = file.number(at &+ 32)
            else { return nil }
            segments.append((kind, offset, address, length))
        }
        guard let dynamic = segments.first(where: { $0.kind == 2 }) else { return nil }
        var needed: [UInt64] = []
        var paths: [UInt64: UInt64] = [:]
        var names: UInt64?
        for index in 0..<min(dynamic.length / 16, 4096) {
            guard let tag = file.number(dynamic.offset &+ index * 16), tag != 0,
                let value = file.number(dynamic.offset &+ index * 16 &+ 8)
            else { break }
            switch tag {
            case 1: needed.append(value)
            case 5: names = value
            case 15, 29: paths[tag] = value
            default: break
            }
        }
        guard let names,
            let home = segments.first(where: { $0.kind == 1 && names >= $0.address && names < $0.address &+ $0.length })
        else { return nil }
        let start = home.offset &+ (names &- home.address)
        self.needed = needed.compactMap { file.text(start &+ $0) }
        let path = (paths[29] ?? paths[15]).flatMap { file.text(start &+ $0) } ?? ""
        searchPath = path.split(separator: ":").map { folder in
            for name in ["${ORIGIN}", "$ORIGIN"] where folder.hasPrefix(name) {
                return origin + folder.dropFirst(name.count)
            }
            return String(folder)
        }
    }
}

/// Bytes of a file, read where they are asked for.
final class FileBytes {
    let descriptor: Int32

    init?(_ path: String) {
        // A FIFO or a device under the name would keep the host waiting.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        if descriptor < 0 { return nil }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    }

    deinit { close(descriptor) }

    func bytes(_ offset: UInt64, _ count: Int) -> [UInt8]? {
        guard let offset = off_t(exactly: offset) else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        return pread(descriptor, &bytes, count, offset) == count ? bytes : nil
    }

    func number(_ offset: UInt64) -> UInt64? {
        bytes(offset, 8).map { $0.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    }
    func word(_ offset: UInt64) -> UInt32? { bytes(offset, 4).map { $0.reversed().reduce(0) { $0 << 8 | UInt32($1) } } }
    func short(_ offset: UInt64) -> UInt16? {
        bytes(offset, 2).map { $0.reversed().reduce(0) { $0 << 8 | UInt16($1) } }
    }

    /// A text that a zero ends.
    func text(_ offset: UInt64) -> String? {
        guard let offset = off_t(exactly: offset) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = pread(descriptor, &bytes, bytes.count, offset)
        guard count > 0, let end = bytes.prefix(count).firstIndex(of: 0) else { return nil }
        return String(decoding: bytes[..<end], as: UTF8.self)
    }
}
