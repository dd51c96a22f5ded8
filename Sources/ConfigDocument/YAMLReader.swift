// Turns Yams' tree into ours: YAML 1.2's core schema for plain scalars, keys are strings, no anchors, aliases or tags.
// The only file that touches Yams.

internal import Yams

struct YAMLReader {
    let collector: ProblemCollector
    let limits: ConfigLimits

    /// The whole text's value, or nil after a problem that stopped the reading.
    func document(_ text: String) -> ConfigNode? {
        guard !looksLikeBomb(text) else {
            collector.add(
                "anchors (&name) and aliases (*name) are not allowed",
                at: .start,
                pointer: "",
                expected: "values written out"
            )
            return nil
        }
        do {
            var text = text
            text.makeContiguousUTF8()
            // Nodes hold their anchors weakly; the parser owns them.
            let parser = try Yams.Parser(yaml: text, resolver: .basic, encoding: .utf8)
            return try withExtendedLifetime(parser) {
                guard let root = try parser.singleRoot() else { return ConfigNode(.null, at: .start) }
                let before = collector.problems.count
                let node = convert(root, path: "", depth: 0)
                return collector.problems.count == before ? node : nil
            }
        } catch let error as YamlError {
            report(error, in: text)
        } catch {
            collector.add("the text could not be read: \(error)", at: .start, pointer: "")
        }
        return nil
    }

    /// Whether repeating aliases could make the tree explode.
    ///
    /// Thirty-one aliases cannot: they reach some 60 000 nodes.
    private func looksLikeBomb(_ text: String) -> Bool {
        var anchors = 0
        var aliases = 0
        var previous: UInt8 = 0
        for byte in text.utf8 {
            let isName = byte >= 0x80 || byte == 0x2D || byte == 0x5F || (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A
            if isName || (byte >= 0x30 && byte <= 0x39) {
                if previous == UInt8(ascii: "&") { anchors += 1 }
                if previous == UInt8(ascii: "*") { aliases += 1 }
            }
            previous = byte
        }
        return anchors >= 4 && aliases >= 32
    }

    private func convert(_ node: Yams.Node, path: String, depth: Int) -> ConfigNode? {
        let place = node.mark.map { ConfigPosition(line: $0.line, column: $0.column) } ?? .start
        if node.anchor != nil {
            collector.add(
                "anchors and aliases are not allowed",
                at: place,
                pointer: path,
                expected: "values written out"
            )
            return nil
        }
        switch node {
        case .scalar(let scalar):
            return self.scalar(scalar, at: place, path: path)
        case .sequence(let sequence):
            guard allowed(sequence.tag, depth, at: place, path: path) else { return nil }
            var nodes: [ConfigNode] = []
            for (index, item) in sequence.enumerated() {
                guard let item = convert(item, path: pointerStep(path, String(index)), depth: depth + 1) else {
                    continue
                }
                nodes.append(item)
            }
            return ConfigNode(.list(nodes), at: place)
        case .mapping(let mapping):
            guard allowed(mapping.tag, depth, at: place, path: path) else { return nil }
            return ConfigNode(.mapping(entries(mapping, path: path, depth: depth)), at: place)
        case .alias:
            collector.add("aliases are not allowed", at: place, pointer: path, expected: "values written out")
            return nil
        }
    }

    private func entries(_ mapping: Yams.Node.Mapping, path: String, depth: Int) -> [ConfigNode.Entry] {
        var entries: [ConfigNode.Entry] = []
        for (key, value) in mapping {
            let place = key.mark.map { ConfigPosition(line: $0.line, column: $0.column) } ?? .start
            guard let text = key.scalar?.string, key.anchor == nil else {
                collector.add("this key is not a plain string", at: place, pointer: path, expected: "a string as key")
                continue
            }
            guard let node = convert(value, path: pointerStep(path, text), depth: depth + 1) else { continue }
            entries.append(ConfigNode.Entry(key: text, keyPosition: place, value: node))
        }
        return entries
    }

    private func allowed(_ tag: Yams.Tag, _ depth: Int, at place: ConfigPosition, path: String) -> Bool {
        guard depth < limits.depth else {
            collector.add(
                "too many lists and mappings inside each other",
                at: place,
                pointer: path,
                expected: "at most \(limits.depth) levels"
            )
            return false
        }
        return untagged(tag, at: place, path: path)
    }

    private func untagged(_ tag: Yams.Tag, at place: ConfigPosition, path: String) -> Bool {
        guard tag.rawValue.isEmpty else {
            collector.add("tags such as \(shown(tag.rawValue)) are not allowed", at: place, pointer: path)
            return false
        }
        return true
    }

    private func scalar(_ scalar: Yams.Node.Scalar, at place: ConfigPosition, path: String) -> ConfigNode? {
        let text = scalar.string
        if scalar.style != .plain, scalar.tag.rawValue == Yams.Tag.Name.str.rawValue {
            return ConfigNode(.string(text), at: place)
        }
        guard untagged(scalar.tag, at: place, path: path) else { return nil }
        if scalar.style != .plain { return ConfigNode(.string(text), at: place) }
        let content: ConfigNode.Content =
            switch text {
            case "", "~", "null", "Null", "NULL": .null
            case "true", "True", "TRUE": .boolean(true)
            case "false", "False", "FALSE": .boolean(false)
            default: number(text) ?? .string(text)
            }
        if case .string = content { return ConfigNode(content, at: place) }
        return ConfigNode(content, at: place, spelling: text)
    }

    /// The number a plain scalar stands for by the core schema; infinities and not-a-number stay strings.
    private func number(_ text: String) -> ConfigNode.Content? {
        guard let first = text.utf8.first, first < 0x3A else { return nil }
        if text.hasPrefix("0x") { return Int64(text.dropFirst(2), radix: 16).map { .integer($0) } }
        if text.hasPrefix("0o") { return Int64(text.dropFirst(2), radix: 8).map { .integer($0) } }
        var body = text[...]
        if body.first == "+" || body.first == "-" { body = body.dropFirst() }
        guard body.utf8.contains(where: { $0 >= 0x30 && $0 <= 0x39 }),
            body.utf8.allSatisfy({ ($0 >= 0x30 && $0 <= 0x39) || [0x2E, 0x65, 0x45, 0x2B, 0x2D].contains($0) })
        else { return nil }
        if let integer = Int64(text) { return .integer(integer) }
        guard let number = Double(text), number.isFinite else { return nil }
        return .number(number)
    }

    private func report(_ error: YamlError, in text: String) {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let message = [context?.text, problem].compactMap(\.self).filter { !$0.isEmpty }.joined(separator: ", ")
            collector.add(message, at: ConfigPosition(line: mark.line, column: mark.column), pointer: "")
        case .reader(let problem, let offset, let value, _):
            let place = offset.map { position(in: text, at: $0) } ?? .start
            let scalar = value >= 0 ? " (U+\(hexadecimal(UInt32(value))))" : ""
            collector.add(problem + scalar, at: place, pointer: "")
        case .duplicatedKeysInMapping(let keys, let context):
            let place = ConfigPosition(line: max(1, context.mark.line), column: max(1, context.mark.column))
            let names = keys.map(shown).joined(separator: ", ")
            collector.add("key \(names) is given more than once in one mapping", at: place, pointer: "")
        default:
            collector.add("the text could not be read: \(error)", at: .start, pointer: "")
        }
    }

    private func position(in text: String, at offset: Int) -> ConfigPosition {
        var line = 1
        var column = 1
        for character in text.prefix(offset) {
            if character.isNewline {
                line += 1
                column = 1
            } else {
                column += character.unicodeScalars.count
            }
        }
        return ConfigPosition(line: line, column: column)
    }
}
