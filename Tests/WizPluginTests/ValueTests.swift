// JSON values: round trips, literals, access, and other types by way of them.

import Testing
import WizPlugin

struct ValueTests {
    @Test(
        arguments: [
            nil, true, false, 0, -7, 9_007_199_254_740_993, 1.5, -2.5e-9, "", "a \"quoted\" \u{1F9D9} line\n", [],
            [1, [2, [nil]]], [:], ["a": ["b": [1, 2.5, "c", nil, false]]],
        ] as [Value]
    )
    func `a value comes back from JSON as it was`(_ value: Value) throws {
        #expect(try Payload.json(value).decode(Value.self) == value)
    }

    @Test func `members and elements are reached by subscripts`() {
        let value: Value = ["a": [["b": 1], 2.0, "three"]]
        #expect(value["a"]?[0]?["b"]?.int == 1)
        #expect(value["a"]?[1]?.int == 2)
        #expect(value["a"]?[1]?.double == 2)
        #expect(value["a"]?[2]?.string == "three")
        #expect(value["a"]?[3] == nil)
        #expect(value["b"] == nil)
        #expect(value[0] == nil)
        #expect(Value.double(2.5).int == nil)
    }

    @Test func `a member can be set and removed`() {
        var value: Value = ["a": 1]
        value["b"] = [true]
        value["a"] = nil
        #expect(value == ["b": [true]])
    }

    @Test func `a value becomes a type and back`() throws {
        struct Point: Codable, Equatable {
            var x: Int
            var y: Double
        }
        let value = try Value(encoding: Point(x: 1, y: 2.5))
        #expect(value == ["x": 1, "y": 2.5])
        #expect(try value.decode(Point.self) == Point(x: 1, y: 2.5))
        #expect(throws: MeshError.self) { try Value.object(["x": "one"]).decode(Point.self) }
    }

    @Test func `numbers without JSON form are refused`() {
        #expect(throws: MeshError.self) { try Value(encoding: Double.infinity) }
    }
}
