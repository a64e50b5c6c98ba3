import Foundation

/// The parity kit of an export: photos with the answers of the trained model. It is never part of the history.
struct ParityKit: Decodable, Equatable, Sendable {
    struct Photo: Decodable, Equatable, Sendable {
        /// File of the network's size, and the photo as it was; names below the kit's folder.
        let photo: String
        let original: String
        /// By label.
        let probabilities: [String: Double]
    }

    let image: String
    let probabilities: String
    let tolerance: Double
    /// By file of the export.
    let tolerances: [String: Double]
    let photos: [Photo]

    func tolerance(of file: String) -> Double {
        tolerances[file] ?? tolerance
    }

    /// How far an answer is from the expected one; the same rule as in the kit's check.swift and check_parity.py.
    static func compare(_ found: [String: Double], with wanted: [String: Double], tolerance: Double) -> Comparison {
        let difference = wanted.map { abs((found[$0.key] ?? -1) - $0.value) }.max() ?? 1
        let isSame = highest(found) == highest(wanted)
        let ranked = wanted.values.sorted(by: >)
        let isNearTie = ranked.count > 1 && ranked[0] - ranked[1] < tolerance
        return Comparison(
            difference: difference, isSame: isSame, passes: difference <= tolerance && (isSame || isNearTie)
        )
    }

    private static func highest(_ shares: [String: Double]) -> String? {
        shares.max { $0.value == $1.value ? $0.key > $1.key : $0.value < $1.value }?.key
    }

    struct Comparison: Equatable, Sendable {
        /// Largest difference of any probability, 0 to 1.
        let difference: Double
        let isSame: Bool
        let passes: Bool
    }
}

/// The comparisons of one choice of compute units, summed up.
struct ParityFigures: Equatable, Sendable {
    private(set) var largestDifference = 0.0
    private var same = 0
    private var count = 0
    private(set) var failed = 0

    init() {}

    mutating func add(_ comparison: ParityKit.Comparison) {
        largestDifference = min(1, max(largestDifference, comparison.difference))
        same += comparison.isSame ? 1 : 0
        failed += comparison.passes ? 0 : 1
        count += 1
    }

    /// Share of the photos with the expected answer, 0 to 1.
    var sameAnswers: Double { count == 0 ? 0 : Double(same) / Double(count) }
    /// Without a photo nothing is shown.
    var passed: Bool { count > 0 && failed == 0 }
}

enum Percentile {
    /// The value below which that share of the sorted values lies; 0 if there is none.
    static func of(_ values: [Double], percent: Int) -> Double {
        let sorted = values.sorted()
        return sorted.isEmpty ? 0 : sorted[(sorted.count - 1) * percent / 100]
    }
}
