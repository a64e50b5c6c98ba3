import Foundation

/// What ModelContract.json says of the model beside it: all that the app knows about classes, input and thresholds.
///
/// The names of the properties are the keys of the file; `bball_pl/export/ios.py` writes it.
struct ModelContract: Codable, Equatable, Sendable {
    let schema: Int
    let model: ModelFile
    let features: FeatureNames
    /// In the order of the network's outputs.
    let classes: [ModelClass]
    let input: ModelInput
    /// Probability from which on an answer counts as sure, 0 to 1; nil if none is known, and then no answer is unsure.
    let threshold: Double?
    let live: LiveSettings
    /// Nil if the model was not tested.
    let accuracy: TestFigures?
    /// Nil for a model file that was imported without its contract.
    let verification: Verification?
    let card: ModelCard
}

struct ModelFile: Codable, Equatable, Sendable {
    let file: String
    /// Fingerprint of the package; see `Fingerprint`.
    let sha256: String
}

struct FeatureNames: Codable, Equatable, Sendable {
    let image: String
    let label: String
    let probabilities: String
}

struct ModelClass: Codable, Equatable, Sendable {
    /// What the model answers.
    let label: String
    /// The class's folder in a dataset.
    let name: String
    /// Name for people, by language.
    let display: [String: String]

    func displayName(language: String) -> String {
        display[language] ?? display["en"] ?? name
    }
}

struct ModelInput: Codable, Equatable, Sendable {
    /// Side of the square input, in pixels.
    let size: Int
    /// How training made photos square.
    let fit: String
    /// The same for Vision: a raw value of `CropAndScale`.
    let cropAndScale: String
}

enum CropAndScale: String, CaseIterable, Sendable {
    case scaleFill
    case centerCrop
    case scaleFit
}

struct LiveSettings: Codable, Equatable, Sendable {
    /// Number of frames that the live answer is the mean of.
    let smoothingFrames: Int
    /// Gap after which the mean starts anew.
    let forgetAfterSeconds: Double
}

struct TestFigures: Codable, Equatable, Sendable {
    let value: Double
    /// 95 % interval of `value`.
    let low: Double
    let high: Double
    let photos: Int
    let macroF1: Double
    let perClass: [ClassFigures]
}

struct ClassFigures: Codable, Equatable, Sendable {
    let name: String
    let precision: Double
    let recall: Double
    let f1: Double
    let photos: Int
}

struct Verification: Codable, Equatable, Sendable {
    /// Number of test photos on which the file was compared with the trained model.
    let photos: Int
    let engines: [String]
    let sameAnswers: Double
    let largestDifference: Double
    let accuracy: Double
}

struct ModelCard: Codable, Equatable, Sendable {
    let author: String
    let licence: String
    let description: String
    let network: String
    let temperature: Double
    let trained: String
    let exported: String
    let datasetSHA256: String
    let checkpointSHA256: String
    let version: String
}
