// JSON in payloads, by Codable. The only file of this room that turns values into JSON and back.

internal import FoundationEssentials
import MeshProtocol

extension Payload {
    /// Makes a payload of a value as JSON.
    ///
    /// - Throws: ``MeshError`` INVALID_ARGUMENT when the value has no JSON form (a number that is not finite, say).
    public static func json(_ value: some Encodable) throws(MeshError) -> Payload {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.withoutEscapingSlashes]
            return Payload(Array(try encoder.encode(value)), contentType: .json)
        } catch {
            throw MeshError(
                .invalidArgument,
                "a value of \(type(of: value)) could not be written as JSON: \(error)",
                hint: "Check its Encodable conformance and that its numbers are finite."
            )
        }
    }

    /// Reads the payload as JSON.
    ///
    /// - Throws: ``MeshError`` INVALID_ARGUMENT naming the key that is missing or of another type.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws(MeshError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw MeshError(
                .invalidArgument,
                "the payload is not the JSON of \(type): \(Self.reason(of: error))",
                hint: "Compare it with the method's schema: wiz describe SERVICE."
            )
        } catch {
            throw MeshError(.invalidArgument, "the payload is not the JSON of \(type): \(error)")
        }
    }

    private static func reason(of error: DecodingError) -> String {
        func place(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
            let keys = context.codingPath + (last.map { [$0] } ?? [])
            return "/" + keys.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: "/")
        }
        return switch error {
        case .keyNotFound(let key, let context): "\(place(context, key)) is missing"
        case .valueNotFound(let type, let context): "\(place(context)) is null, expected \(type)"
        case .typeMismatch(let type, let context): "\(place(context)) is not \(type)"
        case .dataCorrupted(let context): "at \(place(context)): \(context.debugDescription)"
        @unknown default: "\(error)"
        }
    }
}
