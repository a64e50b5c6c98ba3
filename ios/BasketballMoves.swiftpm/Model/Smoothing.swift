import Foundation

/// The mean of the probabilities of the last frames, so that one slip does not change the live answer.
///
/// Probabilities are averaged, not their logarithms: a frame that is wrong and nearly certain has the weight of one
/// frame and no more.
struct Smoothing: Sendable {
    let frames: Int
    let forgetAfterSeconds: Double
    private var recent: [[Double]] = []
    private var lastTime: Double?

    init(frames: Int, forgetAfterSeconds: Double) {
        self.frames = max(1, frames)
        self.forgetAfterSeconds = forgetAfterSeconds
    }

    /// Take a frame's probabilities at a time in seconds and return the mean; after a gap it starts anew.
    mutating func add(_ probabilities: [Double], at time: Double) -> [Double] {
        if let lastTime, time - lastTime > forgetAfterSeconds || time < lastTime {
            recent = []
        }
        if recent.first?.count != probabilities.count {
            recent = []
        }
        lastTime = time
        recent.append(probabilities)
        recent = Array(recent.suffix(frames))
        return probabilities.indices.map { place in
            recent.reduce(0) { $0 + $1[place] } / Double(recent.count)
        }
    }
}
