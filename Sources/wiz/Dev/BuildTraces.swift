// Tells what an author changed from what a build wrote, so that a build that writes into its own sources does not call for the
// next one for ever, and nothing that an author saves is overlooked. Pure: times are arguments.

/// What builds leave behind.
struct BuildTraces {
    /// In so many builds on end a file must have been written to be taken for the builds' own: an author may save while one
    /// runs.
    static let proof = 3

    /// What builds are there to write.
    var programs: Set<String> = []
    /// The files that were found out to be the builds' own by the last look.
    private(set) var newlyIgnored: [String] = []
    /// In how many builds on end a file was written, and which was the last.
    private var writings: [String: (count: Int, build: Int)] = [:]
    /// The last build; the end is nil while it runs.
    private var build: (number: Int, begin: Duration, end: Duration?) = (0, .zero, nil)

    /// A build begins.
    mutating func buildBegins(at time: Duration) { build = (build.number + 1, time, nil) }

    /// The build has ended.
    mutating func buildEnds(at time: Duration) { build.end = time }

    /// Looks at changes that were told after a build.
    ///
    /// - Parameters:
    ///   - paths: The files.
    ///   - time: When a file was changed last; nil when it is gone.
    /// - Returns: those that call for a build.
    mutating func changes(_ paths: Set<String>, changedAt time: (String) -> Duration?) -> Set<String> {
        newlyIgnored = []
        guard let end = build.end else { return paths.subtracting(programs) }
        return paths.subtracting(programs).filter { path in
            guard (build.begin...max(build.begin, end)).contains(time(path) ?? end) else {
                writings[path] = nil
                return true
            }
            var writing = writings[path] ?? (0, 0)
            if writing.build < build.number {
                writing = (build.number - writing.build == 1 ? writing.count + 1 : 1, build.number)
                if writing.count == Self.proof { newlyIgnored.append(path) }
            }
            writings[path] = writing
            return writing.count < Self.proof
        }
    }
}
