// Core Video and Core Media, as far as the app uses them.
@_exported import CoreGraphics

public final class CVPixelBuffer {}
public let kCVPixelBufferPixelFormatTypeKey: CFString = ""
public let kCVPixelFormatType_420YpCbCr8BiPlanarFullRange: UInt32 = 0

public final class CMSampleBuffer {}
public func CMSampleBufferGetImageBuffer(_ sbuf: CMSampleBuffer) -> CVPixelBuffer? { nil }

public typealias CMTimeValue = Int64
public typealias CMTimeScale = Int32

public struct CMTime: Sendable {
    public static let zero = CMTime(value: 0, timescale: 1)
    public init(value: CMTimeValue, timescale: CMTimeScale) {}
    public init(seconds: Double, preferredTimescale: CMTimeScale) {}
    public var seconds: Double { 0 }
}
