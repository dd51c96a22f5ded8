// The one error of this room. A failed libzmq call becomes a code, the operation that failed and, where one was
// involved, the endpoint; the description adds what to do next. Reads errno and nothing else.

import CZeroMQ
import Glibc

/// A libzmq call that failed.
public struct ZeroMQError: Error, Hashable, Sendable, CustomStringConvertible {
    /// An errno value, libzmq's own ones included.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// The errno value.
        public let rawValue: Int32

        /// Wraps an errno value.
        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// The context was shut down: the owner of the socket should close it and stop.
        public static let contextTerminated = Code(rawValue: 156_384_765)
        /// The socket is not in a state that allows the operation.
        public static let invalidState = Code(rawValue: 156_384_763)
        /// The address is taken.
        public static let addressInUse = Code(rawValue: EADDRINUSE)
        /// The address does not exist on this machine.
        public static let addressNotAvailable = Code(rawValue: EADDRNOTAVAIL)
        /// An argument or an option value was refused.
        public static let invalidArgument = Code(rawValue: EINVAL)
        /// The permission for the operation is missing.
        public static let accessDenied = Code(rawValue: EACCES)
        /// The path or endpoint does not exist.
        public static let notFound = Code(rawValue: ENOENT)
        /// A limit on sockets or files was reached.
        public static let tooManyOpenFiles = Code(rawValue: EMFILE)
        /// The path or name is too long.
        public static let nameTooLong = Code(rawValue: ENAMETOOLONG)
        /// The transport is not one that libzmq knows.
        public static let protocolNotSupported = Code(rawValue: EPROTONOSUPPORT)
        /// No route to the peer.
        public static let hostUnreachable = Code(rawValue: EHOSTUNREACH)
        /// The operation did not end within its time.
        public static let timedOut = Code(rawValue: ETIMEDOUT)
        /// The peer is not the one that was expected.
        public static let peerMismatch = Code(rawValue: ESTALE)
    }

    /// What failed.
    public enum Operation: String, Hashable, Sendable {
        case createContext = "create a context"
        case terminateContext = "terminate the context"
        case createSocket = "create a socket"
        case setOption = "set a socket option"
        case getOption = "read a socket option"
        case bind = "bind"
        case unbind = "unbind"
        case connect = "connect"
        case disconnect = "disconnect"
        case send = "send"
        case receive = "receive"
        case poll = "poll"
        case monitor = "monitor a socket"
        case createWakeUp = "create an eventfd"
        case startThread = "start a thread"
        case generateKeys = "generate CURVE keys"
        case disconnectPeer = "disconnect a peer"
        case seedRandom = "seed the random generator"
    }

    /// The errno value.
    public let code: Code
    /// What failed.
    public let operation: Operation
    /// The endpoint, option or name the operation was about.
    public let subject: String?

    /// Makes an error from its parts.
    public init(code: Code, operation: Operation, subject: String? = nil) {
        self.code = code
        self.operation = operation
        self.subject = subject
    }

    /// Takes errno as the last libzmq call on this thread left it.
    init(lastErrorOf operation: Operation, subject: String? = nil) {
        self.init(code: Code(rawValue: zmq_errno()), operation: operation, subject: subject)
    }

    /// What happened, where, why, and what to do.
    public var description: String {
        let place = subject.map { " (\($0))" } ?? ""
        let reason = zmq_strerror(code.rawValue).map { String(cString: $0) } ?? "error \(code.rawValue)"
        return "could not \(operation.rawValue)\(place): \(reason). \(advice)"
    }

    private var advice: String {
        switch code {
        case .contextTerminated: "The context was shut down: close the socket and stop using it."
        case .invalidState: "This socket type expects another operation first: a REP replies to what it received."
        case .addressInUse: "Another process or socket holds this endpoint: stop it or choose another endpoint."
        case .addressNotAvailable: "No interface here has this address: name one of this machine's addresses."
        case .invalidArgument: "Check the value against its documented range."
        case .accessDenied: "Check the owner and the mode of the path and its directory."
        case .notFound: "Check that the path or the endpoint exists."
        case .tooManyOpenFiles: "Raise the limit on open files (ulimit -n) or the context's maximumSocketCount."
        case .nameTooLong: "An ipc path may have at most 107 bytes: use a shorter directory."
        case .protocolNotSupported: "Use ipc://, tcp:// or inproc://."
        case .hostUnreachable: "The peer is gone: fail what was waiting for it."
        case .timedOut: "Close the sockets that are still open, each on its own thread."
        case .peerMismatch: "The descriptor now belongs to another peer: leave it alone."
        default: "See errno \(code.rawValue)."
        }
    }
}
