// The flags by the names that the specification and the vectors give them.

import MeshProtocol

enum FlagNames {
    static let call: [String: CallFlags] = [
        "requestStream": .requestStream, "replyStream": .replyStream, "byCapability": .byCapability,
        "idempotent": .idempotent,
    ]
    static let chunk: [String: ChunkFlags] = ["last": .last]
    static let fail: [String: FailFlags] = [
        "retryable": .retryable, "outcomeUnknown": .outcomeUnknown, "fromWorker": .fromWorker,
    ]
    static let method: [String: MethodFlags] = [
        "idempotent": .idempotent, "requestStream": .requestStream, "replyStream": .replyStream,
    ]
    static let subscribe: [String: SubscribeFlags] = ["lastValue": .lastValue, "resume": .resume]
    static let publish: [String: PublishFlags] = [
        "retain": .retain, "history": .history, "acknowledge": .acknowledge,
    ]
    static let event: [String: EventFlags] = ["lastValue": .lastValue, "replay": .replay]

    /// The bits by `OF.flag`.
    static let all: [String: UInt16] = {
        var all: [String: UInt16] = [:]
        for (name, flag) in call { all["CALL.\(name)"] = flag.rawValue }
        for (name, flag) in chunk { all["CHUNK.\(name)"] = flag.rawValue }
        for (name, flag) in fail { all["FAIL.\(name)"] = flag.rawValue }
        for (name, flag) in method { all["METHOD.\(name)"] = flag.rawValue }
        for (name, flag) in subscribe { all["SUBSCRIBE.\(name)"] = flag.rawValue }
        for (name, flag) in publish { all["PUBLISH.\(name)"] = flag.rawValue }
        for (name, flag) in event { all["EVENT.\(name)"] = flag.rawValue }
        return all
    }()
}
