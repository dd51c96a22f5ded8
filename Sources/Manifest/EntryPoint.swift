// The program that a plugin's `main` names, and where it lies on disk: inside the plugin's folder, whatever links there
// are on the way. Reads the file system, changes nothing.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// The program to run for a plugin.
public struct EntryPoint: Hashable, Sendable {
    /// Where the program is found.
    public enum Program: Hashable, Sendable {
        /// At a path inside the plugin's folder.
        case inFolder(String)
        /// By its name, in the host's search path.
        case onPath(String)
    }

    /// Where the program is found.
    public let program: Program
    /// What follows the program's name.
    public let arguments: [String]

    /// A program with its arguments; a path inside the folder is taken as it is.
    public init(program: Program, arguments: [String] = []) {
        self.program = program
        self.arguments = arguments
    }

    /// The program's file, with all links resolved; nil for a program on the search path.
    ///
    /// Something may change on disk later: a host resolves again when it starts the program.
    ///
    /// - Throws: why the file cannot be the plugin's program.
    public func resolve(in folder: String) throws(EntryPointError) -> String? {
        guard case .inFolder(let path) = program else { return nil }
        guard let root = resolved(folder) else { throw .noFolder(folder) }
        let full = root + "/" + path
        guard let target = resolved(full) else {
            try checkLinks(below: root, path)
            throw .missing(path)
        }
        guard target.hasPrefix(root == "/" ? "/" : root + "/") else { throw .outside(path, target: target) }
        var status = stat()
        guard stat(target, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path) }
        guard status.st_mode & 0o111 != 0, access(target, X_OK) == 0 else { throw .notExecutable(path) }
        return target
    }

    /// Part of a path is missing: what is there of it must not leave the folder, and no link may point to nothing.
    private func checkLinks(below root: String, _ path: String) throws(EntryPointError) {
        var current = root
        for step in path.split(separator: "/") {
            current += "/" + step
            var status = stat()
            guard lstat(current, &status) == 0 else { return }
            guard let target = resolved(current) else { throw .brokenLink(path) }
            guard target.hasPrefix(root + "/") else { throw .outside(path, target: target) }
        }
    }

    private func resolved(_ path: String) -> String? {
        guard let pointer = realpath(path, nil) else { return nil }
        defer { free(pointer) }
        return String(cString: pointer)
    }
}

/// Why a file cannot be a plugin's program.
public enum EntryPointError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The plugin's folder is not there.
    case noFolder(String)
    /// The file is not there.
    case missing(String)
    /// A link leads out of the folder.
    case outside(String, target: String)
    /// A link leads nowhere.
    case brokenLink(String)
    /// Something else than a file is there.
    case notAFile(String)
    /// The file may not be executed.
    case notExecutable(String)

    /// Whether it is only that the file is not there yet, or not executable yet.
    public var isCuredByBuilding: Bool {
        switch self {
        case .missing, .notExecutable: true
        case .noFolder, .outside, .brokenLink, .notAFile: false
        }
    }

    /// What is wrong, and what to do.
    public var description: String {
        switch self {
        case .noFolder(let path): "the plugin's folder \(excerpt(path)) is not there"
        case .missing(let path): "\(excerpt(path)) is not there; build the plugin first"
        case .outside(let path, let target): "\(excerpt(path)) leads out of the plugin's folder, to \(excerpt(target))"
        case .brokenLink(let path): "\(excerpt(path)) is a link that leads nowhere"
        case .notAFile(let path): "\(excerpt(path)) is not a file"
        case .notExecutable(let path): "\(excerpt(path)) may not be executed; run: chmod +x \(path)"
        }
    }
}
