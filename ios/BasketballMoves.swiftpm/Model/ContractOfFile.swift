import Foundation

/// What Core ML says of a model that came without a contract.
struct ModelFacts: Equatable, Sendable {
    let file: String
    let sha256: String
    let image: String
    /// Pixels of the square input.
    let size: Int
    let label: String
    let probabilities: String
    /// In the order of the network's outputs.
    let labels: [String]
    let author: String
    let licence: String
    let description: String
    /// The text fields of the file; those of an export begin with `bball_pl.`.
    let metadata: [String: String]
}

extension ModelContract {
    /// A contract for a model file that was imported alone: what its own metadata say, and no proof.
    ///
    /// A model of another program has none of the fields. It is shown whole photos, its labels are its classes, and no
    /// answer is unsure. Throws a `ContractProblem`.
    static func made(of facts: ModelFacts) throws -> ModelContract {
        let names = classNames(facts)
        let fits = ["scaleFill": "squash", "centerCrop": "crop", "scaleFit": "pad"]
        let crop = facts.metadata["bball_pl.crop_policy"] ?? CropAndScale.scaleFill.rawValue
        let contract = ModelContract(
            schema: knownSchema,
            model: ModelFile(file: facts.file, sha256: facts.sha256),
            features: FeatureNames(image: facts.image, label: facts.label, probabilities: facts.probabilities),
            classes: zip(facts.labels, names).map { label, name in
                ModelClass(label: label, name: name, display: ["en": name])
            },
            input: ModelInput(size: facts.size, fit: fits[crop] ?? crop, cropAndScale: crop),
            threshold: facts.metadata["bball_pl.threshold"].flatMap(Double.init),
            live: LiveSettings(smoothingFrames: 8, forgetAfterSeconds: 1),
            accuracy: nil,
            verification: nil,
            card: ModelCard(
                author: facts.author,
                licence: facts.licence,
                description: facts.description,
                network: facts.metadata["bball_pl.backbone"] ?? "",
                temperature: facts.metadata["bball_pl.temperature"].flatMap(Double.init) ?? 1,
                trained: facts.metadata["bball_pl.trained"] ?? "",
                exported: "",
                datasetSHA256: facts.metadata["bball_pl.dataset_sha256"] ?? "",
                checkpointSHA256: facts.metadata["bball_pl.checkpoint_sha256"] ?? "",
                version: facts.metadata["bball_pl.version"] ?? ""
            )
        )
        if let problem = contract.problem {
            throw problem
        }
        return contract
    }

    /// The folders' names beside the labels; the labels themselves if the file does not say or says another number.
    private static func classNames(_ facts: ModelFacts) -> [String] {
        let stored = facts.metadata["bball_pl.classes"] ?? ""
        let names = (try? JSONDecoder().decode([String].self, from: Data(stored.utf8))) ?? []
        return names.count == facts.labels.count ? names : facts.labels
    }
}
