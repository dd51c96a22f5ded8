// The plugin that serves files below one folder. What it does is in RootFolder.swift; here are the methods.

import FoundationEssentials
import Glibc
import Synchronization
import WizPlugin

struct PathRequest: Decodable, Sendable { var path: String }

struct ReadRequest: Decodable, Sendable {
    var path: String
    var encoding: String?
}

struct StreamRequest: Decodable, Sendable {
    var path: String
    var chunkBytes: Int?
}

struct WriteRequest: Decodable, Sendable {
    var path: String
    var text: String?
    var base64: String?
    var append: Bool?
    var folders: Bool?

    func bytes() throws -> [UInt8] {
        switch (text, base64) {
        case (let text?, nil): return Array(text.utf8)
        case (nil, let base64?):
            guard let data = Data(base64Encoded: base64) else {
                throw MeshError(.invalidArgument, "\"base64\" is not valid base64")
            }
            return Array(data)
        default: throw MeshError(.invalidArgument, "give the contents as \"text\" or as \"base64\", one of them")
        }
    }
}

struct ListRequest: Decodable, Sendable {
    var path: String?
    var after: String?
    var limit: Int?
}

struct Contents: Encodable {
    var path: String
    var bytes: Int
    var text: String?
    var base64: String?

    init(path: String, _ content: [UInt8], encoding: String) throws {
        self.path = path
        bytes = content.count
        guard ["auto", "text", "base64"].contains(encoding) else {
            throw MeshError(.invalidArgument, "encoding is \"\(encoding)\"", hint: "Use auto, text or base64.")
        }
        if encoding != "base64" { text = String(validating: content, as: UTF8.self) }
        guard text == nil else { return }
        guard encoding != "text" else {
            throw MeshError(.failedPrecondition, "\(path) is not UTF-8", hint: "Read it with encoding base64.")
        }
        base64 = Data(content).base64EncodedString()
    }
}

struct Listing: Encodable {
    var path: String
    var entries: [FileFacts]
    var next: String?
}

struct Written: Encodable {
    var path: String
    var bytes: Int
}

@main
final class FilesystemAccess: Plugin {
    struct Settings: Decodable, Sendable {
        var root: String?
        var maximumBytes: Int?
    }

    private let root = Mutex<RootFolder?>(nil)

    func initialize(_ config: PluginConfig) async throws {
        let settings = try config.decode(Settings.self)
        let path = settings.root.map { $0.hasPrefix("/") ? $0 : config.folder + "/" + $0 } ?? config.dataFolder
        let root = try RootFolder(path: path, maximumBytes: max(1, settings.maximumBytes ?? 512 << 10))
        config.logger.info("the root folder is \(path)")
        self.root.withLock { $0 = root }
    }

    func register(_ registry: ServiceRegistry) async throws {
        guard let root = root.withLock({ $0 }) else { return }
        try await registry.registerService("filesystem-access", capacity: 8) { service in
            service.method("read") { (request: ReadRequest, _) in
                let path = try RelativePath(request.path)
                return try Contents(path: path.text, root.read(path), encoding: request.encoding ?? "auto")
            }
            service.stream("readStream") { (request: StreamRequest, _, replies) in
                let path = try RelativePath(request.path)
                let (file, facts) = try root.openFile(path)
                let size = min(max(1, request.chunkBytes ?? 64 << 10), 256 << 10)
                while let chunk = try RootFolder.chunk(of: file, path, count: size) {
                    try await replies.send(raw: Payload(chunk))
                }
                try replies.finish(with: facts)
            }
            service.method("write") { (request: WriteRequest, _) in
                let path = try RelativePath(request.path)
                let bytes = try request.bytes()
                try root.write(path, bytes, append: request.append ?? false, makingFolders: request.folders ?? true)
                return Written(path: path.text, bytes: bytes.count)
            }
            service.method("list") { (request: ListRequest, _) in
                let path = try RelativePath(request.path ?? "")
                let limit = min(max(1, request.limit ?? 1000), 1000)
                let (entries, next) = try root.list(path, after: request.after, limit: limit)
                return Listing(path: path.text, entries: entries, next: next)
            }
            service.method("stat") { (request: PathRequest, _) in try root.facts(RelativePath(request.path)) }
            service.method("delete") { (request: PathRequest, _) in
                let path = try RelativePath(request.path)
                try root.delete(path)
                return Written(path: path.text, bytes: 0)
            }
        }
    }
}
