// Users, principals and rules of a mesh file, each with the line it stands on, so that refusals can name it.

import BrokerCore
import ConfigDocument
import MeshProtocol
import ZeroMQ

extension MeshFile {
    /// Where something stands, for refusals: `mesh.yaml:12`.
    func origin(_ field: ConfigField) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return "\(name):\(field.position.line)"
    }

    mutating func readPrincipals(_ field: ConfigField) {
        for entry in field.entries() {
            let fields = entry.value.mapping(["roles", "permissions", "names", "key", "keyFile"])
            let roles = fields["roles"].names("name of a role")
            let permissions = fields["permissions"].names("name of a permission")
            let names = fields["names"].names("name of a principal")
            let key = key(fields)
            guard entry.keyField.name("name of a principal") != nil else { continue }
            policy.principals[entry.key] = Policy.Principal(
                roles: Set(roles),
                permissions: Set(permissions),
                names: Set(names),
                origin: origin(entry.keyField)
            )
            guard let key else { continue }
            if let other = keys[key] {
                fields[fields["key"].isPresent ? "key" : "keyFile"].report(
                    "this key is already the one of \(other)",
                    expected: "a key for each principal"
                )
            }
            keys[key] = entry.key
        }
    }

    /// A principal's public key: `key` is the key itself, `keyFile` a file that holds it, for meshes whose keys are made
    /// at their first start.
    private func key(_ fields: ConfigMapping) -> String? {
        let text = fields["key"].parsed(as: "key") { text in try CurvePublicKey(z85: text).z85 }
        guard let path = fields["keyFile"].string(allowsEmpty: false).map(resolve) else { return text }
        if fields["key"].isPresent { fields["keyFile"].report("there is a key beside it", expected: "one of the two") }
        do {
            return try KeyFile.publicKey(at: path)
        } catch {
            fields["keyFile"].report(error.description)
            return text
        }
    }

    mutating func readUsers(_ field: ConfigField) {
        for entry in field.entries() {
            guard let user = UInt32(entry.key) else {
                entry.keyField.report("\"\(entry.key)\" is not a user", expected: "a uid, as `id -u` shows it")
                continue
            }
            guard let principal = entry.value.required().string(allowsEmpty: false) else { continue }
            if isKnown(principal, at: entry.value) { policy.localUsers[user] = principal }
        }
    }

    mutating func readRules(_ field: ConfigField) {
        for item in field.list(atMost: 10_000) {
            let actions = Policy.Action.allCases.map(\.rawValue)
            let fields = item.mapping(["allow", "deny"] + actions)
            let isDenied = fields["deny"].isPresent
            if isDenied == fields["allow"].isPresent {
                item.report("a rule allows or denies", expected: "one of the keys allow and deny")
            }
            let subjectField = fields[isDenied ? "deny" : "allow"]
            let subject = subjectField.string(allowsEmpty: false)
            let isGood = subject.map { isSubject($0, at: subjectField) } ?? false
            let found = actions.filter { fields[$0].isPresent }
            if found.isEmpty {
                item.report("the rule is about nothing", expected: "one of the keys \(actions.joined(separator: ", "))")
            }
            for action in found {
                guard let what = Policy.Action(rawValue: action) else { continue }
                for (target, field) in targets(fields[action]) where isGood {
                    policy.rules.append(
                        Policy.Rule(
                            effect: isDenied ? .deny : .allow,
                            subject: subject ?? "",
                            action: what,
                            target: target,
                            origin: origin(field)
                        )
                    )
                }
            }
        }
    }

    /// The targets of a rule: one, or a list.
    func targets(_ field: ConfigField) -> [(String, ConfigField)] {
        guard let node = field.node else { return [] }
        let items: [ConfigField]
        if case .list = node.content { items = field.list(atMost: 1_000) } else { items = [field] }
        return items.compactMap { item in
            guard let text = item.string(allowsEmpty: false) else { return nil }
            guard Topics.isPattern(text) else {
                item.report(
                    "\"\(text)\" is not a target",
                    expected: "words joined by dots, `*` for one word, `>` last for the rest, such as \"ui.>\""
                )
                return nil
            }
            return (text, item)
        }
    }

    private func isSubject(_ text: String, at field: ConfigField) -> Bool {
        if text == "*" { return true }
        if text.hasPrefix("role:") {
            guard Names.isName(text.dropFirst(5)) else {
                field.report("\"\(text)\" names no role", expected: "role: and a name")
                return false
            }
            return true
        }
        return isKnown(text, at: field)
    }

    private func isKnown(_ principal: String, at field: ConfigField) -> Bool {
        if policy.principals[principal] != nil { return true }
        field.report(
            "there is no principal \"\(principal)\"",
            expected: "a name from `principals:` or `plugins:`",
            suggestion: nearest(to: principal, among: policy.principals.keys.sorted())
        )
        return false
    }
}

extension ConfigField {
    /// A name by the protocol's grammar.
    func name(_ what: String) -> String? {
        guard let text = string(allowsEmpty: false) else { return nil }
        guard Names.isName(text) else {
            report(
                "\"\(text)\" is no good \(what)",
                expected: "lower-case words of letters and digits joined by -, _ or ."
            )
            return nil
        }
        return text
    }

    /// A list of such names.
    func names(_ what: String) -> [String] { list(atMost: 256).compactMap { $0.name(what) } }
}
