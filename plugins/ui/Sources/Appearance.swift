// Themes and panels as their owners send them, and what makes them valid. Pure.

import WizPlugin

/// A set of colours.
struct Theme: Codable, Sendable, Hashable {
    static let requiredColors = ["background", "foreground", "accent"]

    var name: String
    var title: String?
    var dark: Bool?
    var colors: [String: String]

    /// Says everything that is wrong at once.
    func validate() throws(MeshError) {
        var problems: [String] = []
        if !isWord(name) { problems.append("name \"\(name)\" is not of lower-case words joined by -") }
        for key in Self.requiredColors where colors[key] == nil { problems.append("colors.\(key) is missing") }
        for (key, color) in colors.sorted(by: { $0.key < $1.key }) where !Self.isColor(color) {
            problems.append("colors.\(key) is \"\(color)\", which is no colour")
        }
        if colors.count > 64 { problems.append("there are \(colors.count) colours, at most 64 are taken") }
        guard !problems.isEmpty else { return }
        throw MeshError(
            .invalidArgument,
            "the theme is not valid: " + problems.joined(separator: "; "),
            hint: "Write colours as #rgb, #rrggbb or #rrggbbaa."
        )
    }

    static func isColor(_ text: String) -> Bool {
        guard text.utf8.first == UInt8(ascii: "#"), [4, 7, 9].contains(text.utf8.count) else { return false }
        return text.utf8.dropFirst().allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
                UInt8(ascii: "A")...UInt8(ascii: "F"):
                true
            default: false
            }
        }
    }
}

/// A part of the screen.
struct Panel: Codable, Sendable, Hashable {
    static let places = ["left", "right", "bottom", "main"]

    var id: String
    var title: String
    var place: String?
    var content: String?

    /// Says everything that is wrong at once.
    func validate() throws(MeshError) {
        var problems: [String] = []
        if !isWord(id) { problems.append("id \"\(id)\" is not of lower-case words joined by -") }
        if title.isEmpty { problems.append("title is empty") }
        if let place, !Self.places.contains(place) { problems.append("place \"\(place)\" is not one") }
        if (content?.utf8.count ?? 0) > 16 << 10 { problems.append("content is longer than 16 KiB") }
        guard !problems.isEmpty else { return }
        throw MeshError(
            .invalidArgument,
            "the panel is not valid: " + problems.joined(separator: "; "),
            hint: "Places are \(Self.places.joined(separator: ", "))."
        )
    }
}

/// Lower-case words of letters and digits joined by hyphens, at most 48 bytes.
private func isWord(_ text: String) -> Bool { text.utf8.count <= 48 && !text.contains("_") && isName(text) }

private func isName(_ text: String) -> Bool { Names.isName(text) && !text.contains(".") }

/// What the user interface shows when nobody has brought a theme.
extension Theme {
    static let daylight = Theme(
        name: "daylight",
        title: "Daylight",
        dark: false,
        colors: ["background": "#ffffff", "foreground": "#1f2328", "accent": "#0969da"]
    )
}
