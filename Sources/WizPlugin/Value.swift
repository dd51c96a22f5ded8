// A JSON value whose shape is known only at run time: what the dynamic way in of a plugin takes and gives. Pure but for
// Codable.

/// Any JSON value.
public enum Value: Hashable, Sendable {
    /// Nothing.
    case null
    /// True or false.
    case bool(Bool)
    /// A number without a fraction.
    case int(Int)
    /// Any other number.
    case double(Double)
    /// Text.
    case string(String)
    /// Values in order.
    case array([Value])
    /// Values by key.
    case object([String: Value])

    /// The value of a key; nil when this is no object or has no such key.
    public subscript(key: String) -> Value? {
        get { object?[key] }
        set {
            var object = object ?? [:]
            object[key] = newValue
            self = .object(object)
        }
    }

    /// The element at an index; nil when this is no array or is shorter.
    public subscript(index: Int) -> Value? {
        guard let array, array.indices.contains(index) else { return nil }
        return array[index]
    }

    /// Whether it is null.
    public var isNull: Bool { self == .null }
    /// True or false, if it is that.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The text, if it is text.
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    /// The elements, if it is an array.
    public var array: [Value]? { if case .array(let value) = self { value } else { nil } }
    /// The members, if it is an object.
    public var object: [String: Value]? { if case .object(let value) = self { value } else { nil } }

    /// The number as an integer, if it is one without a loss.
    public var int: Int? {
        switch self {
        case .int(let value): value
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The number, if it is one.
    public var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }
}

extension Value: Codable {
    /// Reads any JSON value.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .int(value)
        } else if let value = try? container.decode(Double.self) {
            self = .double(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([Value].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: Value].self))
        }
    }

    /// Writes the value.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .int(let value): try container.encode(value)
        case .double(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}

extension Value: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// Null.
    public init(nilLiteral: ()) { self = .null }
    /// True or false.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// A whole number.
    public init(integerLiteral value: Int) { self = .int(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// Text.
    public init(stringLiteral value: String) { self = .string(value) }
    /// Values in order.
    public init(arrayLiteral elements: Value...) { self = .array(elements) }
    /// Values by key; of equal keys the last one counts.
    public init(dictionaryLiteral elements: (String, Value)...) {
        self = .object(Dictionary(elements) { $1 })
    }
}

extension Value {
    /// Turns a value of another type into this one, by its JSON.
    ///
    /// - Throws: ``MeshError`` INVALID_ARGUMENT when it has no JSON form.
    public init(encoding value: some Encodable) throws(MeshError) {
        self = try Payload.json(value).decode(Value.self)
    }

    /// Reads the value as a type, by its JSON.
    ///
    /// - Throws: ``MeshError`` INVALID_ARGUMENT naming the key that is missing or of another type.
    public func decode<Result: Decodable>(_ type: Result.Type = Result.self) throws(MeshError) -> Result {
        try Payload.json(self).decode(type)
    }
}
