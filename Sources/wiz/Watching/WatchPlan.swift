// What can be watched: a folder with all that is below it, as `wiz dev` does with sources; and single files wherever they are
// or will be, as `wiz up --watch` does with manifests and programs.

import Glibc

/// A folder with everything below it, but for what no author writes.
struct TreePlan: WatchPlan {
    /// Folders that hold what tools made.
    static let ignoredFolders: Set = [
        ".build", ".git", ".hg", ".svn", ".swiftpm", ".jj", "node_modules", "__pycache__", ".venv", "venv", ".idea",
        ".vscode", ".wiz", ".mypy_cache", ".pytest_cache", "DerivedData",
    ]
    /// Folders beyond this many are not watched.
    static let folderLimit = 20_000
    private static let depthLimit = 64

    let root: String
    private var folders: [Inotify.Watch: String] = [:]
    /// What was there when the folder came back.
    private var found: Set<String>?

    init(root: String) { self.root = root }

    /// A folder that is gone may come back.
    var patience: Duration? { folders.isEmpty ? .milliseconds(300) : nil }

    mutating func arm(_ inotify: borrowing Inotify) throws(WatchFailure) {
        guard folders.isEmpty else { return }
        var files: Set<String> = []
        try add(root, inotify, depth: 0, &files)
        found = found == nil ? [] : files
    }

    mutating func take(_ event: Inotify.Event, _ inotify: borrowing Inotify, _ batch: inout WatchBatch) {
        if event.has(IN_Q_OVERFLOW) {
            batch.isComplete = false
            folders.keys.forEach { inotify.end($0) }
            folders = [:]
            return
        }
        guard let folder = folders[event.watch] else { return }
        if event.has(IN_IGNORED) {
            folders[event.watch] = nil
            return
        }
        guard !event.name.isEmpty else {
            // Another may take its place.
            if folder == root, event.has(IN_MOVE_SELF) { remove(root, inotify) }
            return
        }
        let path = folder + "/" + event.name
        if event.has(IN_ISDIR) {
            if event.has(IN_CREATE | IN_MOVED_TO) {
                try? add(path, inotify, depth: 0, &batch.paths)
            } else if event.has(IN_MOVED_FROM) {
                remove(path, inotify)
            }
        } else if !isIgnored(event.name) {
            batch.paths.insert(path)
        }
    }

    mutating func settle(_ batch: inout WatchBatch) {
        batch.paths.formUnion(found ?? [])
        found = []
    }

    /// Watches a folder and those below it, and notes the files that are there already.
    private mutating func add(
        _ folder: String,
        _ inotify: borrowing Inotify,
        depth: Int,
        _ files: inout Set<String>
    ) throws(WatchFailure) {
        let name = folder.split(separator: "/").last.map(String.init) ?? ""
        guard depth < Self.depthLimit, folders.count < Self.folderLimit,
            folder == root || !Self.ignoredFolders.contains(name), let watch = try inotify.watch(folder)
        else { return }
        folders[watch] = folder
        for entry in entries(of: folder) {
            let path = folder + "/" + entry.name
            if entry.isFolder {
                try add(path, inotify, depth: depth + 1, &files)
            } else if !isIgnored(entry.name) {
                files.insert(path)
            }
        }
    }

    private mutating func remove(_ folder: String, _ inotify: borrowing Inotify) {
        for (watch, path) in folders where path == folder || path.hasPrefix(folder + "/") {
            inotify.end(watch)
            folders[watch] = nil
        }
    }

    /// Whether a file is what an editor or a build leaves behind.
    private func isIgnored(_ name: String) -> Bool {
        name.hasSuffix("~") || name.hasSuffix(".swp") || name.hasSuffix(".swx") || name.hasSuffix(".tmp")
            || name.hasPrefix(".#") || name.hasPrefix(".goutputstream-") || name == "4913" || name == ".DS_Store"
    }
}

/// Single files, also such as are not there yet, or are reached over links.
///
/// A file is told of when it is there and is another, or was written to; not when it vanishes.
struct FilesPlan: WatchPlan {
    private struct Mark: Hashable {
        let device: UInt64
        let inode: UInt64
        let size: Int64
        let changed: Int64
        let changedPart: Int64
    }

    /// The files that are watched once the plan is armed.
    var files: Set<String>
    /// The files that are watched.
    private var watched: Set<String> = []
    /// How each of them was when it was last there.
    private var marks: [String: Mark] = [:]
    private var watches: Set<Inotify.Watch> = []

    init(_ files: Set<String>) { self.files = files }

    var patience: Duration? { nil }

    mutating func arm(_ inotify: borrowing Inotify) throws(WatchFailure) {
        var current: Set<Inotify.Watch> = []
        for file in files {
            // A folder on the way may come while the one above it is not watched yet: what is there is looked at again.
            var folders: Set<String> = []
            while case let more = self.folders(toWatchFor: file).subtracting(folders), !more.isEmpty {
                for folder in more {
                    if let watch = try inotify.watch(folder) { current.insert(watch) }
                }
                folders.formUnion(more)
            }
        }
        for watch in watches.subtracting(current) { inotify.end(watch) }
        watches = current
        marks = marks.filter { files.contains($0.key) }
        for file in files.subtracting(watched) { marks[file] = mark(file) }
        watched = files
    }

    mutating func take(_ event: Inotify.Event, _ inotify: borrowing Inotify, _ batch: inout WatchBatch) {
        // Over links and folders on the way it may be about any of the files: they are looked at once it is quiet.
        if event.has(IN_Q_OVERFLOW) || watches.contains(event.watch) { batch.isComplete = false }
    }

    mutating func settle(_ batch: inout WatchBatch) {
        batch.isComplete = true
        batch.paths = []
        for file in files {
            guard let now = mark(file), now != marks[file] else { continue }
            marks[file] = now
            batch.paths.insert(file)
        }
    }

    /// The deepest folder on the way that is there, and the one where the file really is.
    private func folders(toWatchFor file: String) -> Set<String> {
        var steps = file.split(separator: "/").map(String.init)
        var folders: Set<String> = []
        while !steps.isEmpty {
            steps.removeLast()
            let folder = "/" + steps.joined(separator: "/")
            if let real = resolved(folder) {
                folders.insert(real)
                if real != folder { folders.formUnion(linkFolders(steps)) }
                break
            }
        }
        if let real = resolved(file), let slash = real.lastIndex(of: "/") {
            folders.insert(slash == real.startIndex ? "/" : String(real[..<slash]))
        }
        return folders
    }

    /// The folders that hold the links on a way.
    private func linkFolders(_ steps: [String]) -> [String] {
        steps.indices.compactMap { index in
            var status = stat()
            guard lstat("/" + steps[...index].joined(separator: "/"), &status) == 0,
                status.st_mode & S_IFMT == S_IFLNK
            else { return nil }
            return "/" + steps[..<index].joined(separator: "/")
        }
    }

    private func mark(_ file: String) -> Mark? {
        var status = stat()
        guard stat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return Mark(
            device: UInt64(status.st_dev),
            inode: UInt64(status.st_ino),
            size: Int64(status.st_size),
            changed: Int64(status.st_mtim.tv_sec),
            changedPart: Int64(status.st_mtim.tv_nsec)
        )
    }
}

/// A path with all links resolved; nil when nothing is there.
func resolved(_ path: String) -> String? {
    guard let pointer = realpath(path, nil) else { return nil }
    defer { free(pointer) }
    return String(cString: pointer)
}

/// The names in a folder, without `.` and `..`; links are no folders.
func entries(of folder: String) -> [(name: String, isFolder: Bool)] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var entries: [(String, Bool)] = []
    while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard name != ".", name != ".." else { continue }
        var isFolder = Int32(entry.pointee.d_type) == 4
        if entry.pointee.d_type == 0 {
            var status = stat()
            isFolder = lstat(folder + "/" + name, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
        }
        entries.append((name, isFolder))
    }
    return entries
}
