// Where a plugin's program is, and what it takes to run it in a sandbox: its path inside, and what must be bound for it, such
// as a program outside its folder or a Swift runtime that is not part of the system. Reads the file system, changes nothing.

import Glibc

/// A folder or file of the host that a sandbox shows.
struct Binding: Hashable, Sendable {
    /// Its path on the host.
    var source: String
    /// Its path in the sandbox.
    var destination: String
    /// Whether it may be written to.
    var isWritable = false
}

/// A program's place on the host and in a sandbox.
struct ProgramLayout: Hashable, Sendable {
    /// Its path on the host.
    var host: String
    /// Its path in the sandbox.
    var inside: String
    /// What the sandbox must show for it, beside the plugin's folder and the system.
    var bindings: [Binding] = []
    /// A folder for the search path, beside the system's.
    var searchFolder: String?

    /// Where the plugin's folder is in a sandbox.
    static let folderInside = "/plugin"
    /// The folders that every sandbox shows.
    static let systemFolders = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"]

    /// Whether a path lies in a folder that every sandbox shows.
    static func isSystem(_ path: String) -> Bool {
        systemFolders.contains { path == $0 || path.hasPrefix($0 + "/") }
    }

    /// Finds a program.
    ///
    /// - Parameters:
    ///   - program: As an order names it.
    ///   - folder: The plugin's folder.
    ///   - searchPath: Where a program without a slash is looked for.
    /// - Throws: that it is not there, or may not be executed.
    init(_ program: String, folder: String, searchPath: String) throws(LaunchFailure) {
        let folder = realPath(folder) ?? folder
        var found: String
        if program.contains("/") {
            found = program.hasPrefix("/") ? program : folder + "/" + program
            guard access(found, F_OK) == 0 else {
                throw LaunchFailure(.program, "the program \(found) was not found; build the plugin first")
            }
        } else {
            let places = searchPath.split(separator: ":").map { "\($0)/\(program)" }
            guard let place = places.first(where: { access($0, X_OK) == 0 }) else {
                throw LaunchFailure(.program, "the program \(program) is in none of the folders of PATH: \(searchPath)")
            }
            found = place
        }
        guard access(found, X_OK) == 0 else {
            throw LaunchFailure(.program, "the program \(found) may not be executed: chmod +x \(found)")
        }
        host = found
        let real = realPath(found) ?? found
        if let rest = Self.rest(of: real, in: folder) ?? Self.rest(of: found, in: folder) {
            inside = Self.folderInside + "/" + rest
        } else if Self.isSystem(found) {
            inside = found
        } else if !program.contains("/"), let prefix = Self.prefix(of: real) {
            inside = real
            bindings = Self.installation(prefix, home: Self.home).map { Binding(source: $0, destination: $0) }
            searchFolder = prefix + "/bin"
        } else {
            // The program alone, with what lies beside it under the names that builds give to resources.
            let name = real.split(separator: "/").last.map(String.init) ?? "program"
            inside = "/program/" + name
            bindings = [Binding(source: real, destination: inside)]
            bindings += Self.resources(beside: real).map {
                Binding(source: $0.path, destination: "/program/" + $0.name)
            }
        }
        addLibraries(of: real, folder: folder)
    }

    /// Finds a program of which another file than the present one is to run.
    ///
    /// It runs in the place of the present one: what it looks for beside itself is there. Where there is no present one, the
    /// file is the program.
    /// - Throws: that it is not there, or may not be executed.
    init(_ program: String, kept: String, folder: String, searchPath: String) throws(LaunchFailure) {
        do throws(LaunchFailure) {
            try self.init(program, folder: folder, searchPath: searchPath)
        } catch {
            try self.init(kept, folder: folder, searchPath: searchPath)
        }
        host = kept
        let place = inside
        bindings.removeAll { $0.destination == place }
        add(Binding(source: kept, destination: place))
    }

    /// Shows the libraries of a program that are not the system's: these files alone, since a program's file may name any
    /// folder as the one of its libraries.
    private mutating func addLibraries(of program: String, folder: String) {
        let origin = Self.parent(program)
        for library in ELFImage.libraries(of: program, isSystem: Self.isSystem) {
            if library.folder == folder || Self.rest(of: library.folder, in: folder) != nil { continue }
            let place = library.folder == origin ? Self.parent(inside) : library.folder
            add(Binding(source: library.path, destination: place + "/" + library.name))
        }
    }

    /// Shows the libraries of the launcher, which is the host's own, with the folders around them: what a plugin starts in its
    /// turn finds the same runtime there.
    mutating func addRuntime(of launcher: String) {
        let origin = Self.parent(launcher)
        for library in ELFImage.libraries(of: launcher, isSystem: Self.isSystem) {
            if library.folder == origin {
                let place = Self.parent(SandboxPlan.Inside.launcher) + "/" + library.name
                add(Binding(source: library.path, destination: place))
            } else {
                let folder = Binding(source: library.folder, destination: library.folder)
                bindings.removeAll {
                    $0.source == $0.destination && Self.rest(of: $0.source, in: library.folder) != nil
                }
                add(folder)
            }
        }
    }

    /// Shows no library that lies in a folder: where plugins write, what was looked at may be another file a moment later.
    mutating func leaveOut(_ folder: String) {
        guard folder.count > 1 else { return }
        let folder = realPath(folder) ?? folder
        bindings.removeAll { binding in
            let source = realPath(binding.source) ?? binding.source
            return !binding.destination.hasPrefix("/program/") && Self.rest(of: source, in: folder) != nil
        }
    }

    private mutating func add(_ binding: Binding) {
        if !bindings.contains(binding) { bindings.append(binding) }
    }

    private static func parent(_ path: String) -> String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "" }

    /// The path from a folder to what lies in it.
    private static func rest(of path: String, in folder: String) -> String? {
        let start = folder.hasSuffix("/") ? folder : folder + "/"
        return path.hasPrefix(start) && path.count > start.count ? String(path.dropFirst(start.count)) : nil
    }

    /// The folder above `bin`, when it is an installation and not somebody's home.
    private static func prefix(of program: String) -> String? {
        let folder = parent(program)
        guard folder.hasSuffix("/bin") else { return nil }
        let prefix = parent(folder)
        guard prefix.count > 1, prefix != home, prefix != "/root", parent(prefix) != "/home" else { return nil }
        return prefix
    }

    private static var home: String { getenv("HOME").map { String(cString: $0) } ?? "/root" }

    /// What is shown of an installation: of one right in a home (`~/.local`, `~/.cargo`) its programs and libraries alone,
    /// since others keep things there, too.
    static func installation(_ prefix: String, home: String) -> [String] {
        let above = parent(prefix)
        guard above == home || above == "/root" || parent(above) == "/home" else { return [prefix] }
        return ["bin", "lib", "lib64", "libexec"].map { prefix + "/" + $0 }.filter { access($0, F_OK) == 0 }
    }

    private static func resources(beside program: String) -> [(path: String, name: String)] {
        let folder = parent(program)
        let found = folderNames(folder).filter { $0.hasSuffix(".resources") || $0.hasSuffix(".bundle") }
        return found.sorted().map { (folder + "/" + $0, $0) }
    }
}

/// A path without links; nil when there is nothing.
func realPath(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
}
