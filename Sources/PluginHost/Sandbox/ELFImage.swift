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

    /// Folders outside `isSystem` in which the program finds libraries that it needs.
    func libraryFolders(isSystem: (String) -> Bool) -> [String] {
        var folders: [String] = []
        for folder in searchPath where !isSystem(folder) && !folders.contains(folder) {
            if needed.contains(where: { access(folder + "/" + $0, R_OK) == 0 }) { folders.append(folder) }
        }
        return folders
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
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { return nil }
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
