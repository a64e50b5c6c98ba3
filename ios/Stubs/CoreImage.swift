// Core Image, as far as the app uses it.
@_exported import CoreVideo
@_exported import ImageIO

public final class CIImage: NSObject, @unchecked Sendable {
    public init(cvPixelBuffer: CVPixelBuffer) {}
    public var extent: CGRect { CGRect(x: 0, y: 0, width: 0, height: 0) }
    public func oriented(_ orientation: CGImagePropertyOrientation) -> CIImage { self }
    public func cropped(to rect: CGRect) -> CIImage { self }
    public func transformed(by matrix: CGAffineTransform) -> CIImage { self }
}

public final class CIContext: NSObject, @unchecked Sendable {
    public func createCGImage(_ image: CIImage, from fromRect: CGRect) -> CGImage? { nil }
}
