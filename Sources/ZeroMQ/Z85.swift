// Z85, the text form of CURVE keys (RFC 32): four bytes become five characters in base 85. Pure.

/// The Z85 text encoding.
enum Z85 {
    static let keyCharacterCount = 40

    private static let alphabet = Array(
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#".utf8
    )

    /// The value of every ASCII character, 255 for those that Z85 does not have.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()

    /// Decodes the text of a key to its 32 bytes.
    static func decodeKey(_ text: String) throws(CurveKeyError) -> [UInt8] {
        let characters = Array(text.utf8)
        guard characters.count == keyCharacterCount else { throw .wrongCharacterCount(text.count) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        for start in stride(from: 0, to: keyCharacterCount, by: 5) {
            var group: UInt64 = 0
            for position in start..<(start + 5) {
                let value = values[Int(characters[position])]
                guard value < 85 else { throw .invalidCharacter(position: position) }
                group = group * 85 + UInt64(value)
            }
            guard let word = UInt32(exactly: group) else { throw .overflow(position: start) }
            for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
        return bytes
    }

    /// Encodes bytes, whose count must be a multiple of four.
    static func encode(_ bytes: UnsafeRawBufferPointer) -> String {
        precondition(bytes.count.isMultiple(of: 4), "Z85 encodes groups of four bytes")
        var characters: [UInt8] = []
        characters.reserveCapacity(bytes.count / 4 * 5)
        for start in stride(from: 0, to: bytes.count, by: 4) {
            var group = UInt32(0)
            for position in start..<(start + 4) { group = group << 8 | UInt32(bytes[position]) }
            for divisor in [52_200_625, 614_125, 7225, 85, 1] as [UInt32] {
                characters.append(alphabet[Int(group / divisor % 85)])
            }
        }
        return String(decoding: characters, as: UTF8.self)
    }
}
