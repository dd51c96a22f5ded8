// Reads `provides`: the services that a plugin offers, with their methods.

internal import ConfigDocument
internal import SemanticVersion

struct ServiceReader {
    /// The version of a service that names none; nil if the plugin's own is wrong, which was reported.
    let pluginVersion: SemanticVersion?

    func services(_ field: ConfigField) -> [ProvidedService] {
        var seen: [String: String] = [:]
        return field.list(atMost: ManifestBounds.services).compactMap { item in
            guard let service = service(item) else { return nil }
            let key = "\(service.service)@\(service.version)"
            if let first = seen[key] {
                item.report("service \(excerpt(key)) is already listed at \(first)")
                return nil
            }
            seen[key] = item.pointer
            return service
        }
    }

    private func service(_ item: ConfigField) -> ProvidedService? {
        let fields = item.mapping(ManifestKeys.service)
        let name = fields["service"].required().name("service name")
        let version = fields["version"].isPresent ? fields["version"].version() : pluginVersion
        let description = fields["description"].sentence()
        let methods = methods(fields["methods"])
        let attributes = attributes(fields["attributes"])
        let capabilities = fields["capabilities"].names("capability", atMost: ManifestBounds.capabilities)
        guard let name, let version else { return nil }
        return ProvidedService(
            service: name,
            version: version,
            description: description,
            methods: methods,
            attributes: attributes,
            capabilities: capabilities
        )
    }

    private func methods(_ field: ConfigField) -> [ProvidedMethod] {
        let entries = field.entries()
        if entries.count > ManifestBounds.methods {
            field.report(
                "a service cannot have \(entries.count) methods",
                expected: "at most \(ManifestBounds.methods)"
            )
        }
        return entries.compactMap(method)
    }

    private func method(_ entry: ConfigEntry) -> ProvidedMethod? {
        let name = entry.keyField.methodName()
        let fields = entry.value.mapping(ManifestKeys.method)
        let readOnly = fields["readOnly"].boolean() ?? false
        let destructive = fields["destructive"].boolean() ?? false
        if readOnly, destructive {
            fields["destructive"].report("a method that only reads cannot be destructive", suggestion: "false")
        }
        let method = ProvidedMethod(
            name: name ?? "",
            description: fields["description"].sentence(),
            input: ConfigSchema.checked(fields["input"]),
            output: ConfigSchema.checked(fields["output"]),
            timeout: fields["timeoutMs"].milliseconds(),
            isIdempotent: fields["idempotent"].boolean() ?? false,
            isReadOnly: readOnly,
            isDestructive: destructive,
            stream: stream(fields["stream"]),
            permissions: fields["permissions"].demandedPermissions()
        )
        return name == nil ? nil : method
    }

    private func stream(_ field: ConfigField) -> MethodStream {
        if case .boolean(let flag) = field.node?.content { return flag ? .reply : .none }
        return field.oneOf(MethodStream.self) ?? .none
    }

    private func attributes(_ field: ConfigField) -> [ServiceAttribute] {
        let entries = field.entries()
        if entries.count > ManifestBounds.attributes {
            field.report("there are \(entries.count) attributes", expected: "at most \(ManifestBounds.attributes)")
        }
        return entries.compactMap { entry in
            let name = entry.keyField.attributeName()
            let value = entry.value.attributeValue()
            guard let name, let value else { return nil }
            return ServiceAttribute(name: name, value: value)
        }
    }
}

extension ConfigField {
    /// An attribute's name follows the grammar of methods, so that `contextLength` is one.
    fileprivate func attributeName() -> String? {
        guard let text = string() else { return nil }
        if ManifestNames.isMethod(text) { return text }
        report(
            "attribute name \(excerpt(text)) is not valid",
            expected: "a letter, then letters, digits, \"-\", \"_\" and \".\""
        )
        return nil
    }

    /// Text, a number or a boolean, as text.
    fileprivate func attributeValue() -> String? {
        switch node?.content {
        case .boolean(let flag): return String(flag)
        case .integer(let number): return String(number)
        case .number(let number): return String(number)
        default: return string(allowsEmpty: false, maximumLength: ManifestBounds.attributeBytes)
        }
    }
}
