// CURVE keys: 32 bytes each, written as 40 characters of Z85. A secret key never prints itself. Uses libzmq to make keys.

import CZeroMQ

/// Text or bytes that are not a CURVE key.
public enum CurveKeyError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The text has another number of characters than 40.
    case wrongCharacterCount(Int)
    /// The key has another number of bytes than 32.
    case wrongByteCount(Int)
    /// A character that Z85 does not have.
    case invalidCharacter(position: Int)
    /// Five characters that stand for more than 32 bits.
    case overflow(position: Int)

    /// What is wrong with the key and how one looks.
    public var description: String {
        switch self {
        case .wrongCharacterCount(let count):
            "a CURVE key has 40 characters of Z85, this one has \(count): copy the whole key"
        case .wrongByteCount(let count): "a CURVE key has 32 bytes, this one has \(count)"
        case .invalidCharacter(let position):
            "the character at position \(position) of the CURVE key is not one of Z85's: copy the key again"
        case .overflow(let position):
            "the five characters at position \(position) of the CURVE key are no Z85: copy the key again"
        }
    }
}

/// The public half of a CURVE key pair.
public struct CurvePublicKey: Hashable, Sendable, CustomStringConvertible {
    let words: CurveKeyWords

    /// Reads 40 characters of Z85.
    public init(z85 text: String) throws(CurveKeyError) { words = try CurveKeyWords(z85: text) }

    /// Reads 32 bytes.
    public init(bytes: UnsafeRawBufferPointer) throws(CurveKeyError) { words = try CurveKeyWords(bytes: bytes) }

    init(words: CurveKeyWords) { self.words = words }

    /// The key as 40 characters of Z85.
    public var z85: String { words.z85 }

    /// Lends the 32 bytes.
    public func withUnsafeBytes<R: ~Copyable, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R
    {
        try words.withUnsafeBytes(body)
    }

    /// The key as 40 characters of Z85.
    public var description: String { z85 }
}

/// The secret half of a CURVE key pair; its description never shows it.
public struct CurveSecretKey: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    let words: CurveKeyWords

    /// Reads 40 characters of Z85.
    public init(z85 text: String) throws(CurveKeyError) { words = try CurveKeyWords(z85: text) }

    /// Reads 32 bytes.
    public init(bytes: UnsafeRawBufferPointer) throws(CurveKeyError) { words = try CurveKeyWords(bytes: bytes) }

    /// The key as 40 characters of Z85, to be stored where only its owner can read.
    public var revealedZ85: String { words.z85 }

    /// Lends the 32 bytes.
    public func withUnsafeBytes<R: ~Copyable, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R
    {
        try words.withUnsafeBytes(body)
    }

    /// The public key that belongs to this secret one.
    public func publicKey() throws(ZeroMQError) -> CurvePublicKey {
        var text = [CChar](repeating: 0, count: Z85.keyCharacterCount + 1)
        guard zmq_curve_public(&text, words.z85) == 0 else { throw ZeroMQError(lastErrorOf: .generateKeys) }
        return try CurveKeyPair.key(fromText: text).map(CurvePublicKey.init(words:)).get()
    }

    /// A fixed word in place of the key.
    public var description: String { "<secret key>" }
    /// A fixed word in place of the key.
    public var debugDescription: String { description }
    /// Shows nothing of the key.
    public var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }
}

/// A CURVE key pair.
public struct CurveKeyPair: Hashable, Sendable {
    /// The half to give away.
    public let publicKey: CurvePublicKey
    /// The half to keep.
    public let secretKey: CurveSecretKey

    /// Puts two halves together that are known to match.
    public init(publicKey: CurvePublicKey, secretKey: CurveSecretKey) {
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    /// Completes a secret key by its public half.
    public init(secretKey: CurveSecretKey) throws(ZeroMQError) {
        self.init(publicKey: try secretKey.publicKey(), secretKey: secretKey)
    }

    /// Makes a new pair.
    public static func generate() throws(ZeroMQError) -> CurveKeyPair {
        var publicText = [CChar](repeating: 0, count: Z85.keyCharacterCount + 1)
        var secretText = publicText
        guard zmq_curve_keypair(&publicText, &secretText) == 0 else { throw ZeroMQError(lastErrorOf: .generateKeys) }
        let publicWords = try key(fromText: publicText).get()
        let secretWords = try key(fromText: secretText).get()
        return CurveKeyPair(
            publicKey: CurvePublicKey(words: publicWords),
            secretKey: CurveSecretKey(words: secretWords)
        )
    }

    /// Reads a key as libzmq wrote it.
    static func key(fromText text: [CChar]) -> Result<CurveKeyWords, ZeroMQError> {
        let characters = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        guard let words = try? CurveKeyWords(z85: String(decoding: characters, as: UTF8.self)) else {
            return .failure(ZeroMQError(code: .invalidArgument, operation: .generateKeys))
        }
        return .success(words)
    }
}

extension CurveSecretKey {
    init(words: CurveKeyWords) { self.words = words }
}

/// The 32 bytes of a key, held inline.
struct CurveKeyWords: Hashable, Sendable {
    private var words: SIMD4<UInt64> = .zero

    init(z85 text: String) throws(CurveKeyError) {
        var words: SIMD4<UInt64> = .zero
        let bytes = try Z85.decodeKey(text)
        withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
        self.words = words
    }

    init(bytes: UnsafeRawBufferPointer) throws(CurveKeyError) {
        guard bytes.count == 32 else { throw .wrongByteCount(bytes.count) }
        var words: SIMD4<UInt64> = .zero
        withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
        self.words = words
    }

    func withUnsafeBytes<R: ~Copyable, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try Swift.withUnsafePointer(to: words) { (pointer: UnsafePointer<SIMD4<UInt64>>) throws(E) -> R in
            try body(UnsafeRawBufferPointer(start: UnsafeRawPointer(pointer), count: 32))
        }
    }

    var z85: String { withUnsafeBytes { Z85.encode($0) } }
}
