import CoreML
import Foundation

/// A model that was brought in after the app was built: an export's folder, or a model file alone.
enum ImportedModel {
    static var folder: URL { AppResources.support.appendingPathComponent("ImportedModel", isDirectory: true) }

    static var exists: Bool {
        FileManager.default.fileExists(atPath: folder.appendingPathComponent(ModelFolder.contractName).path)
    }

    static func remove() {
        try? FileManager.default.removeItem(at: folder)
    }

    /// Copy and check what a person has chosen; the older import stays if anything fails. Throws a `ModelProblem` or
    /// an error of the system. Not on the main thread: a model is compiled to read what it says of itself.
    static func take(_ chosen: URL) async throws {
        let isOpen = chosen.startAccessingSecurityScopedResource()
        defer {
            if isOpen {
                chosen.stopAccessingSecurityScopedResource()
            }
        }
        let files = FileManager.default
        let staging = folder.appendingPathExtension("partial")
        try? files.removeItem(at: staging)
        try files.createDirectory(at: staging, withIntermediateDirectories: true)
        defer { try? files.removeItem(at: staging) }
        if ["mlpackage", "mlmodel"].contains(chosen.pathExtension) {
            let file = staging.appendingPathComponent(chosen.lastPathComponent)
            try files.copyItem(at: chosen, to: file)
            let contract = try await contract(of: file)
            try JSONEncoder().encode(contract).write(to: staging.appendingPathComponent(ModelFolder.contractName))
        } else {
            try copyExport(chosen, to: staging)
        }
        let taken = ModelFolder(url: staging, isImported: true)
        let contract = try taken.readContract()
        guard try ModelFolder.fingerprint(of: taken.package(contract)) == contract.model.sha256 else {
            throw ModelProblem.changed
        }
        // Aside first: a broken-off import leaves the older one or the new one.
        let old = folder.appendingPathExtension("old")
        try? files.removeItem(at: old)
        if files.fileExists(atPath: folder.path) {
            try files.moveItem(at: folder, to: old)
        }
        try files.moveItem(at: staging, to: folder)
        try? files.removeItem(at: old)
    }

    private static func copyExport(_ chosen: URL, to staging: URL) throws {
        let files = FileManager.default
        let contract = chosen.appendingPathComponent(ModelFolder.contractName)
        guard files.fileExists(atPath: contract.path) else {
            throw ModelProblem.notAnExport
        }
        try files.copyItem(at: contract, to: staging.appendingPathComponent(ModelFolder.contractName))
        let name = try ModelFolder(url: staging, isImported: true).readContract().model.file
        try files.copyItem(at: chosen.appendingPathComponent(name), to: staging.appendingPathComponent(name))
        let kit = chosen.appendingPathComponent("parity_kit", isDirectory: true)
        if files.fileExists(atPath: kit.path) {
            try files.copyItem(at: kit, to: staging.appendingPathComponent(ModelFolder.kitName))
        }
    }

    /// What a file says of itself, as a contract.
    private static func contract(of file: URL) async throws -> ModelContract {
        let compiled: URL
        do {
            compiled = try await MLModel.compileModel(at: file)
        } catch {
            throw ModelProblem.compiling(error.localizedDescription)
        }
        defer { try? FileManager.default.removeItem(at: compiled) }
        let found = try MLModel(contentsOf: compiled).modelDescription
        let images = found.inputDescriptionsByName.compactMap { name, input in input.imageConstraint.map { (name, $0) }
        }
        guard let (image, constraint) = images.first, images.count == 1,
            constraint.pixelsWide == constraint.pixelsHigh
        else {
            throw ModelProblem.interface(found.inputDescriptionsByName.keys.sorted().joined(separator: ", "))
        }
        guard let label = found.predictedFeatureName, let shares = found.predictedProbabilitiesName,
            let labels = found.classLabels as? [String]
        else {
            throw ModelProblem.interface(found.outputDescriptionsByName.keys.sorted().joined(separator: ", "))
        }
        let facts = ModelFacts(
            file: file.lastPathComponent,
            sha256: try ModelFolder.fingerprint(of: file),
            image: image,
            size: constraint.pixelsWide,
            label: label,
            probabilities: shares,
            labels: labels,
            author: found.metadata[.author] as? String ?? "",
            licence: found.metadata[.license] as? String ?? "",
            description: found.metadata[.description] as? String ?? "",
            metadata: found.metadata[.creatorDefinedKey] as? [String: String] ?? [:]
        )
        do {
            return try ModelContract.made(of: facts)
        } catch let problem as ContractProblem {
            throw ModelProblem.contract(problem)
        }
    }
}
