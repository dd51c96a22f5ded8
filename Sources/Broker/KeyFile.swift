// CURVE key pairs on disk: JSON with both halves, readable by its owner alone. What `wiz keys new` writes and the broker
// and tcp clients read.

import ConfigDocument
import Glibc
import ZeroMQ

/// A key file that cannot be made or used.
public struct KeyFileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What happened, where, why, and what to do.
    public let description: String
}

/// A CURVE key pair in a file, and public keys in files of their own.
public struct KeyFile: Sendable, Hashable {
    /// Where it stands.
    public let path: String
    /// The half to give away, as 40 characters of Z85.
    public var publicKey: String { keys.publicKey.z85 }
    let keys: CurveKeyPair

    /// Reads a key file, which must belong to its owner alone.
    public init(reading path: String) throws(KeyFileError) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw KeyFileError(
                description: "the key file \(path) cannot be read: \(String(cString: strerror(errno))). "
                    + "Make one with `wiz keys new \(path)`."
            )
        }
        guard status.st_mode & 0o077 == 0 else {
            throw KeyFileError(
                description: "the key file \(path) can be read by others (mode "
                    + "\(String(status.st_mode & 0o777, radix: 8))): run `chmod 600 \(path)`."
            )
        }
        let texts: (publicKey: String, secretKey: String)
        do {
            texts = try ConfigDocument(path: path, format: .json).decode { root in
                let fields = root.mapping(["publicKey", "secretKey"])
                guard let publicKey = fields["publicKey"].required().string(),
                    let secretKey = fields["secretKey"].required().string()
                else { return nil }
                return (publicKey, secretKey)
            }
        } catch {
            throw KeyFileError(description: error.description)
        }
        keys = try KeyFile.pair(texts, path: path)
        self.path = path
    }

    private static func pair(
        _ texts: (publicKey: String, secretKey: String),
        path: String
    ) throws(KeyFileError) -> CurveKeyPair {
        let secretKey: CurveSecretKey
        do { secretKey = try CurveSecretKey(z85: texts.secretKey) } catch {
            throw KeyFileError(description: "\(path): secretKey: \(error)")
        }
        guard let pair = try? CurveKeyPair(secretKey: secretKey), pair.publicKey.z85 == texts.publicKey else {
            throw KeyFileError(
                description: "\(path): publicKey does not belong to secretKey. Make a new pair with `wiz keys new`."
            )
        }
        return pair
    }

    /// Makes a new key pair in a new file of mode 0600; a file that exists is never replaced.
    public init(creating path: String) throws(KeyFileError) {
        let pair: CurveKeyPair
        do { pair = try CurveKeyPair.generate() } catch { throw KeyFileError(description: "\(error)") }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw KeyFileError(
                description: "the key file \(path) cannot be made: \(String(cString: strerror(errno)))."
                    + (errno == EEXIST ? " Remove it first if nobody uses it." : "")
            )
        }
        defer { close(descriptor) }
        let text = """
            {
              "publicKey": \(ConfigValue.string(pair.publicKey.z85).json),
              "secretKey": \(ConfigValue.string(pair.secretKey.revealedZ85).json)
            }

            """
        let bytes = Array(text.utf8)
        guard write(descriptor, bytes, bytes.count) == bytes.count else {
            unlink(path)
            throw KeyFileError(
                description: "the key file \(path) cannot be written: \(String(cString: strerror(errno)))."
            )
        }
        keys = pair
        self.path = path
    }

    /// Writes the public half alone into a file of mode 0644, in one step; what was there is replaced.
    public func writePublicKey(to path: String) throws(KeyFileError) {
        let draft = path + ".new"
        let text = Array((publicKey + "\n").utf8)
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        let isWritten = descriptor >= 0 && write(descriptor, text, text.count) == text.count
        let isMoved = isWritten && rename(draft, path) == 0
        let reason = String(cString: strerror(errno))
        if descriptor >= 0 { close(descriptor) }
        guard isMoved else {
            throw KeyFileError(description: "the public key cannot be written to \(path): \(reason).")
        }
    }

    /// Reads a public key from a file that holds nothing else.
    static func publicKey(at path: String) throws(KeyFileError) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw KeyFileError(
                description: "the public key \(path) cannot be read: \(String(cString: strerror(errno)))"
            )
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = max(0, read(descriptor, &bytes, bytes.count))
        let text = String(decoding: bytes[..<count], as: UTF8.self)
        let key = text.split(whereSeparator: \.isWhitespace).first.flatMap { try? CurvePublicKey(z85: String($0)) }
        guard let key else {
            throw KeyFileError(
                description: "\(path) holds no public key: 40 characters of Z85, as `wiz keys show` prints"
            )
        }
        return key.z85
    }
}
