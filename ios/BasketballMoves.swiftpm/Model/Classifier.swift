import CoreImage
import CoreML
import Foundation
import Vision

enum ClassifierProblem: Error {
    /// Vision did not return a probability for each class.
    case noAnswer
}

/// The model and its contract: pictures in, probabilities in the order of the contract out.
final class Classifier: @unchecked Sendable {
    // Unchecked: Vision's wrapper of the model is not marked as Sendable. It is set once; every call makes a request
    // of its own.
    let contract: ModelContract
    let compute: ComputeChoice
    private let crop: CropAndScale
    private let model: VNCoreMLModel

    init(model: MLModel, contract: ModelContract, crop: CropAndScale, compute: ComputeChoice) throws {
        self.model = try VNCoreMLModel(for: model)
        self.model.inputImageFeatureName = contract.features.image
        self.contract = contract
        self.crop = crop
        self.compute = compute
    }

    /// A camera frame; `orientation` says how it has to be turned to be upright.
    func probabilities(of pixels: CVPixelBuffer, orientation: CGImagePropertyOrientation) throws -> [Double] {
        try ask(VNImageRequestHandler(cvPixelBuffer: pixels, orientation: orientation, options: [:]))
    }

    /// An upright picture of Core Image.
    func probabilities(of picture: CIImage) throws -> [Double] {
        try ask(VNImageRequestHandler(ciImage: picture, options: [:]))
    }

    func probabilities(of picture: Picture) throws -> [Double] {
        try ask(VNImageRequestHandler(cgImage: picture.image, orientation: picture.orientation, options: [:]))
    }

    func answer(to probabilities: [Double]) -> Answer? {
        Judge.answer(to: probabilities, threshold: contract.threshold)
    }

    private func ask(_ handler: VNImageRequestHandler) throws -> [Double] {
        let request = VNCoreMLRequest(model: model)
        request.imageCropAndScaleOption = crop.option
        try handler.perform([request])
        var shares: [String: Double] = [:]
        for observation in request.results ?? [] {
            if let share = observation as? VNClassificationObservation {
                shares[share.identifier] = Double(share.confidence)
            }
        }
        guard let ordered = Judge.inOrder(shares, labels: contract.classes.map(\.label)) else {
            throw ClassifierProblem.noAnswer
        }
        return ordered
    }
}

extension CropAndScale {
    /// Vision's name of the fit policy that the model was trained with.
    var option: VNImageCropAndScaleOption {
        switch self {
        case .scaleFill: return .scaleFill
        case .centerCrop: return .centerCrop
        case .scaleFit: return .scaleFit
        }
    }
}
