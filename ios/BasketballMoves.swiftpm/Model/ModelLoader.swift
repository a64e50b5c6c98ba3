import CoreML
import Foundation

/// From the app's resources to a classifier that was checked against its contract.
enum ModelLoader {
    /// Throws a `ModelProblem`, or Core ML's own error if it does not take the model. Not on the main thread: hashing
    /// takes a tenth of a second, and the first compilation several seconds.
    static func load(_ compute: ComputeChoice) async throws -> Classifier {
        let folder = try ModelFolder.find()
        let contract = try folder.readContract()
        guard let crop = contract.crop else {
            throw ModelProblem.contract(.unknownCrop(contract.input.cropAndScale))
        }
        let package = folder.package(contract)
        let fingerprint = try ModelFolder.fingerprint(of: package)
        guard fingerprint == contract.model.sha256 else {
            throw ModelProblem.changed
        }
        let configuration = MLModelConfiguration()
        configuration.computeUnits = compute.units
        let models = CompiledModels()
        let model = try await models.load(package, fingerprint: fingerprint, configuration: configuration)
        try check(model.modelDescription, contract)
        return try Classifier(model: model, contract: contract, crop: crop, compute: compute)
    }

    private static func check(_ found: MLModelDescription, _ contract: ModelContract) throws {
        guard let image = found.inputDescriptionsByName[contract.features.image]?.imageConstraint else {
            throw ModelProblem.interface("input \(contract.features.image)")
        }
        guard image.pixelsWide == contract.input.size, image.pixelsHigh == contract.input.size else {
            throw ModelProblem.interface("size \(image.pixelsWide) x \(image.pixelsHigh)")
        }
        guard found.predictedFeatureName == contract.features.label else {
            throw ModelProblem.interface("output \(contract.features.label)")
        }
        guard found.predictedProbabilitiesName == contract.features.probabilities else {
            throw ModelProblem.interface("output \(contract.features.probabilities)")
        }
        let labels = (found.classLabels as? [String]) ?? []
        guard labels.sorted() == contract.classes.map(\.label).sorted() else {
            throw ModelProblem.interface("labels \(labels.joined(separator: ", "))")
        }
    }
}
