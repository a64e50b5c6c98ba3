// AVFoundation, as far as the app uses it.
@_exported import CoreVideo
@_exported import FoundationOfApple
@_exported import QuartzCore

public struct AVMediaType: Hashable, Sendable {
    public static let video = AVMediaType()
}

public enum AVAuthorizationStatus: Int, Sendable {
    case notDetermined, restricted, denied, authorized
}

public final class AVFrameRateRange: NSObject {
    public var minFrameRate: Double { 0 }
    public var maxFrameRate: Double { 0 }
}

public final class AVCaptureDevice: NSObject, KeyValueObserving {
    public enum Position: Int, Sendable {
        case unspecified, back, front
    }

    public enum TorchMode: Int, Sendable {
        case off, on, auto
    }

    public struct DeviceType: Hashable, Sendable {
        public static let builtInUltraWideCamera = DeviceType()
        public static let builtInWideAngleCamera = DeviceType()
        public static let builtInTelephotoCamera = DeviceType()
    }

    public final class DiscoverySession: NSObject {
        public init(deviceTypes: [DeviceType], mediaType: AVMediaType?, position: Position) {}
        public var devices: [AVCaptureDevice] { [] }
    }

    public final class Format: NSObject {
        public var videoSupportedFrameRateRanges: [AVFrameRateRange] { [] }
    }

    @available(iOS 17.0, *)
    public final class RotationCoordinator: NSObject, KeyValueObserving {
        public init(device: AVCaptureDevice, previewLayer: CALayer?) {}
        public var videoRotationAngleForHorizonLevelCapture: CGFloat { 0 }
    }

    public static func authorizationStatus(for mediaType: AVMediaType) -> AVAuthorizationStatus { .notDetermined }
    public static func requestAccess(for mediaType: AVMediaType) async -> Bool { false }
    public static func `default`(
        _ deviceType: DeviceType, for mediaType: AVMediaType?, position: Position
    ) -> AVCaptureDevice? { nil }
    public static func `default`(for mediaType: AVMediaType) -> AVCaptureDevice? { nil }
    public var uniqueID: String { "" }
    public var deviceType: DeviceType { DeviceType() }
    public var activeFormat: Format { Format() }
    public var activeVideoMinFrameDuration = CMTime.zero
    public var activeVideoMaxFrameDuration = CMTime.zero
    public var videoZoomFactor: CGFloat = 1
    public var minAvailableVideoZoomFactor: CGFloat { 1 }
    public var maxAvailableVideoZoomFactor: CGFloat { 1 }
    public var hasTorch: Bool { false }
    public var torchMode = TorchMode.off
    public func isTorchModeSupported(_ torchMode: TorchMode) -> Bool { false }
    public func lockForConfiguration() throws {}
    public func unlockForConfiguration() {}
}

public class AVCaptureInput: NSObject {}
public class AVCaptureOutput: NSObject {
    public func connection(with mediaType: AVMediaType) -> AVCaptureConnection? { nil }
}

public final class AVCaptureDeviceInput: AVCaptureInput {
    public init(device: AVCaptureDevice) throws { self.device = device }
    public let device: AVCaptureDevice
}

public protocol AVCaptureVideoDataOutputSampleBufferDelegate: NSObjectProtocol {
    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection
    )
}

public final class AVCaptureVideoDataOutput: AVCaptureOutput {
    public var alwaysDiscardsLateVideoFrames = true
    public var videoSettings: [String: Any]! = [:]
    public func setSampleBufferDelegate(
        _ sampleBufferDelegate: AVCaptureVideoDataOutputSampleBufferDelegate?, queue: DispatchQueue?
    ) {}
}

public enum AVCaptureVideoOrientation: Int, Sendable {
    case portrait = 1, portraitUpsideDown, landscapeRight, landscapeLeft
}

public final class AVCaptureConnection: NSObject {
    public var isVideoOrientationSupported: Bool { false }
    public var videoOrientation = AVCaptureVideoOrientation.portrait
    @available(iOS 17.0, *)
    public func isVideoRotationAngleSupported(_ videoRotationAngle: CGFloat) -> Bool { false }
    @available(iOS 17.0, *)
    public var videoRotationAngle: CGFloat {
        get { 0 }
        set {}
    }
}

public final class AVCaptureSession: NSObject, KeyValueObserving, @unchecked Sendable {
    public struct Preset: Hashable, Sendable {
        public static let hd1280x720 = Preset()
        public static let high = Preset()
    }

    public var sessionPreset = Preset.high
    public var isRunning: Bool { false }
    public var isInterrupted: Bool { false }
    public var isMultitaskingCameraAccessSupported: Bool { false }
    public var isMultitaskingCameraAccessEnabled = false
    public func canSetSessionPreset(_ preset: Preset) -> Bool { false }
    public func canAddInput(_ input: AVCaptureInput) -> Bool { false }
    public func canAddOutput(_ output: AVCaptureOutput) -> Bool { false }
    public func addInput(_ input: AVCaptureInput) {}
    public func removeInput(_ input: AVCaptureInput) {}
    public func addOutput(_ output: AVCaptureOutput) {}
    public func beginConfiguration() {}
    public func commitConfiguration() {}
    public func startRunning() {}
    public func stopRunning() {}
}

public struct AVLayerVideoGravity: Hashable, Sendable {
    public static let resizeAspect = AVLayerVideoGravity()
}

public final class AVCaptureVideoPreviewLayer: CALayer {
    public var session: AVCaptureSession?
    public var videoGravity = AVLayerVideoGravity.resizeAspect
    public var connection: AVCaptureConnection? { nil }
}

public class AVAsset: NSObject, @unchecked Sendable {
    public func load<T>(_ property: AVAsyncProperty<AVAsset, T>) async throws -> T { throw CancellationError() }
}

public struct AVAsyncProperty<Root, Value>: Sendable {}
extension AVAsyncProperty where Root == AVAsset, Value == CMTime {
    public static var duration: AVAsyncProperty<AVAsset, CMTime> { AVAsyncProperty() }
}

public final class AVURLAsset: AVAsset, @unchecked Sendable {
    public init(url: URL) {}
}

public final class AVAssetImageGenerator: NSObject {
    public init(asset: AVAsset) {}
    public var appliesPreferredTrackTransform = false
    public var requestedTimeToleranceBefore = CMTime.zero
    public var requestedTimeToleranceAfter = CMTime.zero
    public func copyCGImage(at requestedTime: CMTime, actualTime: UnsafeMutablePointer<CMTime>?) throws -> CGImage {
        throw CancellationError()
    }
}
