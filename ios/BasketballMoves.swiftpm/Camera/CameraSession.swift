import AVFoundation
import Foundation

enum CameraProblem: Error {
    case noCamera
}

/// The camera: configured and started on a queue of its own, frames on another.
final class CameraSession: @unchecked Sendable {
    // Unchecked: AVCaptureSession may be used from any thread; what changes is only touched on `queue`.
    let session = AVCaptureSession()
    let worker = FrameWorker()
    private let queue = DispatchQueue(label: "camera.session")
    private let frames = DispatchQueue(label: "camera.frames", qos: .userInitiated)
    private let output = AVCaptureVideoDataOutput()
    private var input: AVCaptureDeviceInput?
    private var framesPerSecond = Heat.nominal.framesPerSecond

    /// Ask for permission if nobody was asked yet.
    static func isAllowed() async -> Bool {
        switch AVCaptureDevice.authorizationStatus(for: .video) {
        case .authorized: return true
        case .notDetermined: return await AVCaptureDevice.requestAccess(for: .video)
        default: return false
        }
    }

    /// Start and return the lens that is used; throws `CameraProblem.noCamera` if there is none.
    func start() async throws -> Lens {
        try await run {
            let lens = try self.configure()
            if !self.session.isRunning {
                self.session.startRunning()
            }
            return lens
        }
    }

    /// Stop and start again, as after a reset of the media services.
    func restart() async throws -> Lens {
        try await run {
            let lens = try self.configure()
            self.session.stopRunning()
            self.session.startRunning()
            return lens
        }
    }

    func stop() {
        queue.async {
            if self.session.isRunning {
                self.session.stopRunning()
            }
        }
    }

    /// Look through another lens; a device that cannot is left as it is.
    func use(_ lens: Lens) async throws -> Lens {
        try await run {
            guard let old = self.input, old.device.uniqueID != lens.id else {
                return lens
            }
            let new = try AVCaptureDeviceInput(device: lens.device)
            self.session.beginConfiguration()
            self.session.removeInput(old)
            if self.session.canAddInput(new) {
                self.session.addInput(new)
                self.input = new
            } else {
                self.session.addInput(old)
            }
            self.output.connection(with: .video)?.turn(by: 0)
            self.session.commitConfiguration()
            self.applyRate()
            return self.input.map { Lens(device: $0.device) } ?? lens
        }
    }

    func zoom(to factor: Double) {
        change { device in
            device.videoZoomFactor = CGFloat(factor)
        }
    }

    func light(_ isOn: Bool) {
        change { device in
            let mode: AVCaptureDevice.TorchMode = isOn ? .on : .off
            if device.hasTorch, device.isTorchModeSupported(mode) {
                device.torchMode = mode
            }
        }
    }

    /// Ask for so many frames a second, or the nearest that the camera can.
    func setRate(_ framesPerSecond: Int) {
        queue.async {
            self.framesPerSecond = framesPerSecond
            self.applyRate()
        }
    }

    private func applyRate() {
        guard framesPerSecond > 0, let device = input?.device else {
            return
        }
        let wanted = Double(framesPerSecond)
        let ranges = device.activeFormat.videoSupportedFrameRateRanges
        guard let range = ranges.first(where: { $0.minFrameRate <= wanted && wanted <= $0.maxFrameRate }),
            range.minFrameRate > 0, (try? device.lockForConfiguration()) != nil
        else {
            return
        }
        let duration = CMTime(value: 1, timescale: CMTimeScale(framesPerSecond))
        device.activeVideoMinFrameDuration = duration
        device.activeVideoMaxFrameDuration = duration
        device.unlockForConfiguration()
    }

    private func change(_ body: @escaping @Sendable (AVCaptureDevice) -> Void) {
        queue.async {
            if let device = self.input?.device, (try? device.lockForConfiguration()) != nil {
                body(device)
                device.unlockForConfiguration()
            }
        }
    }

    private func run(_ body: @escaping @Sendable () throws -> Lens) async throws -> Lens {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Lens, Error>) in
            queue.async {
                continuation.resume(with: Result(catching: body))
            }
        }
    }

    private func configure() throws -> Lens {
        if let device = input?.device {
            return Lens(device: device)
        }
        let wide = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back)
        guard let found = wide ?? AVCaptureDevice.default(for: .video) else {
            throw CameraProblem.noCamera
        }
        let first = try AVCaptureDeviceInput(device: found)
        output.alwaysDiscardsLateVideoFrames = true
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: Int(kCVPixelFormatType_420YpCbCr8BiPlanarFullRange)
        ]
        output.setSampleBufferDelegate(worker, queue: frames)
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        guard session.canAddInput(first), session.canAddOutput(output) else {
            throw CameraProblem.noCamera
        }
        session.sessionPreset = session.canSetSessionPreset(.hd1280x720) ? .hd1280x720 : .high
        session.addInput(first)
        session.addOutput(output)
        if session.isMultitaskingCameraAccessSupported {
            session.isMultitaskingCameraAccessEnabled = true
        }
        // Frames stay as the sensor gives them; Vision is told how to turn them.
        output.connection(with: .video)?.turn(by: 0)
        input = first
        return Lens(device: found)
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
