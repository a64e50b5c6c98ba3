import AVFoundation
import SwiftUI
import UIKit

/// What the camera sees, all of it: the model is shown the same.
struct CameraPreview: UIViewRepresentable {
    let session: AVCaptureSession

    func makeUIView(context: Context) -> PreviewView {
        let view = PreviewView()
        view.show(session)
        return view
    }

    func updateUIView(_ view: PreviewView, context: Context) {
        view.setNeedsLayout()
    }
}

final class PreviewView: UIView {
    private let preview = AVCaptureVideoPreviewLayer()

    func show(_ session: AVCaptureSession) {
        preview.session = session
        preview.videoGravity = .resizeAspect
        layer.addSublayer(preview)
        // From one landscape to the other the size stays, and nobody asks for a new layout.
        NotificationCenter.default.addObserver(
            self, selector: #selector(orientationChanged), name: UIDevice.orientationDidChangeNotification, object: nil
        )
    }

    override func layoutSubviews() {
        super.layoutSubviews()
        CATransaction.begin()
        CATransaction.setDisableActions(true)
        preview.frame = bounds
        CATransaction.commit()
        if let held = window?.windowScene?.interfaceOrientation,
           let angle = Rotation.angle(orientation: held.rawValue) {
            preview.connection?.turn(by: angle)
        }
    }

    @objc private func orientationChanged() {
        // The interface turns after the device does.
        DispatchQueue.main.asyncAfter(deadline: .now() + 0.3) { [weak self] in
            self?.setNeedsLayout()
        }
    }
}
