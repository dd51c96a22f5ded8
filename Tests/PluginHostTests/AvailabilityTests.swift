// Whether a sandbox can be made is asked again after it could not.

import Glibc
import Testing

@testable import PluginHost

@Suite(.enabled(if: sandboxWorks), .timeLimit(.minutes(1)))
struct AvailabilityTests {
    @Test func `a sandbox that could not be made once is tried again`() async throws {
        let place = try Place()
        let folder = place.path + "/other/bin"
        mkdir(folder, 0o755)
        let bubblewrap = folder + "/bwrap"
        defer {
            unlink(bubblewrap)
            rmdir(folder)
        }
        #expect(symlink("/usr/bin/false", bubblewrap) == 0)
        let launcher = testLauncher { $0.bubblewrap = bubblewrap }
        #expect(await launcher.sandboxProblem() != nil)
        unlink(bubblewrap)
        #expect(symlink("/usr/bin/bwrap", bubblewrap) == 0)
        #expect(await launcher.sandboxProblem() == nil)
        unlink(bubblewrap)
        // What has worked is not tried again.
        #expect(await launcher.sandboxProblem() == nil)
    }
}
