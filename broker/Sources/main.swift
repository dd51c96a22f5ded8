// The daemon: a broker by itself, for machines where an init system or a container keeps it running. `wiz up` runs the
// same broker together with its plugins.

import ArgumentParser
import Broker
import Glibc
import Logging

struct BrokerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wizmesh-broker",
        abstract: "The broker of a Wizmesh: routes calls, streams and events between plugins.",
        discussion: """
            Without a mesh file it serves local peers of the user who starts it, who is an operator.
            SIGHUP reads the mesh file again, SIGTERM and SIGINT stop in good order, a second one at once.
            """,
        version: Broker.nameAndVersion
    )

    @Option(name: .long, help: ArgumentHelp("The mesh file.", valueName: "file"))
    var mesh: String?

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp("The run folder, instead of the mesh file's.", valueName: "folder")
    )
    var runFolder: String?

    @Flag(name: .long, help: "Check the mesh file and leave.")
    var check = false

    mutating func run() throws {
        let file = try mesh.map(read)
        if check {
            guard let file else { throw ValidationError("--check needs --mesh FILE") }
            _ = try configuration(file)
            for warning in file.warnings { print("warning: \(warning)") }
            print("\(file.path): good, with \(file.plugins.count) plugins")
            return
        }
        let level = file?.logLevel ?? .info
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        let logger = Logger(label: "broker")
        // Before any thread is made, so that all inherit the mask and only this one takes signals.
        let signals = blockSignals([SIGTERM, SIGINT, SIGHUP])
        signal(SIGPIPE, SIG_IGN)
        for plugin in file?.leftOut ?? [] { logger.warning("\(plugin)") }
        try serve(configuration(file), signals: signals, logger: logger)
    }

    /// A plugin whose manifest cannot be used keeps no other from being served; with --check it is a problem.
    private func read(_ path: String) throws -> MeshFile {
        check ? try MeshFile(reading: path) : try MeshFile(reading: path, after: nil)
    }

    private func configuration(_ file: MeshFile?) throws -> BrokerConfiguration {
        var configuration = BrokerConfiguration(runFolder: BrokerConfiguration.defaultRunFolder)
        if let file { configuration = try BrokerConfiguration(file) }
        if let runFolder { configuration.runFolder = runFolder }
        return configuration
    }

    /// Serves until a signal says otherwise; this thread waits for signals and does nothing else.
    private func serve(_ configuration: BrokerConfiguration, signals: sigset_t, logger: Logger) throws -> Never {
        let broker = try Broker.start(configuration, logger: logger)
        Task {
            await broker.waitUntilStopped()
            Glibc.exit(0)
        }
        var signals = signals
        var isStopping = false
        while true {
            var number: Int32 = 0
            guard sigwait(&signals, &number) == 0 else { continue }
            guard number != SIGHUP else {
                reload(broker, logger: logger)
                continue
            }
            logger.info("stopping", metadata: ["signal": "\(number)", "immediately": "\(isStopping)"])
            let isImmediate = isStopping
            isStopping = true
            Task { await broker.stop(immediately: isImmediate) }
        }
    }

    private func reload(_ broker: Broker, logger: Logger) {
        guard let mesh else {
            logger.warning("there is no mesh file to read again: start with --mesh FILE")
            return
        }
        do {
            try broker.reload(mesh)
        } catch {
            logger.error("the mesh file is broken, so the broker goes on with the one before:\n\(error)")
        }
    }
}

/// Blocks signals in this thread and those made after; returns them as a set.
private func blockSignals(_ numbers: [Int32]) -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in numbers { sigaddset(&set, number) }
    pthread_sigmask(SIG_BLOCK, &set, nil)
    return set
}

BrokerCommand.main()
