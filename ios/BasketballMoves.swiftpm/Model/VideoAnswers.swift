import AVFoundation
import Foundation

/// The timeline of a video file.
struct VideoAnswers: Identifiable, Sendable {
    let id = UUID()
    let name: String
    /// Length of the video.
    let seconds: Double
    let segments: [Segment]

    /// Classify frames of a video and smooth their answers; `tell` gets the share that is done. Not on the main
    /// thread.
    ///
    /// As many frames a second as `bball predict` takes, upright as the video says. Throws the system's error if it
    /// cannot be read, and `ClassifierProblem.noAnswer`.
    static func of(
        _ url: URL, by classifier: Classifier, tell: @escaping @Sendable (Double) -> Void
    ) async throws -> VideoAnswers {
        let asset = AVURLAsset(url: url)
        let length = try await asset.load(.duration).seconds
        let generator = AVAssetImageGenerator(asset: asset)
        generator.appliesPreferredTrackTransform = true
        generator.requestedTimeToleranceBefore = .zero
        generator.requestedTimeToleranceAfter = .zero
        let count = max(1, Int((length * Timeline.framesPerSecond).rounded(.up)))
        var seconds: [Double] = []
        var probabilities: [[Double]] = []
        for number in 0..<count {
            try Task.checkCancellation()
            let time = Double(number) / Timeline.framesPerSecond
            // The last frame may lie before the end that the file names.
            guard
                let image = try? generator.copyCGImage(
                    at: CMTime(seconds: time, preferredTimescale: 600), actualTime: nil
                )
            else {
                continue
            }
            probabilities.append(try classifier.probabilities(of: Picture(image: image, orientation: .up, day: "")))
            seconds.append(time)
            tell(Double(number + 1) / Double(count))
        }
        guard !seconds.isEmpty else {
            throw PictureProblem.unreadable
        }
        let smoothed = Timeline.smooth(
            seconds: seconds, probabilities: probabilities, halfWidth: Timeline.halfWidth
        )
        let segments = Timeline.segments(
            seconds: seconds, smoothed: smoothed, threshold: classifier.contract.threshold, end: length
        )
        return VideoAnswers(name: url.lastPathComponent, seconds: length, segments: segments)
    }
}
