// What services there are in the mesh, for resolution: follows `mesh.watch` and starts over whenever the stream ends.

internal import FoundationEssentials
import Manifest
import MeshClient
import SemanticVersion

/// Follows the broker's registry.
struct RegistryListener {
    let mesh: MeshConnection

    private struct Piece: Decodable {
        struct Provider: Decodable {
            var name: String
            var state: String
            var stage: String?
        }
        struct Service: Decodable {
            var service, version: String
            var providers: [Provider]
        }
        struct Change: Decodable {
            var service: Service
        }
        var services: [Service]?
        var more: Bool?
        var changes: [Change]?
    }

    /// Tells what is offered, until the task is cancelled or the connection ends.
    func listen(_ hear: @Sendable (HostInput) -> Void) async {
        while !Task.isCancelled {
            do {
                let stream = try await mesh.openStream(
                    .service("mesh", range: "^1", method: "watch"),
                    payload: .json(text: "{}")
                )
                try await follow(stream, hear)
            } catch is CancellationError {
                return
            } catch {
                if case .closed = mesh.state { return }
            }
            try? await Task.sleep(for: .milliseconds(500))
        }
    }

    private func follow(_ stream: CallStream, _ hear: @Sendable (HostInput) -> Void) async throws {
        var known: [String: Piece.Service] = [:]
        for try await payload in stream {
            guard let piece = try? payload.decode(Piece.self) else { continue }
            for service in (piece.services ?? []) + (piece.changes ?? []).map(\.service) {
                known[service.service + "@" + service.version] = service.providers.isEmpty ? nil : service
            }
            if piece.more != true { hear(.elsewhere(Self.offers(known.values))) }
        }
    }

    private static func offers(_ services: some Sequence<Piece.Service>) -> [ServiceOffer] {
        var offers = Set<ServiceOffer>()
        for service in services {
            guard let version = try? SemanticVersion(service.version) else { continue }
            for provider in service.providers where provider.state != "draining" && provider.stage != "shadow" {
                offers.insert(ServiceOffer(service: service.service, version: version, provider: provider.name))
            }
        }
        return offers.sorted { "\($0)" < "\($1)" }
    }
}
