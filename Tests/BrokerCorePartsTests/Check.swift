// An expectation for calls that change what they are called on, which `#expect` cannot take apart.

import Testing

/// Records an issue unless both values are the same.
func check<Value: Equatable>(
    _ actual: Value,
    _ expected: Value,
    _ comment: Comment? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(actual == expected, comment, sourceLocation: sourceLocation)
}
