// Core ML, as far as the app uses it.
@_exported import CoreVideo

public enum MLComputeUnits: Int, Sendable {
    case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine
}

public final class MLModelConfiguration: NSObject {
    public var computeUnits = MLComputeUnits.all
}

public final class MLModel: NSObject, @unchecked Sendable {
    public init(contentsOf url: URL) throws {}
    public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {}
    public static func compileModel(at modelURL: URL) async throws -> URL { modelURL }
    public var modelDescription: MLModelDescription { MLModelDescription() }
    public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider { input }
}

public struct MLModelMetadataKey: Hashable, Sendable {
    public static let author = MLModelMetadataKey()
    public static let license = MLModelMetadataKey()
    public static let description = MLModelMetadataKey()
    public static let creatorDefinedKey = MLModelMetadataKey()
}

public final class MLModelDescription: NSObject {
    public var inputDescriptionsByName: [String: MLFeatureDescription] { [:] }
    public var outputDescriptionsByName: [String: MLFeatureDescription] { [:] }
    public var predictedFeatureName: String? { nil }
    public var predictedProbabilitiesName: String? { nil }
    public var classLabels: [Any]? { nil }
    public var metadata: [MLModelMetadataKey: Any] { [:] }
}

public final class MLFeatureDescription: NSObject {
    public var imageConstraint: MLImageConstraint? { nil }
}

public final class MLImageConstraint: NSObject {
    public var pixelsWide: Int { 0 }
    public var pixelsHigh: Int { 0 }
}

public final class MLFeatureValue: NSObject {
    public struct ImageOption: Hashable, Sendable {}

    public init(cgImage: CGImage, constraint: MLImageConstraint, options: [ImageOption: Any]?) throws {}
    public var dictionaryValue: [AnyHashable: NSNumber] { [:] }
}

public protocol MLFeatureProvider {
    func featureValue(for featureName: String) -> MLFeatureValue?
}

public final class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
    public init(dictionary: [String: Any]) throws {}
    public func featureValue(for featureName: String) -> MLFeatureValue? { nil }
}
