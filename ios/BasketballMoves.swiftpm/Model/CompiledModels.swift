import CoreML
import Foundation

/// Compiled models in Application Support, filed under the fingerprint of what they were compiled from.
struct CompiledModels {
    let folder: URL

    init(folder: URL = AppResources.support.appendingPathComponent("CompiledModels", isDirectory: true)) {
        self.folder = folder
    }

    /// Load a package, compiling it only if that was not done before; models of other fingerprints are removed.
    func load(_ package: URL, fingerprint: String, configuration: MLModelConfiguration) async throws -> MLModel {
        let place = folder.appendingPathComponent(fingerprint + ".mlmodelc", isDirectory: true)
        if FileManager.default.fileExists(atPath: place.path) {
            if let model = try? MLModel(contentsOf: place, configuration: configuration) {
                return model
            }
            // Damaged, or of an older system: compile it again.
            try? FileManager.default.removeItem(at: place)
        }
        try await compile(package, to: place)
        return try MLModel(contentsOf: place, configuration: configuration)
    }

    private func compile(_ package: URL, to place: URL) async throws {
        let files = FileManager.default
        try files.createDirectory(at: folder, withIntermediateDirectories: true)
        var values = URLResourceValues()
        values.isExcludedFromBackup = true
        var marked = folder
        try? marked.setResourceValues(values)
        let fresh = try await MLModel.compileModel(at: package)
        defer { try? files.removeItem(at: fresh) }
        for old in (try? files.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? [] {
            try? files.removeItem(at: old)
        }
        // A move is whole or not at all: a broken-off start leaves no half model under the final name.
        try files.moveItem(at: fresh, to: place)
    }
}
