import Foundation

/// What a device measured: the content of device.json, which `bball export --device` reads into the model card.
///
/// The keys are those of bball_pl/export/handover/device.py, which refuses every other form.
struct DeviceRecord: Codable, Equatable, Sendable {
    struct Model: Codable, Equatable, Sendable {
        let file: String
        let sha256: String
    }

    struct Vision: Codable, Equatable, Sendable {
        let largestDifference: Double
        let sameAnswers: Double

        enum CodingKeys: String, CodingKey {
            case largestDifference = "largest_difference"
            case sameAnswers = "same_answers"
        }
    }

    struct Run: Codable, Equatable, Sendable {
        /// Core ML's name of the choice of units.
        let compute: String
        let passed: Bool
        let largestDifference: Double
        let sameAnswers: Double
        /// Nil if no photo was shown to Vision.
        let vision: Vision?
        let coldMs: Double
        let warmMs: Double
        let p50Ms: Double
        let p95Ms: Double
        /// A raw value of `Heat`, or "unknown".
        let thermal: String

        enum CodingKeys: String, CodingKey {
            case compute, passed, vision, thermal
            case largestDifference = "largest_difference"
            case sameAnswers = "same_answers"
            case coldMs = "cold_ms"
            case warmMs = "warm_ms"
            case p50Ms = "p50_ms"
            case p95Ms = "p95_ms"
        }
    }

    static let knownSchema = 1
    static let fileName = "device.json"

    let schema: Int
    let tool: String
    /// Such as iPhone17,1.
    let device: String
    let system: String
    /// As in 2026-11-26.
    let date: String
    let model: Model
    let photos: Int
    let tolerance: Double
    let runs: [Run]

    /// Whether every choice of units that was tried answers as the trained model does.
    var passed: Bool {
        !runs.isEmpty && runs.allSatisfy(\.passed)
    }

    /// The file's bytes.
    func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self)
    }
}
