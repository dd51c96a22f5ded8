// The headers by which a worker tells what it provides: PROVIDE WITHDRAW CAPACITY DRAIN. Pure.

/// One method of a provided service.
public struct MethodDescription: Hashable, Sendable {
    /// The method's name.
    public var name: String
    /// Idempotent, streaming.
    public var flags: MethodFlags
    /// The method's own total deadline in milliseconds; zero: the broker's default.
    public var deadlineMilliseconds: UInt32
    /// The named permissions that a caller must have.
    public var permissions: [String]

    /// Describes a method.
    public init(
        name: String,
        flags: MethodFlags = [],
        deadlineMilliseconds: UInt32 = 0,
        permissions: [String] = []
    ) {
        self.name = name
        self.flags = flags
        self.deadlineMilliseconds = deadlineMilliseconds
        self.permissions = permissions
    }
}

/// A property of a provider that look-up can ask for: `model=tiny`.
public struct Attribute: Hashable, Sendable {
    /// The name.
    public var name: String
    /// The value.
    public var value: String
    /// Makes an attribute.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// PROVIDE: registers a service, or describes a live registration anew when the id is one.
///
/// Answered with END or FAIL. The payload, if any, is a JSON document that describes the methods' parameters and
/// results.
public struct Provide: HeaderFields {
    /// PROVIDE.
    public static let verb = Verb.provide
    /// Names the registration from here on.
    public var id: RequestID
    /// What the payload holds.
    public var contentType: ContentType
    /// How many calls the provider takes at a time.
    public var capacity: UInt32
    /// Its share of the work under the weighted policy; 100 is usual, 0 takes none.
    public var weight: UInt32
    /// The service's name.
    public var service: String
    /// The service's version, a semantic version.
    public var version: String
    /// The methods, in the provider's order.
    public var methods: [MethodDescription]
    /// Attributes for look-up.
    public var attributes: [Attribute]
    /// Capability tags for look-up.
    public var capabilities: [String]

    /// Describes a service.
    public init(
        id: RequestID,
        contentType: ContentType = .json,
        capacity: UInt32 = 1,
        weight: UInt32 = 100,
        service: String,
        version: String,
        methods: [MethodDescription],
        attributes: [Attribute] = [],
        capabilities: [String] = []
    ) {
        self.id = id
        self.contentType = contentType
        self.capacity = capacity
        self.weight = weight
        self.service = service
        self.version = version
        self.methods = methods
        self.attributes = attributes
        self.capabilities = capabilities
    }

    /// Reads a PROVIDE.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Provide {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.provide, from: &reader)
        let provide = Provide(
            id: try prefix.request(reader),
            contentType: prefix.contentType,
            capacity: try reader.integer("capacity"),
            weight: try reader.integer("weight"),
            service: try reader.text("service", maximum: WireLimits.nameByteCount, required: true),
            version: try reader.text("version", maximum: WireLimits.versionByteCount, required: true),
            methods: try methods(from: &reader),
            attributes: try Attribute.list(from: &reader),
            capabilities: try names("capabilities", maximum: WireLimits.capabilityCount, from: &reader)
        )
        try reader.finish()
        return provide
    }

    private static func methods(from reader: inout HeaderReader) throws(DecodeError) -> [MethodDescription] {
        let count = try reader.count("methods", maximum: WireLimits.methodCount)
        var methods: [MethodDescription] = []
        for _ in 0..<count {
            let name = try reader.text("methods.name", maximum: WireLimits.nameByteCount, required: true)
            let start = reader.offset
            let flags = MethodFlags(rawValue: try reader.integer("methods.flags"))
            guard flags.subtracting(.known).isEmpty else {
                throw reader.error("methods.flags", at: start, .unknownFlags(flags.subtracting(.known).rawValue))
            }
            methods.append(
                MethodDescription(
                    name: name,
                    flags: flags,
                    deadlineMilliseconds: try reader.integer("methods.deadlineMilliseconds"),
                    permissions: try names(
                        "methods.permissions",
                        maximum: WireLimits.permissionCount,
                        from: &reader
                    )
                )
            )
        }
        return methods
    }

    private static func names(
        _ field: StaticString,
        maximum: Int,
        from reader: inout HeaderReader
    ) throws(DecodeError) -> [String] {
        let count = try reader.count(field, maximum: maximum)
        var names: [String] = []
        for _ in 0..<count {
            names.append(try reader.text(field, maximum: WireLimits.nameByteCount, required: true))
        }
        return names
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.provide, contentType: contentType, id: id.wire, to: &buffer)
        HeaderWriter.integer(capacity, to: &buffer)
        HeaderWriter.integer(weight, to: &buffer)
        HeaderWriter.text(service, to: &buffer)
        HeaderWriter.text(version, to: &buffer)
        HeaderWriter.count(methods.count, to: &buffer)
        for method in methods {
            HeaderWriter.text(method.name, to: &buffer)
            HeaderWriter.integer(method.flags.rawValue, to: &buffer)
            HeaderWriter.integer(method.deadlineMilliseconds, to: &buffer)
            HeaderWriter.count(method.permissions.count, to: &buffer)
            for permission in method.permissions {
                HeaderWriter.text(permission, to: &buffer)
            }
        }
        Attribute.write(attributes, to: &buffer)
        HeaderWriter.count(capabilities.count, to: &buffer)
        for capability in capabilities {
            HeaderWriter.text(capability, to: &buffer)
        }
    }
}

extension Attribute {
    static func list(from reader: inout HeaderReader) throws(DecodeError) -> [Attribute] {
        let count = try reader.count("attributes", maximum: WireLimits.attributeCount)
        var attributes: [Attribute] = []
        for _ in 0..<count {
            attributes.append(
                Attribute(
                    name: try reader.text("attributes.name", maximum: WireLimits.nameByteCount, required: true),
                    value: try reader.text("attributes.value", maximum: WireLimits.valueByteCount)
                )
            )
        }
        return attributes
    }

    static func write(_ attributes: [Attribute], to buffer: inout [UInt8]) {
        HeaderWriter.count(attributes.count, to: &buffer)
        for attribute in attributes {
            HeaderWriter.text(attribute.name, to: &buffer)
            HeaderWriter.text(attribute.value, to: &buffer)
        }
    }
}

/// WITHDRAW: takes a registration back at once; calls already given out go on.
///
/// Answered with END or FAIL.
public struct Withdraw: HeaderFields {
    /// WITHDRAW.
    public static let verb = Verb.withdraw
    /// The registration.
    public var id: RequestID
    /// Makes a WITHDRAW.
    public init(id: RequestID) { self.id = id }

    /// Reads a WITHDRAW.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Withdraw {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.withdraw, from: &reader)
        try reader.finish()
        return Withdraw(id: try prefix.request(reader))
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.withdraw, id: id.wire, to: &buffer)
    }
}

/// CAPACITY: tells how many calls a registration takes from now on.
///
/// Not answered; FAIL when there is no such registration.
public struct Capacity: HeaderFields {
    /// CAPACITY.
    public static let verb = Verb.capacity
    /// The registration.
    public var id: RequestID
    /// Calls at a time; zero pauses it.
    public var capacity: UInt32
    /// Its weight.
    public var weight: UInt32
    /// Makes a CAPACITY.
    public init(id: RequestID, capacity: UInt32, weight: UInt32 = 100) {
        self.id = id
        self.capacity = capacity
        self.weight = weight
    }

    /// Reads a CAPACITY.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Capacity {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.capacity, from: &reader)
        let capacity = Capacity(
            id: try prefix.request(reader),
            capacity: try reader.integer("capacity"),
            weight: try reader.integer("weight")
        )
        try reader.finish()
        return capacity
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.capacity, id: id.wire, to: &buffer)
        HeaderWriter.integer(capacity, to: &buffer)
        HeaderWriter.integer(weight, to: &buffer)
    }
}

/// DRAIN: no new work.
///
/// From a worker: for all its registrations, answered with END once none of its calls is in flight. From the broker (id
/// zero): the worker shall finish what it has, and leave.
public struct Drain: HeaderFields {
    /// DRAIN.
    public static let verb = Verb.drain
    /// The worker's request; ``WireID/session`` from the broker.
    public var id: WireID
    /// How long the broker waits before it ends the session, in milliseconds; zero: as long as the calls take.
    public var graceMilliseconds: UInt32
    /// For people.
    public var reason: String
    /// Makes a DRAIN.
    public init(id: WireID, graceMilliseconds: UInt32 = 0, reason: String = "") {
        self.id = id
        self.graceMilliseconds = graceMilliseconds
        self.reason = reason
    }

    /// Reads a DRAIN.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Drain {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.drain, from: &reader)
        let drain = Drain(
            id: prefix.id,
            graceMilliseconds: try reader.integer("graceMilliseconds"),
            reason: try reader.text("reason", maximum: WireLimits.messageByteCount)
        )
        try reader.finish()
        return drain
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.drain, id: id, to: &buffer)
        HeaderWriter.integer(graceMilliseconds, to: &buffer)
        HeaderWriter.sentence(reason, maximum: WireLimits.messageByteCount, to: &buffer)
    }
}
