import AVFoundation
import SwiftUI
import UIKit

/// What the camera sees, all of it: the model is shown the same, or the region of it that was chosen.
struct CameraPreview: UIViewRepresentable {
    let session: AVCaptureSession
    /// Degrees clockwise, and how often a turn was asked for: a session that has started anew has to be turned again.
    let turn: LiveModel.Turn
    /// Called with the angle whenever the screen is held another way.
    let report: @MainActor (Int) -> Void

    func makeUIView(context: Context) -> PreviewView {
        let view = PreviewView()
        view.show(session, report: report)
        return view
    }

    func updateUIView(_ view: PreviewView, context: Context) {
        view.turn(by: turn.angle)
    }
}

final class PreviewView: UIView {
    private let preview = AVCaptureVideoPreviewLayer()
    private var report: @MainActor (Int) -> Void = { _ in }
    private var token: NSObjectProtocol?
    /// The angle that was reported last.
    private var told: Int?

    func show(_ session: AVCaptureSession, report: @escaping @MainActor (Int) -> Void) {
        self.report = report
        preview.session = session
        preview.videoGravity = .resizeAspect
        layer.addSublayer(preview)
        // From one landscape to the other the size stays, and nobody asks for a new layout.
        token = NotificationCenter.default.addObserver(
            forName: UIDevice.orientationDidChangeNotification, object: nil, queue: .main
        ) { [weak self] _ in
            Task { @MainActor [weak self] in
                // The interface turns after the device does.
                try? await Task.sleep(nanoseconds: 300_000_000)
                self?.tell()
            }
        }
    }

    deinit {
        if let token {
            NotificationCenter.default.removeObserver(token)
        }
    }

    /// Only a session that has an input has a connection to turn: the state machine asks for it then.
    func turn(by angle: Int) {
        preview.connection?.turn(by: Double(angle))
    }

    override func layoutSubviews() {
        super.layoutSubviews()
        CATransaction.begin()
        CATransaction.setDisableActions(true)
        preview.frame = bounds
        CATransaction.commit()
        tell()
    }

    private func tell() {
        guard let held = window?.windowScene?.interfaceOrientation,
            let degrees = Rotation.angle(orientation: held.rawValue), told != Int(degrees)
        else {
            return
        }
        let angle = Int(degrees)
        told = angle
        // Later: SwiftUI may be in the middle of an update, which must not be changed by its own views.
        Task { @MainActor [report] in
            report(angle)
        }
    }
}
