// Tells the broker, and through it the host, whether the plugin is ready: once everything is registered, again in every later
// session, and why it is not.

/// Speaks to the broker about this session.
struct Readiness: Sendable {
    let mesh: MeshConnection
    let logger: Logger

    /// What a session is known by.
    private struct Place: Hashable {
        var epoch: UInt64
        var session: UInt64

        init?(_ info: SessionInfo?) {
            guard let info else { return nil }
            epoch = info.epoch
            session = info.session
        }
    }

    private struct Reason: Encodable {
        var reason: String
        var retryAfterMilliseconds: Int64?
    }

    /// Tells that everything is registered, and tells it again in every later session once it is so again.
    ///
    /// Returns when the connection has ended or the task is cancelled.
    func tell() async {
        let states = mesh.states
        var told = Place(mesh.session)
        await ready()
        for await state in states {
            guard case .connected(let info) = state, Place(info) != told else { continue }
            guard (try? await mesh.registered()) != nil, !Task.isCancelled else { continue }
            // Sessions may have come and gone meanwhile: it is the present one that everything is registered in.
            told = Place(mesh.session) ?? told
            await ready()
        }
    }

    /// Calls `mesh.ready`, again while the broker has no room for it.
    private func ready() async {
        let session = Place(mesh.session)
        var delay = Duration.milliseconds(50)
        while !Task.isCancelled {
            do {
                try await ask("ready", Nothing(), within: .seconds(5))
                return
            } catch is CancellationError {
                return
            } catch let error as MeshError where error.isRetryable && Place(mesh.session) == session && session != nil {
                logger.debug("the broker was not told that the plugin is ready: \(error)")
                try? await Task.sleep(for: delay)
                delay = min(delay * 2, .seconds(1))
            } catch {
                // A lost session: the next one is told anew.
                return logger.debug("the broker was not told that the plugin is ready: \(error)")
            }
        }
    }

    /// Tells why the plugin is not ready.
    func notReady(_ reason: String, retryAfter: Duration?) async {
        let (seconds, attoseconds) = (retryAfter ?? .zero).components
        // A day is what the broker takes.
        let milliseconds = min(86_400_000, min(seconds, 86_400) * 1000 + attoseconds / 1_000_000_000_000_000)
        let text = String(reason.prefix(1000))
        do {
            let message = Reason(reason: text, retryAfterMilliseconds: retryAfter == nil ? nil : max(1, milliseconds))
            try await ask("notReady", message, within: .seconds(1))
        } catch {
            logger.debug("the broker was not told why the plugin is not ready: \(error)")
        }
    }

    /// Calls a method of the broker; one that an older broker does not have counts as called.
    private func ask(_ method: String, _ input: some Encodable, within bound: Duration) async throws {
        do {
            _ = try await mesh.call(
                .service("mesh", method: method),
                payload: .json(input),
                options: CallOptions(deadline: bound)
            )
        } catch let error as MeshError where error.status == .notFound || error.status == .unimplemented {
            logger.debug("this broker has no mesh.\(method)")
        }
    }
}
