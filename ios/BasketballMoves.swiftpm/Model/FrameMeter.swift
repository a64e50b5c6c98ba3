import Foundation

/// Frames a second and milliseconds a frame, over the last frames that were answered.
struct FrameMeter: Sendable {
    private static let kept = 30
    private static let gapSeconds = 1.0
    private var times: [Double] = []
    private var durations: [Double] = []

    init() {}

    /// Take a frame that was answered at `time` after `duration`, both in seconds; after a gap it starts anew.
    mutating func add(time: Double, duration: Double) {
        if let last = times.last, time - last > FrameMeter.gapSeconds || time < last {
            times = []
            durations = []
        }
        times = Array((times + [time]).suffix(FrameMeter.kept))
        durations = Array((durations + [duration]).suffix(FrameMeter.kept))
    }

    /// Nil until there are two frames.
    var framesPerSecond: Double? {
        guard let first = times.first, let last = times.last, last > first else {
            return nil
        }
        return Double(times.count - 1) / (last - first)
    }

    /// Mean time of one answer; nil before the first.
    var milliseconds: Double? {
        durations.isEmpty ? nil : 1000 * durations.reduce(0, +) / Double(durations.count)
    }
}
