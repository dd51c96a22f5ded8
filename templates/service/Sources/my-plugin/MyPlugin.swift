import WizPlugin

@main
struct MyPlugin: Plugin {
    struct Person: Codable { var name: String }

    func register(_ registry: ServiceRegistry) async throws {
        try await registry.registerService("my-plugin") { service in
            service.method("greet") { (person: Person, context) in
                "Hello, \(person.name)!"
            }
        }
    }
}
