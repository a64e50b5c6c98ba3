import AVFoundation
import Combine
import Foundation

/// State of the live screen: the camera, and the answer to its last frames.
@MainActor
final class LiveModel: ObservableObject {
    enum Status: Equatable {
        case starting
        case running
        case interrupted
        case denied
        case noCamera
        case failed(String)
    }

    struct Shown {
        let probabilities: [Double]
        let answer: Answer
        let framesPerSecond: Double?
        let milliseconds: Double?
    }

    @Published private(set) var status: Status = .starting
    /// Nil before the first answer.
    @Published private(set) var shown: Shown?
    /// True if the model did not answer the last frame.
    @Published private(set) var isSilent = false
    /// Whether the last frame that was to be kept is in the history; nil if none was.
    @Published private(set) var wasKept: Bool?
    let camera = CameraSession()

    private let sensor = RotationSensor()
    private var isWanted = false
    private var classifier: Classifier?
    private var history: HistoryStore?
    private var smoothing = Smoothing(frames: 1, forgetAfterSeconds: 1)
    private var meter = FrameMeter()
    private var observation: NSKeyValueObservation?

    /// Answer frames until `stop`; those that are to be kept go into `history`.
    func start(_ classifier: Classifier, history: HistoryStore) async {
        isWanted = true
        self.classifier = classifier
        self.history = history
        let live = classifier.contract.live
        smoothing = Smoothing(frames: live.smoothingFrames, forgetAfterSeconds: live.forgetAfterSeconds)
        meter = FrameMeter()
        shown = nil
        wasKept = nil
        guard await CameraSession.isAllowed() else {
            status = .denied
            return
        }
        do {
            try await camera.start()
            // The screen may be gone by now, or another model asked for.
            guard isWanted, self.classifier === classifier else {
                if !isWanted {
                    camera.stop()
                }
                return
            }
            watch(classifier)
            status = .running
        } catch CameraProblem.noCamera {
            status = .noCamera
        } catch {
            status = .failed(error.localizedDescription)
        }
    }

    func stop() {
        isWanted = false
        classifier = nil
        observation?.invalidate()
        observation = nil
        sensor.stop()
        camera.worker.stop()
        camera.stop()
    }

    /// Put the next frame and its answer into the history.
    func keepFrame() {
        camera.worker.keepNext()
    }

    private func watch(_ classifier: Classifier) {
        let worker = camera.worker
        if let device = camera.device {
            sensor.start(device) { angle in
                worker.turn(by: angle)
            }
        }
        worker.start(classifier) { [weak self] result in
            Task { @MainActor in
                self?.take(result)
                worker.shown()
            }
        }
        observation = camera.session.observe(\.isInterrupted, options: [.new]) { [weak self] _, _ in
            Task { @MainActor in
                self?.updateInterruption()
            }
        }
    }

    private func updateInterruption() {
        if status == .running || status == .interrupted {
            status = camera.session.isInterrupted ? .interrupted : .running
        }
    }

    private func take(_ result: FrameResult) {
        guard isWanted, let classifier else {
            return
        }
        guard let probabilities = result.probabilities else {
            isSilent = true
            return
        }
        isSilent = false
        meter.add(time: result.time, duration: result.duration)
        let mean = smoothing.add(probabilities, at: result.time)
        if let answer = classifier.answer(to: mean) {
            shown = Shown(
                probabilities: mean,
                answer: answer,
                framesPerSecond: meter.framesPerSecond,
                milliseconds: meter.milliseconds
            )
        }
        if let picture = result.picture, let answer = classifier.answer(to: probabilities) {
            // With the answer to this very frame, not the mean of several.
            Task {
                let id = await history?.add(
                    picture, source: .camera, probabilities: probabilities, answer: answer,
                    contract: classifier.contract
                )
                wasKept = id != nil
            }
        }
    }
}
