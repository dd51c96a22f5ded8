// Entry: `mesh-bench` runs the suite, `mesh-bench role NAME …` is one of its processes.

import Glibc

do {
    let arguments = CommandLine.arguments.dropFirst()
    if arguments.first == "role", let name = arguments.dropFirst().first {
        try Roles.run(name, Options(arguments.dropFirst(2)))
    } else {
        try Suite(Options(arguments)).run()
    }
} catch {
    Roles.say("mesh-bench: \(error)", on: STDERR_FILENO)
    exit(1)
}
