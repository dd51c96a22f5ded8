// What a worker tells about a service that it provides.

public import MeshProtocol

/// A service as its provider describes it.
public struct ServiceDescription: Hashable, Sendable {
    /// The service's name.
    public var name: String
    /// The service's version, a semantic version.
    public var version: String
    /// The methods.
    public var methods: [MethodDescription]
    /// Attributes for look-up: `model=tiny`.
    public var attributes: [Attribute]
    /// Capability tags for look-up.
    public var capabilities: [String]
    /// How many calls may be in the handler at a time.
    public var capacity: Int
    /// The share of the work under the weighted policy; 100 is usual, 0 takes none.
    public var weight: Int
    /// A JSON document that describes parameters and results; nil: none.
    public var schema: Payload?

    /// Describes a service.
    public init(
        name: String,
        version: String,
        methods: [MethodDescription],
        attributes: [Attribute] = [],
        capabilities: [String] = [],
        capacity: Int = 16,
        weight: Int = 100,
        schema: Payload? = nil
    ) {
        self.name = name
        self.version = version
        self.methods = methods
        self.attributes = attributes
        self.capabilities = capabilities
        self.capacity = capacity
        self.weight = weight
        self.schema = schema
    }

    /// `name@version`.
    public var title: String { name + "@" + version }

    /// The PROVIDE that registers it.
    func provide(id: RequestID) -> Provide {
        Provide(
            id: id,
            contentType: schema?.contentType ?? .json,
            capacity: UInt32(clamping: capacity),
            weight: UInt32(clamping: weight),
            service: name,
            version: version,
            methods: methods,
            attributes: attributes,
            capabilities: capabilities
        )
    }
}
