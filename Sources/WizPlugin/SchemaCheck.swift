// Checks settings against the JSON Schema of `plugin.json` (2020-12, without references to other documents): every problem at
// once, in words, and never a word of what is marked `sensitive`. Pure.

/// A schema as a check of values.
struct SchemaCheck {
    /// The problems that are told; a file that is altogether wrong needs no longer list.
    static let mostProblems = 10
    private static let deepest = 64

    private let root: Value

    init(_ schema: Value) { root = schema }

    /// What is wrong with a value, each with the setting's path; empty when nothing is.
    func problems(of value: Value) -> [String] {
        var findings = Findings()
        check(value, root, "", &findings, depth: 0)
        return findings.list.prefix(Self.mostProblems).map { $0.path.isEmpty ? $0.text : "\($0.path): \($0.text)" }
    }

    /// What was found wrong so far.
    struct Findings {
        var list: [(path: String, text: String)] = []
        /// Whether what is looked at is not to be shown.
        var isSensitive = false

        mutating func add(_ path: String, _ text: String) { list.append((path, text)) }

        /// A value in words.
        func show(_ value: Value) -> String {
            guard !isSensitive else { return "the value" }
            let text = (try? Payload.json(value).text) ?? "the value"
            return text.count > 60 ? text.prefix(60) + "…" : text
        }
    }

    private func check(_ value: Value, _ schema: Value, _ path: String, _ findings: inout Findings, depth: Int) {
        guard depth < Self.deepest else { return findings.add(path, "the schema nests too deeply") }
        if case .bool(let allowed) = schema {
            if !allowed { findings.add(path, "no value is allowed here") }
            return
        }
        guard let keywords = schema.object else { return }
        let wasSensitive = findings.isSensitive
        if keywords["sensitive"]?.bool == true { findings.isSensitive = true }
        defer { findings.isSensitive = wasSensitive }
        if let reference = keywords["$ref"]?.string, let target = resolve(reference) {
            check(value, target, path, &findings, depth: depth + 1)
        }
        guard checkType(value, keywords, path, &findings) else { return }
        checkChoice(value, keywords, path, &findings)
        if let number = value.double { Self.checkNumber(number, value, keywords, path, &findings) }
        if let text = value.string { Self.checkText(text, value, keywords, path, &findings) }
        if let array = value.array { checkArray(array, keywords, path, &findings, depth: depth) }
        if let object = value.object { checkObject(object, keywords, path, &findings, depth: depth) }
        checkCombinations(value, keywords, path, &findings, depth: depth)
    }

    private func isValid(_ value: Value, _ schema: Value, depth: Int) -> Bool {
        var findings = Findings()
        check(value, schema, "", &findings, depth: depth + 1)
        return findings.list.isEmpty
    }

    /// What a reference within the schema points at.
    private func resolve(_ reference: String) -> Value? {
        guard reference.hasPrefix("#") else { return nil }
        var place = root
        for step in reference.dropFirst().split(separator: "/") {
            let key = String(step).replacing("~1", with: "/").replacing("~0", with: "~")
            guard let next = place[key] ?? Int(key).flatMap({ place[$0] }) else { return nil }
            place = next
        }
        return place
    }

    private func checkType(
        _ value: Value,
        _ keywords: [String: Value],
        _ path: String,
        _ findings: inout Findings
    ) -> Bool {
        guard let type = keywords["type"] else { return true }
        let names = type.string.map { [$0] } ?? (type.array ?? []).compactMap(\.string)
        guard !names.isEmpty, !names.contains(where: { Self.isOfType(value, $0) }) else { return true }
        findings.add(path, "\(findings.show(value)) is no \(names.joined(separator: " or "))")
        return false
    }

    private static func isOfType(_ value: Value, _ type: String) -> Bool {
        switch type {
        case "object": value.object != nil
        case "array": value.array != nil
        case "string": value.string != nil
        case "number": value.double != nil
        case "integer": value.int != nil
        case "boolean": value.bool != nil
        case "null": value.isNull
        default: true
        }
    }

    private func checkChoice(_ value: Value, _ keywords: [String: Value], _ path: String, _ findings: inout Findings) {
        if let choices = keywords["enum"]?.array, !choices.contains(where: { $0.isEqual(to: value) }) {
            let list = choices.map { (try? Payload.json($0).text) ?? "" }.joined(separator: ", ")
            findings.add(path, "\(findings.show(value)) is not one of \(list)")
        }
        if let constant = keywords["const"], !constant.isEqual(to: value) {
            findings.add(
                path,
                "\(findings.show(value)) is not \((try? Payload.json(constant).text) ?? "what it must be")"
            )
        }
    }
}

extension SchemaCheck {
    private static func checkNumber(
        _ number: Double,
        _ value: Value,
        _ keywords: [String: Value],
        _ path: String,
        _ findings: inout Findings
    ) {
        func bound(_ keyword: String, _ text: String, _ holds: (Double) -> Bool) {
            guard let limit = keywords[keyword], let bound = limit.double, !holds(bound) else { return }
            findings.add(path, "\(findings.show(value)) is \(text) \((try? Payload.json(limit).text) ?? "\(bound)")")
        }
        bound("minimum", "less than") { number >= $0 }
        bound("maximum", "more than") { number <= $0 }
        bound("exclusiveMinimum", "not more than") { number > $0 }
        bound("exclusiveMaximum", "not less than") { number < $0 }
        bound("multipleOf", "no multiple of") { step in
            guard step > 0 else { return true }
            let ratio = number / step
            return abs(ratio - ratio.rounded()) < 1e-9
        }
    }

    private static func checkText(
        _ text: String,
        _ value: Value,
        _ keywords: [String: Value],
        _ path: String,
        _ findings: inout Findings
    ) {
        if let least = keywords["minLength"]?.int, text.unicodeScalars.count < least {
            findings.add(path, "\(findings.show(value)) has fewer than \(least) characters")
        }
        if let most = keywords["maxLength"]?.int, text.unicodeScalars.count > most {
            findings.add(path, "\(findings.show(value)) has more than \(most) characters")
        }
        guard let pattern = keywords["pattern"]?.string, let expression = try? Regex(pattern) else { return }
        if (try? expression.firstMatch(in: text)) == nil {
            findings.add(path, "\(findings.show(value)) does not match \(pattern)")
        }
    }

    private func checkArray(
        _ array: [Value],
        _ keywords: [String: Value],
        _ path: String,
        _ findings: inout Findings,
        depth: Int
    ) {
        if let least = keywords["minItems"]?.int, array.count < least {
            findings.add(path, "there are \(array.count) entries, at least \(least) are needed")
        }
        if let most = keywords["maxItems"]?.int, array.count > most {
            findings.add(path, "there are \(array.count) entries, at most \(most) are taken")
        }
        if keywords["uniqueItems"]?.bool == true, Set(array).count < array.count {
            findings.add(path, "an entry is there twice")
        }
        let first = keywords["prefixItems"]?.array ?? []
        for (index, element) in array.enumerated() {
            guard let schema = index < first.count ? first[index] : keywords["items"] else { continue }
            check(element, schema, "\(path)[\(index)]", &findings, depth: depth + 1)
        }
        guard let wanted = keywords["contains"] else { return }
        let count = array.count { isValid($0, wanted, depth: depth) }
        if count < keywords["minContains"]?.int ?? 1 { findings.add(path, "an entry that must be there is not") }
        if let most = keywords["maxContains"]?.int, count > most {
            findings.add(path, "there are more than \(most) entries of a kind")
        }
    }

    private func checkObject(
        _ object: [String: Value],
        _ keywords: [String: Value],
        _ path: String,
        _ findings: inout Findings,
        depth: Int
    ) {
        let properties = keywords["properties"]?.object ?? [:]
        for name in (keywords["required"]?.array ?? []).compactMap(\.string) where object[name] == nil {
            findings.add(Self.join(path, name), "it is missing" + Self.describe(properties[name]))
        }
        if let least = keywords["minProperties"]?.int, object.count < least {
            findings.add(path, "there are \(object.count) entries, at least \(least) are needed")
        }
        if let most = keywords["maxProperties"]?.int, object.count > most {
            findings.add(path, "there are \(object.count) entries, at most \(most) are taken")
        }
        for (name, needed) in keywords["dependentRequired"]?.object ?? [:] where object[name] != nil {
            for other in (needed.array ?? []).compactMap(\.string) where object[other] == nil {
                findings.add(Self.join(path, other), "it is missing, and \(name) needs it")
            }
        }
        for (name, value) in object.sorted(by: { $0.key < $1.key }) {
            checkMember(name, value, properties, keywords, path, &findings, depth: depth)
        }
    }

    private func checkMember(
        _ name: String,
        _ value: Value,
        _ properties: [String: Value],
        _ keywords: [String: Value],
        _ path: String,
        _ findings: inout Findings,
        depth: Int
    ) {
        let place = Self.join(path, name)
        if let names = keywords["propertyNames"], !isValid(.string(name), names, depth: depth) {
            findings.add(place, "this name is not allowed")
        }
        var isKnown = false
        if let schema = properties[name] {
            isKnown = true
            check(value, schema, place, &findings, depth: depth + 1)
        }
        for (pattern, schema) in keywords["patternProperties"]?.object ?? [:] {
            guard let expression = try? Regex(pattern), (try? expression.firstMatch(in: name)) != nil else { continue }
            isKnown = true
            check(value, schema, place, &findings, depth: depth + 1)
        }
        guard !isKnown, let others = keywords["additionalProperties"] else { return }
        guard others == .bool(false) else { return check(value, others, place, &findings, depth: depth + 1) }
        let meant = nearest(to: name, among: properties.keys.sorted()).map { ", did you mean \($0)?" } ?? ""
        let known = properties.keys.sorted().joined(separator: ", ")
        findings.add(place, "there is no such setting" + (meant.isEmpty ? "; there are: \(known)" : meant))
    }

    private func checkCombinations(
        _ value: Value,
        _ keywords: [String: Value],
        _ path: String,
        _ findings: inout Findings,
        depth: Int
    ) {
        for schema in keywords["allOf"]?.array ?? [] { check(value, schema, path, &findings, depth: depth + 1) }
        if let choices = keywords["anyOf"]?.array, !choices.contains(where: { isValid(value, $0, depth: depth) }) {
            findings.add(path, "\(findings.show(value)) fits none of the \(choices.count) allowed forms")
        }
        if let choices = keywords["oneOf"]?.array {
            let count = choices.count { isValid(value, $0, depth: depth) }
            if count != 1 {
                findings.add(path, "\(findings.show(value)) fits \(count) of the allowed forms, where one is due")
            }
        }
        if let forbidden = keywords["not"], isValid(value, forbidden, depth: depth) {
            findings.add(path, "\(findings.show(value)) is not allowed")
        }
        if let condition = keywords["if"] {
            let branch = isValid(value, condition, depth: depth) ? keywords["then"] : keywords["else"]
            if let branch { check(value, branch, path, &findings, depth: depth + 1) }
        }
        for (name, schema) in keywords["dependentSchemas"]?.object ?? [:] where value[name] != nil {
            check(value, schema, path, &findings, depth: depth + 1)
        }
    }

    private static func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : path + "." + name }

    private static func describe(_ schema: Value?) -> String {
        schema?["description"]?.string.map { " (\($0))" } ?? ""
    }
}

extension SchemaCheck {
    /// The value with the `default` of each property that is not set.
    func completed(_ value: Value) -> Value { complete(value, root, depth: 0) }

    private func complete(_ value: Value, _ schema: Value, depth: Int) -> Value {
        guard depth < Self.deepest, var object = value.object else { return value }
        for (name, property) in schema["properties"]?.object ?? [:] {
            if let given = object[name] {
                object[name] = complete(given, property, depth: depth + 1)
            } else if let usual = property["default"] {
                object[name] = usual
            }
        }
        return .object(object)
    }

    /// The value with everything that is marked `sensitive` blotted out.
    func masked(_ value: Value) -> Value { mask(value, root, depth: 0) }

    private func mask(_ value: Value, _ schema: Value, depth: Int) -> Value {
        guard depth < Self.deepest else { return "…" }
        if schema["sensitive"]?.bool == true { return "…" }
        if let target = schema["$ref"]?.string.flatMap(resolve) { return mask(value, target, depth: depth + 1) }
        if let array = value.array {
            return .array(array.map { mask($0, schema["items"] ?? [:], depth: depth + 1) })
        }
        guard let object = value.object else { return value }
        let properties = schema["properties"]?.object ?? [:]
        let others = schema["additionalProperties"] ?? [:]
        let pairs = object.map { ($0, mask($1, properties[$0] ?? others, depth: depth + 1)) }
        return .object(Dictionary(pairs) { $1 })
    }
}

extension Value {
    /// Whether two values are the same JSON: 1 and 1.0 are.
    func isEqual(to other: Value) -> Bool {
        if let number = double, let second = other.double { return number == second }
        return self == other
    }
}

/// The word that was probably meant: the nearest one, if it is near.
func nearest(to word: String, among words: [String]) -> String? {
    let best = words.map { ($0, distance(Array(word.lowercased()), Array($0.lowercased()))) }.min { $0.1 < $1.1 }
    guard let (found, distance) = best, distance <= (word.count < 4 ? 1 : max(2, word.count / 3)) else { return nil }
    return found
}

/// How many letters must be changed, added or left out to make one word of the other.
private func distance(_ first: [Character], _ second: [Character]) -> Int {
    var row = Array(0...second.count)
    for (index, letter) in first.enumerated() {
        var diagonal = row[0]
        row[0] = index + 1
        for (column, other) in second.enumerated() {
            let above = row[column + 1]
            row[column + 1] = min(above + 1, row[column] + 1, diagonal + (letter == other ? 0 : 1))
            diagonal = above
        }
    }
    return row[second.count]
}
