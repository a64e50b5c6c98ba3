import AVFoundation
import UIKit

/// How the device is held, so that frames can be turned upright.
@MainActor
final class RotationSensor {
    private var coordinator: AnyObject?
    private var observation: NSKeyValueObservation?
    private var token: NSObjectProtocol?

    /// Call `report` with degrees clockwise, now and whenever they change.
    func start(_ device: AVCaptureDevice, report: @escaping @Sendable (Double) -> Void) {
        stop()
        if #available(iOS 17.0, *) {
            // Follows gravity, also when the screen's rotation is locked.
            let coordinator = AVCaptureDevice.RotationCoordinator(device: device, previewLayer: nil)
            self.coordinator = coordinator
            observation = coordinator.observe(
                \.videoRotationAngleForHorizonLevelCapture, options: [.initial, .new]
            ) { coordinator, _ in
                report(Double(coordinator.videoRotationAngleForHorizonLevelCapture))
            }
        } else {
            UIDevice.current.beginGeneratingDeviceOrientationNotifications()
            tell(report)
            token = NotificationCenter.default.addObserver(
                forName: UIDevice.orientationDidChangeNotification, object: nil, queue: .main
            ) { [weak self] _ in
                Task { @MainActor in
                    self?.tell(report)
                }
            }
        }
    }

    func stop() {
        observation?.invalidate()
        observation = nil
        coordinator = nil
        if let token {
            NotificationCenter.default.removeObserver(token)
            UIDevice.current.endGeneratingDeviceOrientationNotifications()
        }
        token = nil
    }

    private func tell(_ report: (Double) -> Void) {
        if let angle = Rotation.angle(orientation: UIDevice.current.orientation.rawValue) {
            report(angle)
        }
    }
}
