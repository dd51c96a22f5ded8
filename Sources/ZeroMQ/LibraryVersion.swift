// Which libzmq this process runs with.

import CZeroMQ

/// The library below this module.
public enum ZeroMQLibrary {
    /// The version of libzmq that is loaded, such as "4.3.4".
    public static var version: String {
        var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
        zmq_version(&major, &minor, &patch)
        return "\(major).\(minor).\(patch)"
    }
}
