// Writes a new plugin: into a folder beside its place, which is then given its name, so that there is all of it or nothing.

import Glibc
import Manifest
import MeshProtocol

/// A plugin that is about to be made.
struct Scaffold: Sendable {
    let template: Template
    let names: PluginNames
    let description: String
    /// Where it will be.
    let folder: String
    let package: WizmeshPackage

    /// What will be in the folder.
    var files: [Template.File] {
        template.files(for: names, description: description, package: package)
            + [Template.File("plugin.schema.json", PluginManifest.jsonSchema + "\n")]
    }

    /// Refuses a place at which something is already.
    func checkPlace() throws(CommandFailure) {
        var status = stat()
        guard lstat(folder, &status) == 0 else { return }
        throw CommandFailure(
            .usage,
            "\(clean(folder)) is already there, and nothing is overwritten",
            hint: "Choose another name or, with --folder, another place."
        )
    }

    /// Makes the plugin.
    func make() throws(CommandFailure) {
        try checkPlace()
        let parent = folder.lastIndex(of: "/").map { String(folder[..<$0]) } ?? "."
        var template = Array("\(parent.isEmpty ? "" : parent)/.\(names.plugin).XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Self.failure("no folder can be made in \(parent)") }
        let draft = String(cString: made)
        do throws(CommandFailure) {
            for file in files { try Self.write(file, in: draft) }
            chmod(draft, 0o755)
            // A folder takes the place of nothing, or of an empty folder that came in between; of anything else it does not.
            guard rename(draft, folder) == 0 else { throw Self.failure("\(folder) cannot be made") }
        } catch {
            removeTree(draft)
            throw error
        }
    }

    private static func write(_ file: Template.File, in folder: String) throws(CommandFailure) {
        var path = folder
        for step in file.path.split(separator: "/").dropLast() {
            path += "/" + step
            if mkdir(path, 0o755) != 0, errno != EEXIST { throw failure("\(path) cannot be made") }
        }
        path = folder + "/" + file.path
        guard let stream = fopen(path, "wx") else { throw failure("\(path) cannot be written") }
        let isWritten = fputs(file.text, stream) >= 0
        guard fclose(stream) == 0, isWritten else { throw failure("\(path) cannot be written") }
    }

    private static func failure(_ what: String) -> CommandFailure {
        CommandFailure(.failed, "\(clean(what)): \(String(cString: strerror(errno)))")
    }
}

extension WizmeshPackage {
    /// The package that this program was built from, if it lies where it was built.
    static func ofThisProgram() -> WizmeshPackage? {
        guard let resolved = realpath("/proc/self/exe", nil) else { return nil }
        var path = Substring(String(cString: resolved))
        free(resolved)
        while let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            path = path[..<slash]
            if isPackage(String(path)) { return .folder(String(path)) }
        }
        return nil
    }

    /// Whether a folder holds the package.
    static func isPackage(_ folder: String) -> Bool {
        var status = stat()
        return ["Package.swift", "Sources/WizPlugin", "Sources/MeshTesting"]
            .allSatisfy { stat(folder + "/" + $0, &status) == 0 }
    }
}

/// Removes a folder with all that is in it; links are removed, not followed.
func removeTree(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFDIR, let listing = opendir(path) else {
        unlink(path)
        return
    }
    while let entry = readdir(listing) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { removeTree(path + "/" + name) }
    }
    closedir(listing)
    rmdir(path)
}

/// A path from the root, without `.`, `..` and doubled slashes; links are not looked at.
func absolutePath(_ path: String) -> String {
    var whole = path
    if !path.hasPrefix("/"), let current = getcwd(nil, 0) {
        whole = String(cString: current) + "/" + path
        free(current)
    }
    var steps: [Substring] = []
    for step in whole.split(separator: "/") where step != "." {
        if step == ".." { _ = steps.popLast() } else { steps.append(step) }
    }
    return "/" + steps.joined(separator: "/")
}
