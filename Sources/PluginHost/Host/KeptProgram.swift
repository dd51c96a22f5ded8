// A plugin's program as it was when its revision was read: a hard link (a copy where that cannot be, or where the file may be
// written in place), and its manifest beside it, so that the old generation can start again, wholly the old one, after its
// files were replaced.

internal import CLinuxShims
import Glibc

/// A program that stays as it was.
struct KeptProgram: Sendable {
    /// What tells one content of a file from another.
    private struct Stamp: Equatable {
        var inode: UInt64
        var size: Int
        var seconds: Int
        var nanoseconds: Int

        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
            inode = UInt64(status.st_ino)
            size = Int(status.st_size)
            seconds = Int(status.st_mtim.tv_sec)
            nanoseconds = Int(status.st_mtim.tv_nsec)
        }
    }

    private let original: String
    private let stamp: Stamp?
    private let kept: String?
    /// Where the manifest is kept; nil: it is not.
    let manifest: String?

    /// Keeps a program under a folder of the host; nothing is kept of one that the search path finds.
    ///
    /// - Parameters:
    ///   - path: The program.
    ///   - manifest: The text of the manifest that goes with it.
    ///   - folder: The folder of the host.
    ///   - revision: Which revision it is kept for.
    init(_ path: String, manifest: String? = nil, in folder: String, revision: Int) {
        original = path
        stamp = path.contains("/") ? Stamp(path) : nil
        kept = stamp == nil ? nil : Self.keep(path, in: folder, revision)
        self.manifest = manifest.flatMap { Self.keep(text: $0, in: folder, revision) }
    }

    /// Keeps a program that is kept already for another revision, too.
    init(_ other: KeptProgram, in folder: String, revision: Int) {
        original = other.original
        stamp = other.stamp
        kept = other.kept.flatMap { Self.keep($0, in: folder, revision) }
        manifest = other.manifest.flatMap { readText($0, atMost: 1 << 20) }.flatMap {
            Self.keep(text: $0, in: folder, revision)
        }
    }

    private static func keep(text: String, in folder: String, _ revision: Int) -> String? {
        mkdir(folder, 0o755)
        let path = "\(folder)/\(revision).json"
        return writeFile(path, Array(text.utf8), mode: 0o644) ? path : nil
    }

    private static func keep(_ path: String, in folder: String, _ revision: Int) -> String? {
        guard let name = path.split(separator: "/").last else { return nil }
        let place = "\(folder)/\(revision)"
        mkdir(folder, 0o755)
        mkdir(place, 0o755)
        let target = "\(place)/\(name)"
        unlink(target)
        // Of a link, what it leads to: the link itself would lead to whatever is there later, or nowhere from here.
        if isELF(path), linkat(AT_FDCWD, path, AT_FDCWD, target, AT_SYMLINK_FOLLOW) == 0 { return target }
        if copy(path, target) { return target }
        unlink(target)
        rmdir(place)
        return nil
    }

    /// Where the program is: in its own place while it is unchanged there.
    var path: String {
        guard let stamp, let kept else { return original }
        return Stamp(original) == stamp ? original : kept
    }

    /// Lets go of it.
    func forget() {
        if let manifest { unlink(manifest) }
        guard let kept else { return }
        unlink(kept)
        if let slash = kept.lastIndex(of: "/") { rmdir(String(kept[..<slash])) }
    }

    /// Removes what a host that was killed left in its folder, which is this host's alone now.
    static func sweep(_ folder: String) {
        for name in folderNames(folder) where name.hasSuffix(".json") && Int(name.dropLast(5)) != nil {
            unlink("\(folder)/\(name)")
        }
        for revision in folderNames(folder) where Int(revision) != nil {
            let place = "\(folder)/\(revision)"
            for name in folderNames(place) { unlink("\(place)/\(name)") }
            rmdir(place)
        }
    }

    /// A compiled program cannot be written while it runs, and who replaces it makes another file.
    private static func isELF(_ path: String) -> Bool {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return false }
        defer { close(file) }
        var head: [UInt8] = [0, 0, 0, 0]
        return read(file, &head, 4) == 4 && head == [0x7F, 0x45, 0x4C, 0x46]
    }

    private static func copy(_ from: String, _ to: String) -> Bool {
        let source = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard source >= 0 else { return false }
        defer { close(source) }
        let target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o755)
        guard target >= 0 else { return false }
        defer { close(target) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(source, &buffer, buffer.count)
            if count == 0 { return true }
            guard count > 0, write(target, buffer, count) == count else { return false }
        }
    }
}
