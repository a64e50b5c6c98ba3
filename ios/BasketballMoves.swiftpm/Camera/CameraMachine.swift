import Foundation

/// The live screen's logic: what happened to camera, permission, model and heat, and what is to be done and shown.
///
/// Nothing here touches a camera, so that a test can walk every path: each ends in a live picture or in a screen
/// with a way out. `LiveModel` turns notifications into events and effects into calls.
struct CameraMachine: Hashable, Sendable {
    enum Event: Equatable, Sendable {
        case appear, disappear
        case allowed, denied
        case modelLoading, modelReady, modelFailed
        case started, noCamera, startFailed, timedOut
        case interrupted, interruptionEnded
        /// The session stopped with an error, as after a reset of the media services.
        case runtimeError
        /// The session ran for a minute: the next error is not the last one's.
        case steady
        case heat(Heat)
        /// Degrees clockwise by which the picture has to be turned for the way that the screen is held.
        case rotated(Int)
        case retry
    }

    enum Effect: Equatable, Sendable {
        case ask, start, stop, restart, loadModel
        case turn(Int)
        case rate(Int)
    }

    enum Screen: String, CaseIterable, Sendable {
        case loading, starting, live, interrupted, denied, noCamera, failed, modelFailed, tooHot
    }

    enum Exit: String, Sendable {
        case settings, retry, otherUnits, otherTab
        /// It goes on by itself when the cause has passed.
        case wait
    }

    private enum Permission { case unknown, asking, allowed, denied }
    private enum Model { case loading, ready, failed }
    private enum Session { case off, starting, running, interrupted }
    private enum Problem { case noCamera, failed }

    /// Restarts in a row, after which an error is shown instead.
    static let mostRestarts = 3

    private var isVisible = false
    private var permission = Permission.unknown
    private var model = Model.loading
    private var session = Session.off
    private var problem: Problem?
    private var restarts = 0
    private(set) var heat = Heat.nominal
    private(set) var angle = 90

    init() {}

    var screen: Screen {
        if model == .failed {
            return .modelFailed
        }
        if heat == .critical {
            return .tooHot
        }
        if permission == .denied {
            return .denied
        }
        switch problem {
        case .noCamera: return .noCamera
        case .failed: return .failed
        case nil: break
        }
        if model == .loading {
            return .loading
        }
        switch session {
        case .off, .starting: return .starting
        case .running: return .live
        case .interrupted: return .interrupted
        }
    }

    /// Take an event and return what is to be done, in this order.
    mutating func handle(_ event: Event) -> [Effect] {
        switch event {
        case .appear:
            isVisible = true
            forget()
            // Its user may come from Settings: ask again, which shows no alert a second time.
            permission = permission == .denied ? .unknown : permission
            return proceed()
        case .disappear:
            isVisible = false
            return proceed()
        case .allowed, .denied:
            permission = event == .allowed ? .allowed : .denied
            return proceed()
        case .modelLoading, .modelReady, .modelFailed:
            model = event == .modelReady ? .ready : event == .modelLoading ? .loading : .failed
            return proceed()
        case .rotated(let degrees):
            angle = degrees
            return session == .running || session == .interrupted ? [.turn(angle)] : []
        case .heat(let level):
            heat = level
            let done = proceed()
            return done.isEmpty && session == .running ? [.rate(heat.framesPerSecond)] : done
        case .retry:
            forget()
            if model == .failed {
                model = .loading
                return [.loadModel]
            }
            if session == .interrupted {
                session = .starting
                return [.restart]
            }
            return proceed()
        case .started, .noCamera, .startFailed, .timedOut, .interrupted, .interruptionEnded, .runtimeError, .steady:
            return handleSession(event)
        }
    }

    private mutating func handleSession(_ event: Event) -> [Effect] {
        switch (event, session) {
        case (.started, .starting), (.interruptionEnded, .interrupted):
            session = .running
            // Not before: a preview has no connection to turn until its session has an input.
            return [.turn(angle), .rate(heat.framesPerSecond)]
        case (.started, .off):
            // It was wanted when it was asked for, and is not any more.
            return [.stop]
        case (.noCamera, .starting), (.startFailed, .starting), (.timedOut, .starting):
            session = .off
            problem = event == .noCamera ? .noCamera : .failed
            return event == .timedOut ? [.stop] : []
        case (.interrupted, .starting), (.interrupted, .running):
            session = .interrupted
            return []
        case (.runtimeError, .starting), (.runtimeError, .running), (.runtimeError, .interrupted):
            guard restarts < CameraMachine.mostRestarts else {
                session = .off
                problem = .failed
                return [.stop]
            }
            restarts += 1
            session = .starting
            return [.restart]
        case (.steady, .running):
            restarts = 0
            return []
        default:
            return []
        }
    }

    private mutating func forget() {
        problem = nil
        restarts = 0
    }

    /// While another model is loaded the camera goes on, but it is not started for a model that may not come.
    private var shouldRun: Bool {
        isVisible && heat != .critical && permission != .denied && problem == nil
            && (model == .ready || (model == .loading && session != .off))
    }

    private mutating func proceed() -> [Effect] {
        guard shouldRun else {
            if session == .off {
                return []
            }
            session = .off
            return [.stop]
        }
        switch permission {
        case .unknown:
            permission = .asking
            return [.ask]
        case .allowed where session == .off:
            session = .starting
            return [.start]
        default:
            return []
        }
    }
}

extension CameraMachine.Screen {
    /// What its user can do; empty for the live picture, and for screens that end by themselves within seconds.
    var exits: [CameraMachine.Exit] {
        switch self {
        case .live, .loading, .starting: return []
        case .interrupted: return [.wait, .retry, .otherTab]
        case .denied: return [.settings, .otherTab]
        case .noCamera: return [.retry, .otherTab]
        case .failed: return [.retry, .otherTab]
        case .modelFailed: return [.retry, .otherUnits]
        case .tooHot: return [.wait, .otherTab]
        }
    }
}

/// How hot the device is, as the system says.
enum Heat: String, CaseIterable, Codable, Sendable {
    case nominal, fair, serious, critical

    /// Frames a second to ask the camera for: less work while the device is hot, and none when it is about to stop.
    var framesPerSecond: Int {
        switch self {
        case .nominal: return 30
        case .fair: return 20
        case .serious: return 10
        case .critical: return 0
        }
    }
}
