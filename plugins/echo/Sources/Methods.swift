// The methods of echo that are more than a line.

import Synchronization
import WizPlugin

struct About: Encodable {
    var name: String
    var version: String
    var instance: String
    var process: Int32
    var caller: String
}

struct Nap: Codable {
    var milliseconds: Int
}

struct Counting: Decodable {
    var to: Int
    var delayMilliseconds: Int?
}

struct Wish: Decodable {
    var status: String?
    var message: String?
    var retryAfterMilliseconds: Int?
}

/// A value that is set once.
final class Once<Value: Sendable>: Sendable {
    private let stored = Mutex<Value?>(nil)
    var value: Value? { stored.withLock { $0 } }
    func set(_ value: Value) { stored.withLock { $0 = value } }
}

/// Answers after a while.
///
/// The task is cancelled when the caller gives up or its deadline passes, and the sleep with it.
@Sendable func sleep(_ nap: Nap, _ context: PluginContext) async throws -> Nap {
    let start = ContinuousClock.now
    do {
        try await Task.sleep(for: .milliseconds(max(0, nap.milliseconds)))
    } catch {
        let slept = start.duration(to: .now)
        context.logger.info("sleep was cancelled after \(slept.formattedMilliseconds) ms")
        throw error
    }
    return nap
}

/// Streams the numbers from 1, as fast as the caller reads or one every so often.
@Sendable func count(_ range: Counting, _ context: PluginContext, _ replies: ReplyWriter) async throws {
    guard range.to > 0 else { return }
    for number in 1...range.to {
        if let delay = range.delayMilliseconds, delay > 0, number > 1 {
            try await Task.sleep(for: .milliseconds(delay))
        }
        try await replies.send(number)
    }
}

/// Fails as told.
@Sendable func fail(_ wish: Wish, _ context: PluginContext) async throws -> Nothing {
    let status = wish.status ?? "INTERNAL"
    guard let known = Status.registry.first(where: { $0.name == status && $0.status != .ok }) else {
        throw MeshError(
            .invalidArgument,
            "\(status) is no status that something fails with",
            hint: "Use one of \(Status.registry.dropFirst().map(\.name).joined(separator: ", "))."
        )
    }
    throw MeshError(
        known.status,
        wish.message ?? "it failed, as it was told to",
        retryAfter: wish.retryAfterMilliseconds.map { .milliseconds(max(0, $0)) }
    )
}

extension Duration {
    var formattedMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}
