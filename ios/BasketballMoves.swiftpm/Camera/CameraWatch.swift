import AVFoundation
import Foundation

/// What the system says of camera and heat, as events of the state machine.
@MainActor
final class CameraWatch {
    // Names of notifications by their values: Swift's names for them differ between Xcode 15 and 16.
    private static let runtimeError = Notification.Name("AVCaptureSessionRuntimeErrorNotification")

    private var tokens: [NSObjectProtocol] = []
    private var observation: NSKeyValueObservation?

    /// Tell of interruptions, runtime errors and heat until `stop`; of the heat at once.
    func start(_ session: AVCaptureSession, tell: @escaping @Sendable @MainActor (CameraMachine.Event) -> Void) {
        stop()
        observation = session.observe(\.isInterrupted, options: [.new]) { session, _ in
            let event: CameraMachine.Event = session.isInterrupted ? .interrupted : .interruptionEnded
            Task { @MainActor in
                tell(event)
            }
        }
        let center = NotificationCenter.default
        tokens.append(
            center.addObserver(forName: CameraWatch.runtimeError, object: session, queue: .main) { _ in
                Task { @MainActor in
                    tell(.runtimeError)
                }
            })
        tokens.append(
            center.addObserver(
                forName: ProcessInfo.thermalStateDidChangeNotification, object: nil, queue: .main
            ) { _ in
                Task { @MainActor in
                    tell(.heat(Heat.now))
                }
            })
        tell(.heat(Heat.now))
    }

    func stop() {
        observation?.invalidate()
        observation = nil
        tokens.forEach { NotificationCenter.default.removeObserver($0) }
        tokens = []
    }
}

extension Heat {
    static var now: Heat {
        switch ProcessInfo.processInfo.thermalState {
        case .nominal: return .nominal
        case .fair: return .fair
        case .serious: return .serious
        case .critical: return .critical
        @unknown default: return .serious
        }
    }
}
