// Loads a manifest from text or from a plugin's folder. The one validator for host, CLI and tests.

public import ConfigDocument

/// How closely a manifest's `main` is looked at on disk.
public enum MainCheck: Hashable, Sendable {
    /// Not at all.
    case none
    /// What is there must lie inside the folder and be a file; it may be not built yet.
    case location
    /// It must be there, inside the folder, and executable.
    case executable
}

extension PluginManifest {
    /// Reads a manifest from text; `main` is not looked for on disk.
    ///
    /// - Throws: every problem at once.
    public static func load(text: String, source: String = fileName) throws(ConfigErrors) -> PluginManifest {
        try load(ConfigDocument(text: text, source: source, format: .json, limits: fileLimits), folder: nil, .none)
    }

    /// Reads the manifest of a plugin's folder.
    ///
    /// - Parameters:
    ///   - folder: The folder that holds `plugin.json`.
    ///   - source: What problems call the file; its path unless given.
    ///   - main: How closely `main` is looked at.
    /// - Returns: The manifest.
    /// - Throws: every problem at once, also of `main`.
    public static func load(
        folder: String,
        source: String? = nil,
        checking main: MainCheck = .location
    ) throws(ConfigErrors) -> PluginManifest {
        let base = folder.hasSuffix("/") ? String(folder.dropLast()) : folder
        let path = "\(base)/\(fileName)"
        let document = try ConfigDocument(path: path, source: source, format: .json, limits: fileLimits)
        return try load(document, folder: folder, main)
    }

    private static func load(
        _ document: ConfigDocument,
        folder: String?,
        _ check: MainCheck
    ) throws(ConfigErrors) -> PluginManifest {
        try document.decode { root in
            let reader = ManifestReader(root)
            let manifest = reader.manifest()
            if let folder, check != .none, let main = reader.main {
                verify(main, in: folder, check, field: reader.fields["main"])
            }
            return manifest
        }
    }

    private static func verify(_ main: EntryPoint, in folder: String, _ check: MainCheck, field: ConfigField) {
        do throws(EntryPointError) {
            _ = try main.resolve(in: folder)
        } catch {
            guard check == .executable || !error.isCuredByBuilding else { return }
            field.report(error.description)
        }
    }
}
