// A plugin imports WizPlugin alone: what its signatures name of the client and the protocol comes along with it.
// No ZeroMQ type is among it.

@_exported public import Logging
@_exported public import MeshClient
@_exported public import MeshProtocol
