import Foundation

/// What the app says to one photo or frame.
struct Answer: Equatable, Sendable {
    /// Place of the most probable class in the contract.
    let index: Int
    let probability: Double
    /// False if the probability is below the contract's threshold.
    let isSure: Bool
}

enum Judge {
    /// The most probable class, the first of several; nil if there is nothing to choose from or a number is none.
    ///
    /// As in evaluation, a probability that equals the threshold is sure. Without a threshold every answer is.
    static func answer(to probabilities: [Double], threshold: Double?) -> Answer? {
        guard let best = ranking(probabilities).first else {
            return nil
        }
        let probability = probabilities[best]
        guard let threshold else {
            return Answer(index: best, probability: probability, isSure: true)
        }
        return Answer(index: best, probability: probability, isSure: probability >= threshold)
    }

    /// Places of the classes, the most probable first and equal ones in their order; empty if a number is none.
    static func ranking(_ probabilities: [Double]) -> [Int] {
        guard probabilities.allSatisfy({ $0.isFinite }) else {
            return []
        }
        return probabilities.indices.sorted { first, second in
            if probabilities[first] == probabilities[second] {
                return first < second
            }
            return probabilities[first] > probabilities[second]
        }
    }

    /// A model's dictionary in the order of the contract; nil if a label is missing or unknown.
    static func inOrder(_ shares: [String: Double], labels: [String]) -> [Double]? {
        let ordered = labels.compactMap { shares[$0] }
        return ordered.count == labels.count && shares.count == labels.count ? ordered : nil
    }
}
