// The version of the library that carries the mesh, for those who may not import it.

import ZeroMQ

extension Broker {
    /// The version of libzmq that this process runs with, such as "4.3.4".
    public static var zeroMQVersion: String { ZeroMQLibrary.version }
}
