// CALL as the broker reads it and passes it on: without a string, and without writing what stands there already. Pure.

/// CALL with places in the header: what the broker reads.
public typealias CallView = Call<TextSlice>

extension CallView {
    /// Where fields stand that the broker changes.
    private enum Place {
        static var flags: Int { 2 }
        static var id: Int { 8 }
        static var total: Int { 16 }
        static var credit: Int { 32 }
        static var hops: Int { 45 }
        static var parent: Int { 48 }
    }

    /// Reads a CALL without making a string.
    ///
    /// - Throws: ``DecodeError``.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> CallView {
        if let usual = usual(bytes) { return usual }
        return try read(bytes)
    }

    /// The usual CALL, whose texts are ASCII, read with few checks; nil when anything is unusual, for the reader that can
    /// say what.
    @inline(__always)
    private static func usual(_ bytes: UnsafeRawBufferPointer) -> CallView? {
        let count = bytes.count
        guard count >= fixedByteCount + 12, count <= WireLimits.headerByteCount, let start = bytes.baseAddress else {
            return nil
        }
        func number<Value: FixedWidthInteger & BitwiseCopyable>(_ offset: Int) -> Value {
            Value(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: Value.self))
        }
        let prefix: UInt64 = number(0)
        let flags = CallFlags(rawValue: UInt16(truncatingIfNeeded: prefix >> 16))
        let id = WireID(rawValue: number(8))
        let last: UInt32 = number(44)
        guard UInt16(truncatingIfNeeded: prefix) == HeaderWriter.verbWord(.call), flags.isSubset(of: .known),
            !id.isSession, last >> 16 == 0, let band = Band(rawValue: UInt8(truncatingIfNeeded: last))
        else { return nil }
        let tail = UnsafeRawBufferPointer(start: start + fixedByteCount, count: count - fixedByteCount)
        guard TextSlice.isASCII(tail) else { return nil }
        var end = fixedByteCount
        func text(_ maximum: Int) -> TextSlice? {
            guard count - end >= 2 else { return nil }
            let length: UInt16 = number(end)
            let slice = TextSlice(offset: UInt32(truncatingIfNeeded: end + 2), count: UInt32(length))
            end += 2 + Int(length)
            return Int(length) <= maximum && end <= count ? slice : nil
        }
        guard let service = text(WireLimits.nameByteCount), let range = text(WireLimits.versionByteCount),
            let method = text(WireLimits.nameByteCount), let affinity = text(WireLimits.valueByteCount),
            let conditions = text(WireLimits.valueByteCount), let caller = text(WireLimits.nameByteCount),
            end == count, !service.isEmpty
        else { return nil }
        return CallView(
            flags: flags,
            contentType: ContentType(rawValue: UInt16(truncatingIfNeeded: prefix >> 32)),
            id: id,
            clocks: CallClocks(total: number(16), queue: number(20), firstChunk: number(24), idle: number(28)),
            credit: Credit(messages: number(32), bytes: number(36)),
            cost: number(40),
            band: band,
            hops: UInt8(truncatingIfNeeded: last >> 8),
            parent: WireID(rawValue: number(48)),
            trace: TraceContext(
                traceHigh: number(56),
                traceLow: number(64),
                span: number(72),
                flags: number(80)
            ),
            service: service,
            range: range,
            method: method,
            affinity: affinity,
            conditions: conditions,
            caller: caller
        )
    }

    /// Appends this call's header for a worker: a copy of the header it was read from, with the view's flags, id, total
    /// clock, credit, hops and parent, and the caller's name.
    ///
    /// - Parameters:
    ///   - header: The bytes that the view was read from.
    ///   - caller: The caller's principal, in UTF-8.
    ///   - buffer: Gets the header.
    public func encode(
        from header: UnsafeRawBufferPointer,
        caller: UnsafeRawBufferPointer,
        to buffer: inout [UInt8]
    ) {
        let start = buffer.count
        let end = Int(conditions.offset &+ conditions.count)
        buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: header[..<end]))
        buffer.withUnsafeMutableBytes { bytes in
            func put<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at place: Int) {
                bytes.storeBytes(of: value.littleEndian, toByteOffset: start &+ place, as: Value.self)
            }
            put(flags.rawValue, at: Place.flags)
            put(id.rawValue, at: Place.id)
            put(clocks.total, at: Place.total)
            put(UInt64(credit.messages) | UInt64(credit.bytes) << 32, at: Place.credit)
            put(hops, at: Place.hops)
            put(parent.rawValue, at: Place.parent)
        }
        HeaderWriter.bytes(caller, to: &buffer)
    }
}
