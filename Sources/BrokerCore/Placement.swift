// How work is spread over the workers of a service: set by the mesh file for each service, least-loaded otherwise.

/// A policy of choice among the workers that could take a call.
public enum Balance: String, Sendable, Hashable, CaseIterable {
    /// The worker with the least calls in flight for its capacity; ties rotate.
    case leastLoaded = "least-loaded"
    /// One after the other.
    case roundRobin = "round-robin"
    /// In proportion to the workers' weights.
    case weighted
}
