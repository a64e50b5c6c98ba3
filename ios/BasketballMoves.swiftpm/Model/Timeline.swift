import Foundation

/// A part of a video with one smoothed answer.
struct Segment: Equatable, Sendable {
    /// Seconds of its first frame, and of the next segment's or the end of the video.
    let start: Double
    let end: Double
    /// Place of the class; nil if the answer is "unsure".
    let answer: Int?
    /// Mean probability of the most probable classes of its frames.
    let probability: Double
    let frames: Int
}

/// Answers to a video's frames, smoothed over time: what `bball predict` does in bball_pl/predict/timeline.py.
enum Timeline {
    /// Frames a second that are classified, and half the width of the smoothing window in seconds.
    static let framesPerSecond = 4.0
    static let halfWidth = 0.75

    /// Every frame's probabilities averaged with its neighbours'; their weight falls linearly to 0 at `halfWidth`.
    ///
    /// Beyond both ends the timeline is mirrored, or the first and the last frame would count more than the rest.
    static func smooth(seconds: [Double], probabilities: [[Double]], halfWidth: Double) -> [[Double]] {
        guard halfWidth > 0, seconds.count > 1, let first = seconds.first, let last = seconds.last else {
            return probabilities
        }
        let before = seconds.indices.dropFirst().reversed()
        let after = seconds.indices.dropLast().reversed()
        let times = before.map { 2 * first - seconds[$0] } + seconds + after.map { 2 * last - seconds[$0] }
        let values = before.map { probabilities[$0] } + probabilities + after.map { probabilities[$0] }
        return seconds.map { time in
            var sums = [Double](repeating: 0, count: probabilities[0].count)
            var total = 0.0
            for (other, value) in zip(times, values) {
                let weight = max(0, 1 - abs(other - time) / halfWidth)
                if weight > 0 {
                    total += weight
                    for (place, share) in value.enumerated() {
                        sums[place] += weight * share
                    }
                }
            }
            return sums.map { $0 / total }
        }
    }

    /// Neighbouring frames with the same answer, joined; `end` is that of the video in seconds.
    static func segments(seconds: [Double], smoothed: [[Double]], threshold: Double?, end: Double) -> [Segment] {
        let answers = smoothed.compactMap { Judge.answer(to: $0, threshold: threshold) }
        guard answers.count == seconds.count else {
            return []
        }
        var found: [Segment] = []
        var first = 0
        while first < answers.count {
            let label = label(answers[first])
            let following = answers[first...].firstIndex { Timeline.label($0) != label } ?? answers.count
            let sum = answers[first..<following].reduce(0) { $0 + $1.probability }
            found.append(
                Segment(
                    start: seconds[first],
                    end: following < seconds.count ? seconds[following] : end,
                    answer: label,
                    probability: sum / Double(following - first),
                    frames: following - first
                ))
            first = following
        }
        return found
    }

    /// A time as minutes, seconds and tenths, such as 1:02.5, with hours in front where there are any.
    static func clock(_ seconds: Double) -> String {
        let tenths = Int((seconds * 10).rounded(.toNearestOrEven))
        let minutes = tenths / 600
        let rest = String(format: "%02d.%d", tenths % 600 / 10, tenths % 10)
        return minutes < 60 ? "\(minutes):\(rest)" : String(format: "%d:%02d:", minutes / 60, minutes % 60) + rest
    }

    private static func label(_ answer: Answer) -> Int? {
        answer.isSure ? answer.index : nil
    }
}
