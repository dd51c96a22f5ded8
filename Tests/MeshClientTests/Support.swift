// What the tests of this room share: moments, and headers read back from frames.

import MeshProtocol
import Testing

@testable import MeshClient

/// A moment, in milliseconds of the tests' own time.
func at(_ milliseconds: Int64) -> Moment { Moment(nanoseconds: milliseconds * 1_000_000) }

/// A request id.
func request(_ number: UInt64) throws -> RequestID { try #require(RequestID(rawValue: number)) }

/// A lease.
func lease(_ number: UInt32) -> WireID { LeaseID(index: number, generation: 1).wire }

extension Frame {
    /// The header, read back.
    var decoded: Header {
        get throws { try Header.decode(header) }
    }
}
