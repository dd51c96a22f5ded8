// The reply streams of `mesh.watch`: a snapshot of the registry in pages, then its changes, at the pace of each watcher's
// credit. Values are taken here, on the mesh thread; JSON is made on the administration thread, one piece at a time per
// watcher, so that a slow watcher costs one piece of memory.

import BrokerCore
import MeshProtocol
import ZeroMQ

/// One piece of a watcher's stream, before it is JSON.
enum WatchPiece: Sendable {
    /// A page of the registry as it is.
    case services([ServiceSnapshot], revision: UInt64, isLast: Bool)
    /// What has changed.
    case changes([RegistryChange], revision: UInt64)
}

/// Who watches the registry.
struct WatchDesk {
    enum Stage {
        /// Reading the registry page by page; changes since `base` follow.
        case snapshot(after: String?, base: UInt64)
        /// Everything up to a revision has been told.
        case changes(since: UInt64, isResumed: Bool)
    }

    struct Watcher {
        let lease: LeaseID
        var stage: Stage
        /// A piece that waits for credit.
        var pending: (body: BodyHandle, byteCount: Int)?
        /// A piece is being made.
        var isBusy = false
    }

    /// Services or changes in one piece.
    static let pieceCount = 200
    /// How often a piece without credit is tried again.
    static let retryMilliseconds: UInt64 = 10

    /// As many services as fit in a piece, by an estimate of their JSON; one at least.
    static func fitting(_ services: [ServiceSnapshot], byteCount: Int) -> [ServiceSnapshot] {
        var sum = 0
        let count = services.prefix { service in
            sum += service.estimatedByteCount
            return sum <= byteCount
        }.count
        return Array(services.prefix(services.isEmpty ? 0 : max(1, count)))
    }

    var list: [Watcher] = []
    /// When a piece that waits for credit is tried again.
    var nextDeadline: MeshInstant?
}

extension MeshLoop {
    /// Begins a watcher's stream.
    mutating func addWatcher(_ lease: LeaseID, since revision: UInt64?) {
        let stage: WatchDesk.Stage =
            revision.map { .changes(since: $0, isResumed: true) } ?? .snapshot(after: nil, base: core.registryRevision)
        watchers.list.append(WatchDesk.Watcher(lease: lease, stage: stage))
    }

    /// Takes a piece that has been made.
    mutating func tellWatcher(_ lease: LeaseID, _ json: [UInt8]) {
        guard let index = watchers.list.firstIndex(where: { $0.lease == lease }) else { return }
        // A frame over the limit would cost the watcher its connection.
        guard json.count <= core.limits.payloadByteCount else {
            let failure = Failure(
                .outOfRange,
                message: "a piece of the watch has \(json.count) bytes, more than a payload may have",
                hint: "raise the limit \"payload\" in the mesh file"
            )
            return core.refuse(lease, with: failure, now: now, into: &outbox)
        }
        let body = wire.slab.insert(Message(copying: json))
        watchers.list[index].pending = (body, json.count)
        watchers.list[index].isBusy = false
        watchers.nextDeadline = now
    }

    /// Moves every watcher on as far as its credit goes.
    mutating func watch() {
        guard !watchers.list.isEmpty else { return }
        let isTimeToRetry = watchers.nextDeadline.map { $0 <= now } ?? false
        if isTimeToRetry { watchers.nextDeadline = nil }
        for index in watchers.list.indices.reversed() {
            guard core.isLive(watchers.list[index].lease) else {
                let watcher = watchers.list.remove(at: index)
                if let pending = watcher.pending { wire.slab.release(pending.body) }
                continue
            }
            if isTimeToRetry { sendPending(index) }
            if watchers.list[index].pending != nil {
                watchers.nextDeadline = watchers.nextDeadline ?? now.advanced(milliseconds: WatchDesk.retryMilliseconds)
            } else if !watchers.list[index].isBusy {
                beginPiece(index)
            }
        }
    }

    private mutating func sendPending(_ index: Int) {
        guard let pending = watchers.list[index].pending else { return }
        let isTaken = core.stream(
            watchers.list[index].lease,
            body: pending.body,
            byteCount: pending.byteCount,
            contentType: .json,
            now: now,
            into: &outbox
        )
        if isTaken { watchers.list[index].pending = nil }
        settle()
    }

    private mutating func beginPiece(_ index: Int) {
        let piece: WatchPiece
        switch watchers.list[index].stage {
        case .snapshot(let after, let base):
            let all = core.services(after: after, limit: WatchDesk.pieceCount)
            let page = WatchDesk.fitting(all, byteCount: core.limits.payloadByteCount / 2)
            let isLast = all.count < WatchDesk.pieceCount && page.count == all.count
            piece = .services(page, revision: base, isLast: isLast)
            watchers.list[index].stage =
                isLast ? .changes(since: base, isResumed: false) : .snapshot(after: page.last?.cursor, base: base)
        case .changes(let since, let isResumed):
            guard isResumed || core.registryRevision != since else { return }
            guard case .changes(let all) = core.registryChanges(since: since, limit: WatchDesk.pieceCount + 1) else {
                watchers.list[index].stage = .snapshot(after: nil, base: core.registryRevision)
                beginPiece(index)
                return
            }
            let count = WatchDesk.fitting(all.map(\.service), byteCount: core.limits.payloadByteCount / 2).count
            let some = Array(all.prefix(min(count, WatchDesk.pieceCount)))
            let revision = some.count < all.count ? some.last?.revision ?? since : core.registryRevision
            piece = .changes(some, revision: revision)
            watchers.list[index].stage = .changes(since: revision, isResumed: false)
        }
        watchers.list[index].isBusy = office.make(piece, for: watchers.list[index].lease)
        guard !watchers.list[index].isBusy else { return }
        // No room on the administration thread: the stream would have a gap, so it ends; the watcher resumes.
        let failure = Failure(
            .resourceExhausted,
            message: "the broker is too busy to go on with this watch",
            hint: "watch again with \"since\"",
            retryAfterMilliseconds: 1_000
        )
        core.refuse(watchers.list[index].lease, with: failure, now: now, into: &outbox)
        settle()
    }
}

extension ServiceSnapshot {
    /// About what its JSON takes, if nothing in it needs escapes.
    fileprivate var estimatedByteCount: Int {
        var count = 512 + providers.count * 256
        for method in methods {
            count += 160 + method.name.utf8.count
            for permission in method.permissions { count += 4 + permission.utf8.count }
        }
        for (name, value) in attributes { count += 8 + name.utf8.count + value.utf8.count }
        for capability in capabilities { count += 4 + capability.utf8.count }
        return count
    }
}
