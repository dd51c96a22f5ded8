// Calls to the service `mesh`, which is how `wiz` sees and steers a mesh: values in and out, and whole lists page by page.

import ConfigDocument
import MeshClient
import MeshProtocol
import SemanticVersion

extension MeshConnection {
    /// Calls a method of the service `mesh`.
    func ask(_ method: String, _ arguments: JSON = .mapping([])) async throws -> JSON {
        let reply = try await call(
            .service("mesh", range: "^1", method: method),
            payload: .json(text: arguments.json)
        )
        return try JSON(parsing: reply.payload.text, source: "mesh.\(method)")
    }

    /// Every item of a list of the service `mesh`.
    func list(_ method: String, _ arguments: [JSON.Entry] = []) async throws -> [JSON] {
        var items: [JSON] = []
        var after: JSON?
        while true {
            let page = try await ask(
                method,
                .mapping(arguments + (after.map { [.init(key: "after", value: $0)] } ?? []))
            )
            items += page["items"]?.items ?? []
            guard let next = page["next"], next != .null else { return items }
            after = next
        }
    }

    /// What each process offers, as `service@version`, by its label.
    func offers() async -> [String: [String]] {
        guard let sessions = try? await list("sessions"), let services = try? await list("services") else {
            return [:]
        }
        var labels: [Int64: String] = [:]
        for session in sessions { labels[session.number("session")] = session.text("instance") }
        var offers: [String: [String]] = [:]
        for service in services {
            for provider in service["providers"]?.items ?? [] {
                guard let label = labels[provider.number("session")] else { continue }
                offers[label, default: []].append(service.text("service") + "@" + service.text("version"))
            }
        }
        return offers
    }

    /// Whether a method answers with a stream of replies.
    func answersWithStream(_ target: CallTarget) async -> Bool {
        guard !target.isCapability, let services = try? await list("services") else { return false }
        return services.contains { service in
            service.text("service") == target.name
                && (service["methods"]?.items ?? []).contains {
                    $0.text("name") == target.method && $0["replyStream"]?.boolean == true
                }
        }
    }

    /// What to type when a service was not found.
    func serviceSuggestion(_ name: String) async -> String {
        let names = ((try? await list("services")) ?? []).map { $0.text("service") }
        if let near = names.contains(name) ? nil : nearest(to: name, among: names) { return "Did you mean \(near)?" }
        return "`wiz services` lists what there is."
    }

    /// What to type when a service or a method was not found: the nearest name there is, or the list.
    func suggestion(for target: CallTarget) async -> String? {
        guard !target.isCapability, let services = try? await list("services"), !services.isEmpty else { return nil }
        return didYouMean(target, services: services)
    }
}

/// What to type instead of a target that was not found.
func didYouMean(_ target: CallTarget, services: [JSON]) -> String? {
    let same = services.filter { $0.text("service") == target.name }
    guard same.isEmpty else {
        let methods = Set(same.flatMap { $0["methods"]?.items.map { $0.text("name") } ?? [] })
        if methods.contains(target.method) {
            // One that is in range and has the method was found: the failure has another reason.
            let range = target.range.isEmpty ? .any : (try? VersionRange(target.range))
            let versions = same.map { $0.text("version") }
            if versions.contains(where: { (try? SemanticVersion($0)).map { range?.contains($0) ?? true } ?? true }) {
                return nil
            }
            return "\(target.name) is here in \(versions.joined(separator: ", ")); \(target.range) takes none of them."
        }
        if let near = nearest(to: target.method, among: methods) {
            return "Did you mean `\(target.name).\(near)`?"
        }
        return "\(target.name) has: \(methods.sorted().joined(separator: ", "))."
    }
    let names = Set(services.map { $0.text("service") })
    if let near = nearest(to: target.name, among: names) { return "Did you mean `\(near).\(target.method)`?" }
    let others = services.filter { service in
        service["methods"]?.items.contains { $0.text("name") == target.method } ?? false
    }
    if let other = others.first { return "`\(other.text("service")).\(target.method)` exists." }
    return "`wiz services` lists what there is: \(names.sorted().prefix(8).joined(separator: ", "))."
}
