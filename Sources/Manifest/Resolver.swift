// The work of resolution. What can start is the least fixed point: it grows from plugins that need nobody, so that members
// of a cycle never get in, and a cycle with another way in does. Plugins and requirements are numbers here; each pair of
// service and range is matched with its providers once. Pure.

internal import SemanticVersion

struct Resolver {
    /// By name, so that the numbers sort as the names do.
    private let plugins: [ResolvablePlugin]
    private let mesh: SemanticVersion?
    private var requirements: [Requirement] = []
    /// For each plugin the requirements of its dependencies, in their order.
    private var required: [[Int]] = []
    private var wanted: [[Int]] = []
    /// The round of the fixed point in which a plugin got in; nil: it cannot start.
    private var round: [Int?]
    /// A requirement that somebody who is there or can start meets.
    private var isMet: [Bool] = []
    /// Plugins that take only providers of earlier rounds, since the best ones made a cycle.
    private var isPinned: [Bool]
    private let offers: [String: [Candidate]]

    private struct Candidate {
        let provider: ServiceProvider
        /// Its number, if it is a plugin of this host.
        let plugin: Int?
    }

    private struct Key: Hashable {
        let service: String
        let range: VersionRange
    }

    private struct Requirement {
        /// Those in range, the best first.
        let candidates: [Candidate]
        var requiredBy: [Int] = []
    }

    init(_ plugins: [ResolvablePlugin], elsewhere: [ServiceOffer], mesh: SemanticVersion?) {
        var names = Set<String>()
        self.plugins = plugins.filter { names.insert($0.name).inserted }.sorted { $0.name < $1.name }
        self.mesh = mesh
        round = Array(repeating: nil, count: self.plugins.count)
        isPinned = Array(repeating: false, count: self.plugins.count)
        offers = Self.offers(self.plugins, elsewhere)
        collectRequirements()
    }

    mutating func resolve() -> Resolution {
        findStartable()
        let bound = boundGraph()
        let (graph, dropped) = awaitedGraph(bound)
        let heights = graph.heights()
        let blocked = blockedGraph()
        let (cycles, cycleOf) = cycles(of: blocked)
        var waves: [[String]] = []
        var outcome: [String: PluginResolution] = [:]
        for (number, plugin) in plugins.enumerated() {
            let wave = round[number] == nil ? nil : heights[number]
            if let wave {
                while waves.count <= wave { waves.append([]) }
                waves[wave].append(plugin.name)
            }
            let awaited = Set(graph.successors[number])
            outcome[plugin.name] = PluginResolution(
                name: plugin.name,
                version: plugin.version,
                bindings: bindings(number, awaited: wave == nil ? [] : awaited),
                reasons: wave == nil ? reasons(number, cycles: cycles, cycleOf: cycleOf) : [],
                wave: wave,
                waitsFor: awaited.sorted().map { plugins[$0].name }
            )
        }
        return Resolution(
            plugins: outcome,
            waves: waves,
            cycles: cycles,
            dropped: dropped,
            services: offers.keys.sorted()
        )
    }

    // MARK: Who can provide what

    private static func offers(_ plugins: [ResolvablePlugin], _ elsewhere: [ServiceOffer]) -> [String: [Candidate]] {
        var offers: [String: [Candidate]] = [:]
        for (number, plugin) in plugins.enumerated() {
            for offer in plugin.provides {
                let provider = ServiceProvider(
                    name: plugin.name,
                    pluginVersion: plugin.version,
                    serviceVersion: offer.version
                )
                offers[offer.service, default: []].append(Candidate(provider: provider, plugin: number))
            }
        }
        for offer in elsewhere {
            let provider = ServiceProvider(name: offer.provider, pluginVersion: nil, serviceVersion: offer.version)
            offers[offer.service, default: []].append(Candidate(provider: provider, plugin: nil))
        }
        return offers.mapValues { list in
            list.sorted { left, right in
                if left.provider.serviceVersion != right.provider.serviceVersion {
                    return right.provider.serviceVersion < left.provider.serviceVersion
                }
                if left.provider.name != right.provider.name { return left.provider.name < right.provider.name }
                return left.plugin == nil && right.plugin != nil
            }
        }
    }

    private mutating func collectRequirements() {
        var numbers: [Key: Int] = [:]
        for (number, plugin) in plugins.enumerated() {
            required.append(plugin.requires.map { requirement($0, &numbers) })
            wanted.append(plugin.wants.map { requirement($0, &numbers) })
            for requirement in required[number] { requirements[requirement].requiredBy.append(number) }
        }
    }

    private mutating func requirement(_ dependency: ServiceDependency, _ numbers: inout [Key: Int]) -> Int {
        let key = Key(service: dependency.service, range: dependency.range)
        if let number = numbers[key] { return number }
        let candidates = offers[dependency.service, default: []].filter {
            dependency.range.contains($0.provider.serviceVersion)
        }
        requirements.append(Requirement(candidates: candidates))
        isMet.append(candidates.contains { $0.plugin == nil })
        numbers[key] = requirements.count - 1
        return requirements.count - 1
    }

    // MARK: Who can start

    private mutating func findStartable() {
        var openCount = required.map { list in list.count { !isMet[$0] } }
        var offered: [[Int]] = Array(repeating: [], count: plugins.count)
        for (number, requirement) in requirements.enumerated() where !requirement.requiredBy.isEmpty {
            for candidate in requirement.candidates {
                if let plugin = candidate.plugin { offered[plugin].append(number) }
            }
        }
        var queue = plugins.indices.filter { openCount[$0] == 0 && isAllowed($0) }
        for number in queue { round[number] = 0 }
        var head = 0
        while head < queue.count {
            let provider = queue[head]
            head += 1
            for requirement in offered[provider] where !isMet[requirement] {
                isMet[requirement] = true
                for number in requirements[requirement].requiredBy {
                    openCount[number] -= 1
                    guard openCount[number] == 0, isAllowed(number) else { continue }
                    round[number] = (round[provider] ?? 0) + 1
                    queue.append(number)
                }
            }
        }
    }

    private func isAllowed(_ number: Int) -> Bool {
        plugins[number].hold == nil && fitsEngine(plugins[number])
    }

    private func fitsEngine(_ plugin: ResolvablePlugin) -> Bool {
        guard let mesh, let engine = plugin.engine else { return true }
        return engine.contains(mesh)
    }

    // MARK: Bindings and order

    /// The provider that a plugin is given: the best that is there or can start, and is not the plugin itself.
    private func choice(_ requirement: Int, for number: Int) -> Candidate? {
        requirements[requirement].candidates.first { candidate in
            guard let plugin = candidate.plugin else { return true }
            guard plugin != number, let itsRound = round[plugin] else { return false }
            guard isPinned[number], let ownRound = round[number] else { return true }
            return itsRound < ownRound
        }
    }

    /// The edges of required dependencies among those that can start; acyclic.
    private mutating func boundGraph() -> DirectedGraph {
        while true {
            var graph = DirectedGraph(count: plugins.count)
            for number in plugins.indices where round[number] != nil {
                connect(number, to: required[number], in: &graph)
            }
            let isCyclic = graph.cyclicNodes(parts: graph.parts())
            guard isCyclic.contains(true) else { return graph }
            for number in plugins.indices where isCyclic[number] { isPinned[number] = true }
        }
    }

    private func connect(_ number: Int, to list: [Int], in graph: inout DirectedGraph) {
        for requirement in list {
            if let plugin = choice(requirement, for: number)?.plugin { graph.connect(number, to: plugin) }
        }
    }

    /// The same with those optional edges that close no cycle, and notes of the others.
    private func awaitedGraph(_ bound: DirectedGraph) -> (DirectedGraph, [DroppedDependency]) {
        var full = bound
        for number in plugins.indices where round[number] != nil { connect(number, to: wanted[number], in: &full) }
        let parts = full.parts()
        var graph = bound
        var dropped: [DroppedDependency] = []
        for number in plugins.indices where round[number] != nil {
            for (place, requirement) in wanted[number].enumerated() {
                guard let provider = choice(requirement, for: number)?.plugin else { continue }
                guard parts[number] == parts[provider] else {
                    graph.connect(number, to: provider)
                    continue
                }
                let part = parts[number]
                let way = [number] + full.way(from: provider, to: number) { parts[$0] == part }
                dropped.append(
                    DroppedDependency(
                        plugin: plugins[number].name,
                        dependency: plugins[number].wants[place],
                        provider: plugins[provider].name,
                        cycle: cycle(way, members: Array(Set(way)))
                    )
                )
            }
        }
        return (graph, dropped)
    }

    private func bindings(_ number: Int, awaited: Set<Int>) -> [DependencyBinding] {
        let plugin = plugins[number]
        let lists = [(plugin.requires, required[number], true), (plugin.wants, wanted[number], false)]
        return lists.flatMap { dependencies, numbers, isRequired in
            zip(dependencies, numbers).map { dependency, requirement in
                let candidate = choice(requirement, for: number)
                return DependencyBinding(
                    dependency: dependency,
                    isRequired: isRequired,
                    provider: candidate?.provider,
                    isAwaited: candidate?.plugin.map(awaited.contains) ?? false
                )
            }
        }
    }

    // MARK: Who cannot start, and why

    private func blockedGraph() -> DirectedGraph {
        var graph = DirectedGraph(count: plugins.count)
        for number in plugins.indices where round[number] == nil {
            for requirement in required[number] where !isMet[requirement] {
                for candidate in requirements[requirement].candidates {
                    if let plugin = candidate.plugin { graph.connect(number, to: plugin) }
                }
            }
        }
        return graph
    }

    /// The cycles, and for each plugin that is in one its number and its part of the graph.
    private func cycles(of graph: DirectedGraph) -> ([DependencyCycle], [Int: (cycle: Int, members: Set<Int>)]) {
        let parts = graph.parts()
        let isCyclic = graph.cyclicNodes(parts: parts)
        var members: [Int: [Int]] = [:]
        for number in plugins.indices where isCyclic[number] { members[parts[number], default: []].append(number) }
        var cycles: [DependencyCycle] = []
        var cycleOf: [Int: (cycle: Int, members: Set<Int>)] = [:]
        for number in plugins.indices where isCyclic[number] && cycleOf[number] == nil {
            let list = members[parts[number], default: []]
            let way = graph.way(from: number, to: number) { parts[$0] == parts[number] }
            for member in list { cycleOf[member] = (cycles.count, Set(list)) }
            cycles.append(cycle(way, members: list))
        }
        return (cycles, cycleOf)
    }

    private func cycle(_ way: [Int], members: [Int]) -> DependencyCycle {
        DependencyCycle(path: way.map { plugins[$0].name }, members: members.sorted().map { plugins[$0].name })
    }

    private func reasons(
        _ number: Int,
        cycles: [DependencyCycle],
        cycleOf: [Int: (cycle: Int, members: Set<Int>)]
    ) -> [BlockReason] {
        let plugin = plugins[number]
        var reasons: [BlockReason] = []
        if let mesh, let engine = plugin.engine, !engine.contains(mesh) {
            reasons.append(.engine(engine, mesh: mesh))
        }
        if let hold = plugin.hold { reasons.append(.held(hold)) }
        if let own = cycleOf[number] { reasons.append(.cycle(cycles[own.cycle])) }
        for (dependency, requirement) in zip(plugin.requires, required[number]) where !isMet[requirement] {
            let candidates = requirements[requirement].candidates
            if candidates.isEmpty {
                let others = offers[dependency.service, default: []].filter { $0.plugin != number }.map(\.provider)
                reasons.append(.missing(dependency, others: others))
            } else if let own = cycleOf[number], candidates.allSatisfy({ $0.plugin.map(own.members.contains) ?? false })
            {
                continue
            } else {
                reasons.append(.providersBlocked(dependency, candidates.map(\.provider)))
            }
        }
        return reasons
    }
}
