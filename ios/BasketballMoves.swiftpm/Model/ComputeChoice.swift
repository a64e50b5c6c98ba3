import CoreML

/// Which units Core ML is asked to use. It decides itself which of them it takes, and iOS 16 does not tell.
enum ComputeChoice: String, CaseIterable, Identifiable, Sendable {
    case all
    case neuralEngine
    case gpu
    case cpu

    var id: String { rawValue }

    var units: MLComputeUnits {
        switch self {
        case .all: return .all
        case .neuralEngine: return .cpuAndNeuralEngine
        case .gpu: return .cpuAndGPU
        case .cpu: return .cpuOnly
        }
    }

    /// Core ML's name of the choice, as device.json has it.
    var measured: String {
        switch self {
        case .all: return "all"
        case .neuralEngine: return "cpuAndNeuralEngine"
        case .gpu: return "cpuAndGPU"
        case .cpu: return "cpuOnly"
        }
    }

    var name: String {
        switch self {
        case .all: return L("compute.all")
        case .neuralEngine: return L("compute.neuralEngine")
        case .gpu: return L("compute.gpu")
        case .cpu: return L("compute.cpu")
        }
    }
}
