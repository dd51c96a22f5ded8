// The lists of the service `mesh`: sessions, services, calls, subscriptions, metrics and plugins, page by page.

import BrokerCore
import ConfigDocument
import MeshProtocol
import SemanticVersion

/// A page: what there is, and where the next one begins.
private struct Page<Item: Encodable>: Encodable {
    var items: [Item]
    /// Nil when this is the last page.
    var next: String?

    enum Key: String, CodingKey {
        case items, next
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(items, forKey: .items)
        try container.encode(next, forKey: .next)
    }
}

/// A plugin: all sessions of one name.
private struct PluginSnapshot: Encodable {
    struct Instance: Encodable {
        var session: UInt64
        var instance: String
        var version: String
        var state: SessionSnapshot.State
        var process: Int32?
        var connectedMilliseconds: UInt64
        var leasesHeld: Int
    }

    var name: String
    var principal: String
    /// `alive` when one instance is, else the best there is.
    var state: SessionSnapshot.State
    var instances: [Instance]
    var services: [String]
}

extension MeshService {
    /// The most items of a page, whatever was asked for: what the mesh thread makes at a time.
    private func bounded(_ limit: Int, _ loop: borrowing MeshLoop) -> Int { min(limit, loop.core.limits.pageCount) }

    private func answer<Item: Encodable>(
        _ items: [Item],
        limit: Int,
        cursor: (Item) -> String
    ) -> Answer {
        Answer(Page(items: items, next: items.count >= limit ? items.last.map(cursor) : nil))
    }

    func sessions(_ arguments: Arguments) throws(Refusal) -> Answer {
        let page = try arguments.page()
        let after = try number(page.after, arguments).map(SessionID.init(rawValue:))
        let (items, limit) = try ask { [self] loop in
            let limit = bounded(page.limit, loop)
            return (loop.core.sessions(after: after, limit: limit, now: loop.now), limit)
        }
        return answer(items, limit: limit) { String($0.session) }
    }

    func calls(_ arguments: Arguments) throws(Refusal) -> Answer {
        let page = try arguments.page()
        var after: LeaseID?
        if let cursor = page.after { after = try lease(cursor, arguments) }
        let (items, limit) = try ask { [self, after] loop in
            let limit = bounded(page.limit, loop)
            return (loop.core.calls(after: after, limit: limit, now: loop.now), limit)
        }
        return answer(items, limit: limit) { $0.lease }
    }

    func subscriptions(_ arguments: Arguments) throws(Refusal) -> Answer {
        let page = try arguments.page()
        var after: SubscriptionCursor?
        if let cursor = page.after {
            let parts = cursor.split(separator: ".").compactMap { UInt64($0) }
            guard parts.count == 2 else { throw badCursor(cursor, arguments) }
            after = SubscriptionCursor(session: SessionID(rawValue: parts[0]), id: parts[1])
        }
        let (items, limit) = try ask { [self, after] loop in
            let limit = bounded(page.limit, loop)
            return (loop.core.subscriptions(after: after, limit: limit), limit)
        }
        return answer(items, limit: limit) { "\($0.session).\($0.id)" }
    }

    func metrics(_ arguments: Arguments) throws(Refusal) -> Answer {
        let shape = #"{"after": cursor?, "limit": number?, "format": "json" | "prometheus"}"#
        let (page, format) = try arguments.read(shape, keys: ["after", "limit", "format"]) { fields in
            (
                PageArguments(fields),
                fields["format"].isPresent ? fields["format"].oneOf(["json", "prometheus"]) : "json"
            )
        }
        if format == "prometheus" { return try prometheus() }
        struct Metrics: Encodable {
            var items: [MethodMetricsSnapshot]
            var next: String?
            var counters: Counters
        }
        let metrics = try ask { [self] loop in
            let limit = bounded(page.limit, loop)
            let items = loop.core.methodMetrics(after: page.after, limit: limit)
            return Metrics(
                items: items,
                next: items.count >= limit ? items.last?.cursor : nil,
                counters: loop.core.counters
            )
        }
        return Answer(metrics)
    }

    func services(_ arguments: Arguments) throws(Refusal) -> Answer {
        let shape =
            #"{"service": name?, "range": range?, "capability": tag?, "after": cursor?, "limit": number?}"#
        let keys = ["service", "range", "capability", "after", "limit"]
        let (filter, page) = try arguments.read(shape, keys: keys) { fields in
            let range = fields["range"].parsed(as: "range", expected: "a range such as \"^1.2\"") {
                try VersionRange($0)
            }
            let filter = ServiceFilter(
                service: fields["service"].string(),
                range: range,
                capability: fields["capability"].string()
            )
            return (filter, PageArguments(fields))
        }
        var found: [ServiceSnapshot] = []
        var after = page.after
        while true {
            let (items, limit) = try ask { [self, after] loop in
                let limit = bounded(1_000, loop)
                return (loop.core.services(after: after, limit: limit, withShadows: true), limit)
            }
            for item in items where filter.matches(item) {
                found.append(item)
                if found.count == page.limit { return answer(found, limit: page.limit) { $0.cursor } }
            }
            guard items.count >= limit, let last = items.last else { break }
            after = last.cursor
        }
        return Answer(Page(items: found, next: nil))
    }

    func plugins(_ arguments: Arguments) throws(Refusal) -> Answer {
        let page = try arguments.page()
        var services: [UInt64: [String]] = [:]
        for service in try allServices() {
            for provider in service.providers { services[provider.session, default: []].append(service.cursor) }
        }
        var plugins: [String: PluginSnapshot] = [:]
        for session in try allSessions() where session.roles.contains("plugin") || services[session.session] != nil {
            var plugin =
                plugins[session.name]
                ?? PluginSnapshot(
                    name: session.name,
                    principal: session.principal,
                    state: session.state,
                    instances: [],
                    services: []
                )
            plugin.add(session, services: services[session.session] ?? [])
            plugins[session.name] = plugin
        }
        let names = plugins.keys.sorted().drop { name in page.after.map { name <= $0 } ?? false }.prefix(page.limit)
        return answer(names.compactMap { plugins[$0] }, limit: page.limit) { $0.name }
    }

    func allServices() throws(Refusal) -> [ServiceSnapshot] {
        var all: [ServiceSnapshot] = []
        while true {
            let after = all.last?.cursor
            let (items, limit) = try ask { [self] loop in
                let limit = bounded(1_000, loop)
                return (loop.core.services(after: after, limit: limit), limit)
            }
            all += items
            guard items.count >= limit else { return all }
        }
    }

    private func allSessions() throws(Refusal) -> [SessionSnapshot] {
        var all: [SessionSnapshot] = []
        while true {
            let after = all.last.map { SessionID(rawValue: $0.session) }
            let (items, limit) = try ask { [self] loop in
                let limit = bounded(1_000, loop)
                return (loop.core.sessions(after: after, limit: limit, now: loop.now), limit)
            }
            all += items
            guard items.count >= limit else { return all }
        }
    }

    /// A lease as `calls` shows it: `index.generation`.
    func lease(_ text: String, _ arguments: Arguments) throws(Refusal) -> LeaseID {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).compactMap { UInt32($0) }
        guard parts.count == 2 else { throw badCursor(text, arguments) }
        return LeaseID(index: parts[0], generation: parts[1])
    }

    private func number(_ text: String?, _ arguments: Arguments) throws(Refusal) -> UInt64? {
        guard let text else { return nil }
        guard let number = UInt64(text) else { throw badCursor(text, arguments) }
        return number
    }

    private func badCursor(_ text: String, _ arguments: Arguments) -> Refusal {
        Refusal(
            .invalidArgument,
            "mesh.\(arguments.method): \"\(text)\" names nothing here",
            hint: "take it from an answer of mesh.\(arguments.method == "cancel" ? "calls" : arguments.method)"
        )
    }
}

extension PluginSnapshot {
    fileprivate mutating func add(_ session: SessionSnapshot, services more: [String]) {
        if session.state == .alive { state = .alive }
        instances.append(
            Instance(
                session: session.session,
                instance: session.instance,
                version: session.version,
                state: session.state,
                process: session.process,
                connectedMilliseconds: session.connectedMilliseconds,
                leasesHeld: session.leasesHeld
            )
        )
        services = Set(services).union(more).sorted()
    }
}

/// Which services `mesh.services` shows.
private struct ServiceFilter {
    var service: String?
    var range: VersionRange?
    var capability: String?

    func matches(_ snapshot: ServiceSnapshot) -> Bool {
        if let service, snapshot.service != service { return false }
        if let capability, !snapshot.capabilities.contains(capability) { return false }
        guard let range else { return true }
        guard let version = try? SemanticVersion(snapshot.version) else { return false }
        return range.contains(version)
    }
}
