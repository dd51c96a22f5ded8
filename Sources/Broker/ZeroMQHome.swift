// What all brokers of a process share: the one libzmq context and its one ZAP handler, which asks the gatekeeper of the
// domain in question. Made for the first broker, ended with the last.

import Synchronization
import ZeroMQ

/// The libzmq context of this process's brokers.
final class ZeroMQHome: Sendable {
    private struct Shared {
        var home: ZeroMQHome?
        var users = 0
        var brokers = 0
    }

    private static let shared = Mutex(Shared())

    let context: Context
    private let zap: ZapServer
    private let gates: Gates

    private final class Gates: Sendable {
        let byDomain = Mutex<[String: Gatekeeper]>([:])
    }

    private init(ioThreadCount: Int) throws(ZeroMQError) {
        let gates = Gates()
        context = try Context(ioThreadCount: ioThreadCount)
        zap = try ZapServer(context) { request in
            let gate = gates.byDomain.withLock { $0[request.domain] }
            return gate?.decide(request) ?? .deny(reason: "unknown domain")
        }
        self.gates = gates
    }

    /// Takes a share of the home, making it if this is the first; the number is new for each call.
    static func enter(ioThreadCount: Int) throws(ZeroMQError) -> (home: ZeroMQHome, number: Int) {
        let result: Result<(ZeroMQHome, Int), ZeroMQError> = shared.withLock { shared in
            do throws(ZeroMQError) {
                let home: ZeroMQHome
                if let existing = shared.home {
                    home = existing
                } else {
                    home = try ZeroMQHome(ioThreadCount: ioThreadCount)
                }
                shared.home = home
                shared.users += 1
                shared.brokers += 1
                return .success((home, shared.brokers))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Gives a share back, after its sockets are closed; the last one ends the ZAP thread and the context.
    static func leave() {
        // Ended under the lock, so that a broker that starts meanwhile gets a new home and not the end of this one.
        shared.withLock { shared in
            shared.users -= 1
            guard shared.users == 0, let home = shared.home else { return }
            shared.home = nil
            home.zap.stop()
            home.context.terminate()
        }
    }

    /// Lets a gatekeeper answer for its domains.
    func admit(by gate: Gatekeeper) {
        gates.byDomain.withLock { gates in
            gates[gate.localDomain] = gate
            gates[gate.remoteDomain] = gate
        }
    }

    /// Refuses everything in the gatekeeper's domains from now on.
    func dismiss(_ gate: Gatekeeper) {
        gates.byDomain.withLock { gates in
            gates[gate.localDomain] = nil
            gates[gate.remoteDomain] = nil
        }
    }
}
