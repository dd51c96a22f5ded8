// `wiz completions`: the script that lets a shell complete `wiz`.

import ArgumentParser

struct Completions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the completion script of a shell.",
        discussion: """
            bash: wiz completions bash > ~/.local/share/bash-completion/completions/wiz
            zsh:  wiz completions zsh > ~/.zfunc/_wiz
            fish: wiz completions fish > ~/.config/fish/completions/wiz.fish
            """
    )

    enum Shell: String, ExpressibleByArgument, CaseIterable {
        case bash
        case zsh
        case fish
    }

    @Argument(help: "bash, zsh or fish.")
    var shell: Shell

    func run() async throws {
        let script =
            switch shell {
            case .bash: Wiz.completionScript(for: .bash)
            case .zsh: Wiz.completionScript(for: .zsh)
            case .fish: Wiz.completionScript(for: .fish)
            }
        Terminal.output.line(script)
    }
}
