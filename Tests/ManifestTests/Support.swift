// What the manifest tests share: the seed's own example, and problems as lines.

import ConfigDocument
import Manifest

/// The example of the seed design, as written there.
let seedExample = """
    {
      "$schema": "https://example.org/plugin.schema.json",
      "name": "llama-extension",
      "version": "1.0.0",
      "main": "dist/index.js",
      "dependencies": {
        "required": ["llm-service@^2.0.0", "filesystem-access"],
        "optional": []
      },
      "permissions": ["networking", "storage"],
      "capabilities": ["llm", "ui-extension"]
    }
    """

/// The problems of a manifest as lines; empty if it is valid.
func problems(_ text: String) -> [String] {
    do throws(ConfigErrors) {
        _ = try PluginManifest.load(text: text)
        return []
    } catch {
        return error.problems.map(\.description)
    }
}

/// A manifest of one line: the required fields, then on line 2 what is given.
func withRest(_ rest: String) -> String {
    #"{"name": "p", "version": "1.0.0", "main": "bin/p","# + "\n\(rest)}"
}

/// The problems of such a manifest without the file's name.
func problems(rest: String) -> [String] {
    problems(withRest(rest)).map { $0.hasPrefix("plugin.json:") ? String($0.dropFirst(12)) : $0 }
}

/// A valid manifest of that kind.
func manifest(rest: String) throws(ConfigErrors) -> PluginManifest {
    try PluginManifest.load(text: withRest(rest))
}
