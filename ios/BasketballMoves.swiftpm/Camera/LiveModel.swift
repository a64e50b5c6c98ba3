import AVFoundation
import Combine
import Foundation

/// The live screen's camera and the answer to its last frames; `CameraMachine` decides, this does what it says.
@MainActor
final class LiveModel: ObservableObject {
    struct Shown {
        let probabilities: [Double]
        let answer: Answer
        let framesPerSecond: Double?
        let milliseconds: Double?
    }

    struct Turn: Equatable {
        var angle = 90
        var count = 0
    }

    /// The last frame that was to be kept: how many that were, and whether it is in the history.
    struct Kept: Equatable {
        let number: Int
        let isKept: Bool
    }

    @Published private(set) var screen = CameraMachine.Screen.loading
    /// What the system said of a start that failed.
    @Published private(set) var failure: String?
    /// Nil before the first answer.
    @Published private(set) var shown: Shown?
    /// True if the model did not answer the last frame.
    @Published private(set) var isSilent = false
    /// Nil if none was.
    @Published private(set) var kept: Kept?
    @Published private(set) var turn = Turn()
    @Published private(set) var heat = Heat.nominal
    @Published private(set) var zoom = 1.0
    @Published private(set) var lens: Lens?
    @Published private(set) var isLit = false
    /// Upright width and height of a frame; nil before the first answer.
    @Published private(set) var frameSize: CGSize?
    @Published var region = Region.whole {
        didSet { camera.worker.look(at: region) }
    }
    let camera = CameraSession()
    let lenses = Lens.all()
    /// Loads the model again; set by the screen.
    var reload: () -> Void = {}

    private static let startSeconds: UInt64 = 10
    private static let steadySeconds: UInt64 = 60
    private var machine = CameraMachine()
    private let sensor = RotationSensor()
    private let watch = CameraWatch()
    private var starts = 0
    private var classifier: Classifier?
    private var history: HistoryStore?
    private var smoothing = Smoothing(frames: 1, forgetAfterSeconds: 1)
    private var meter = FrameMeter()

    /// Tell what happened.
    func send(_ event: CameraMachine.Event) {
        let effects = machine.handle(event)
        effects.forEach(perform)
        screen = machine.screen
        heat = machine.heat
    }

    func appear(_ history: HistoryStore) {
        self.history = history
        kept = nil
        watch.start(camera.session) { [weak self] event in
            self?.send(event)
        }
        send(.appear)
    }

    func disappear() {
        watch.stop()
        send(.disappear)
    }

    /// Answer with this model from now on.
    func use(_ classifier: Classifier) {
        self.classifier = classifier
        let live = classifier.contract.live
        smoothing = Smoothing(frames: live.smoothingFrames, forgetAfterSeconds: live.forgetAfterSeconds)
        meter = FrameMeter()
        shown = nil
        send(.modelReady)
        if machine.screen == .live {
            listen()
        }
    }

    /// Put the next frame and its answer into the history.
    func keepFrame() {
        camera.worker.keepNext()
    }

    /// Zoom to a factor, within what the lens can do.
    func zoom(from start: Double, pinch: Double) {
        guard let device = lens?.device else {
            return
        }
        zoom = Zoom.factor(
            start: start, pinch: pinch, least: Double(device.minAvailableVideoZoomFactor),
            camera: Double(device.maxAvailableVideoZoomFactor)
        )
        camera.zoom(to: zoom)
    }

    func choose(_ lens: Lens) {
        Task {
            if let used = try? await camera.use(lens) {
                take(used)
                listen()
                turn.count += 1
            }
        }
    }

    func light(_ isOn: Bool) {
        isLit = isOn
        camera.light(isOn)
    }

    private func perform(_ effect: CameraMachine.Effect) {
        switch effect {
        case .ask:
            Task { send(await CameraSession.isAllowed() ? .allowed : .denied) }
        case .start:
            begin { try await $0.start() }
        case .restart:
            begin { try await $0.restart() }
        case .stop:
            starts += 1
            sensor.stop()
            camera.worker.stop()
            camera.stop()
            isLit = false
        case .loadModel:
            reload()
        case .turn(let angle):
            turn = Turn(angle: angle, count: turn.count + 1)
        case .rate(let framesPerSecond):
            camera.setRate(framesPerSecond)
        }
    }

    private func begin(_ start: @escaping @Sendable (CameraSession) async throws -> Lens) {
        starts += 1
        let number = starts
        let camera = self.camera
        failure = nil
        Task {
            let outcome: CameraMachine.Event
            do {
                take(try await start(camera))
                outcome = .started
            } catch CameraProblem.noCamera {
                outcome = .noCamera
            } catch {
                failure = error.localizedDescription
                outcome = .startFailed
            }
            // A start that was stopped meanwhile is over: the stop came after it on the session's queue.
            if number == starts {
                send(outcome)
                if machine.screen == .live {
                    listen()
                }
            }
        }
        later(LiveModel.startSeconds, .timedOut)
        later(LiveModel.steadySeconds, .steady)
    }

    /// Tell of an event after some seconds, unless the camera was stopped or started anew by then.
    private func later(_ seconds: UInt64, _ event: CameraMachine.Event) {
        let number = starts
        Task {
            try await Task.sleep(nanoseconds: seconds * 1_000_000_000)
            if number == starts {
                send(event)
            }
        }
    }

    private func take(_ lens: Lens) {
        self.lens = lens
        zoom = Double(lens.device.videoZoomFactor)
        isLit = false
    }

    private func listen() {
        guard let classifier, let device = lens?.device else {
            return
        }
        let worker = camera.worker
        sensor.start(device) { angle in
            worker.turn(by: angle)
        }
        worker.start(classifier) { [weak self] result in
            Task { @MainActor in
                self?.take(result, classifier)
                worker.shown()
            }
        }
    }

    private func take(_ result: FrameResult, _ asked: Classifier) {
        guard machine.screen == .live, let classifier, classifier === asked else {
            return
        }
        frameSize = result.size
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
                kept = Kept(number: (kept?.number ?? 0) + (id == nil ? 0 : 1), isKept: id != nil)
            }
        }
    }
}
