// A plugin as a process: from the environment to the exit code. What happens between is `PluginLife`.

internal import CLinuxShims
internal import Glibc

/// Runs a plugin as this process.
enum PluginProcess {
    /// How long the host may take to hand over the settings.
    static let settingsBound = Duration.seconds(5)
    /// What a stop may take beyond `lifecycle.drainTimeoutMs`: teardown's second, and the last words to the broker.
    static let stopAllowance = Duration.seconds(3)

    static func run(_ make: () -> any Plugin) async {
        let signals = Sentry.catchSignals()
        wiz_ignore_signal(SIGPIPE)
        wiz_print_by_lines()
        let parent = wiz_parent_process_id()
        var environment = PluginEnvironment.own
        let level = environment.logLevel
        LoggingSystem.bootstrap { _ in LineLog(logLevel: level) }
        let stop = StopSwitch()
        let info: PluginInfo
        let config: Value
        do throws(PluginError) {
            try takeSettings(&environment, signals)
            info = try PluginInfo(path: environment.manifest)
            config = try environment.config()
        } catch {
            LineLog.write("error: \(error)")
            exit(PluginExit.code(for: error))
        }
        let sentry = Sentry(
            signals: signals,
            watchesInput: environment.isHosted,
            allowance: info.drainTimeout + stopAllowance,
            stop: stop
        )
        sentry.start()
        if environment.isHosted {
            wiz_set_parent_death_signal(SIGTERM)
            // The host may have gone before the line above.
            if wiz_parent_process_id() != parent { stop.request(.hostGone) }
        }
        // What this process starts has no business with them.
        for name in ["WIZ_TICKET", "WIZ_SECRET_KEY", "WIZ_SETTINGS"] { unsetenv(name) }
        let life = PluginLife(make(), info: info, config: config, environment: environment, stop: stop)
        let code = await life.run()
        // BYE is still on its way when the connection is closed; without it the broker would see a broken connection.
        MeshConnection.flush()
        exit(code)
    }

    /// Takes what the host gives over standard input, if it does.
    private static func takeSettings(_ environment: inout PluginEnvironment, _ signals: Int32) throws(PluginError) {
        guard let way = environment["WIZ_SETTINGS"] else { return }
        guard way == "stdin" else {
            throw .configuration("WIZ_SETTINGS is \"\(way)\"; the one way that this SDK knows is stdin")
        }
        switch try SettingsLine.read(from: STDIN_FILENO, signals: signals, within: settingsBound) {
        case .line(let line): try environment.take(line)
        case .stopped, .ended: exit(PluginExit.success)
        }
    }
}
