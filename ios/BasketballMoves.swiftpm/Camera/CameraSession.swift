import AVFoundation
import Foundation

enum CameraProblem: Error {
    case noCamera
}

/// The camera: configured and started on a queue of its own, frames on another.
final class CameraSession: @unchecked Sendable {
    // Unchecked: AVCaptureSession may be used from any thread; `device` is set once, on `queue`, before `start` ends.
    let session = AVCaptureSession()
    let worker = FrameWorker()
    private let queue = DispatchQueue(label: "camera.session")
    private let frames = DispatchQueue(label: "camera.frames", qos: .userInitiated)
    /// Nil before the first start.
    private(set) var device: AVCaptureDevice?

    /// Ask for permission if nobody was asked yet.
    static func isAllowed() async -> Bool {
        switch AVCaptureDevice.authorizationStatus(for: .video) {
        case .authorized: return true
        case .notDetermined: return await AVCaptureDevice.requestAccess(for: .video)
        default: return false
        }
    }

    /// Start; throws `CameraProblem.noCamera` if there is none.
    func start() async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, Error>) in
            queue.async {
                do {
                    try self.configure()
                    if !self.session.isRunning {
                        self.session.startRunning()
                    }
                    continuation.resume()
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    func stop() {
        queue.async {
            if self.session.isRunning {
                self.session.stopRunning()
            }
        }
    }

    private func configure() throws {
        if device != nil {
            return
        }
        let wide = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back)
        guard let found = wide ?? AVCaptureDevice.default(for: .video) else {
            throw CameraProblem.noCamera
        }
        let input = try AVCaptureDeviceInput(device: found)
        let output = AVCaptureVideoDataOutput()
        output.alwaysDiscardsLateVideoFrames = true
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: Int(kCVPixelFormatType_420YpCbCr8BiPlanarFullRange)
        ]
        output.setSampleBufferDelegate(worker, queue: frames)
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        guard session.canAddInput(input), session.canAddOutput(output) else {
            throw CameraProblem.noCamera
        }
        session.sessionPreset = session.canSetSessionPreset(.hd1280x720) ? .hd1280x720 : .high
        session.addInput(input)
        session.addOutput(output)
        if session.isMultitaskingCameraAccessSupported {
            session.isMultitaskingCameraAccessEnabled = true
        }
        // Frames stay as the sensor gives them; Vision is told how to turn them.
        output.connection(with: .video)?.turn(by: 0)
        device = found
    }
}

extension AVCaptureConnection {
    /// Turn what comes through by 0, 90, 180 or 270 degrees clockwise.
    func turn(by angle: Double) {
        if #available(iOS 17.0, *) {
            if isVideoRotationAngleSupported(CGFloat(angle)) {
                videoRotationAngle = CGFloat(angle)
            }
        } else if isVideoOrientationSupported {
            switch angle {
            case 90: videoOrientation = .portrait
            case 180: videoOrientation = .landscapeLeft
            case 270: videoOrientation = .portraitUpsideDown
            default: videoOrientation = .landscapeRight
            }
        }
    }
}
