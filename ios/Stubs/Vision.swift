// Vision, as far as the app uses it.
@_exported import CoreImage
@_exported import CoreML

public class VNRequest: NSObject {}
public class VNImageBasedRequest: VNRequest {}
public class VNObservation: NSObject {}

public final class VNClassificationObservation: VNObservation {
    public var identifier: String { "" }
    public var confidence: Float { 0 }
}

public enum VNImageCropAndScaleOption: UInt, Sendable {
    case centerCrop, scaleFit, scaleFill
}

public final class VNCoreMLModel: NSObject {
    public init(for model: MLModel) throws {}
    public var inputImageFeatureName = ""
}

public final class VNCoreMLRequest: VNImageBasedRequest {
    public init(model: VNCoreMLModel) {}
    public var imageCropAndScaleOption = VNImageCropAndScaleOption.centerCrop
    public var results: [VNObservation]? { nil }
}

public struct VNImageOption: Hashable, Sendable {}

public final class VNImageRequestHandler: NSObject {
    public init(cgImage image: CGImage, orientation: CGImagePropertyOrientation, options: [VNImageOption: Any]) {}
    public init(
        cvPixelBuffer pixelBuffer: CVPixelBuffer, orientation: CGImagePropertyOrientation,
        options: [VNImageOption: Any]
    ) {}
    public init(ciImage image: CIImage, options: [VNImageOption: Any]) {}
    public func perform(_ requests: [VNRequest]) throws {}
}
