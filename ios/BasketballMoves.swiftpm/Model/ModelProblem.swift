import Foundation

/// Why there is no model to ask; each has a title and advice for its reader.
enum ModelProblem: Error {
    /// No export was put into the app.
    case missing
    case contract(ContractProblem)
    /// The package is not the one that the contract was written for, or a part of it is missing.
    case changed
    /// Input, outputs or labels are others than the contract says; the text names which.
    case interface(String)
    /// What was chosen to be imported is neither a model nor the folder of an export.
    case notAnExport
    /// Core ML does not take the model; the text is Core ML's.
    case compiling(String)

    var title: String {
        switch self {
        case .missing: return L("problem.missing.title")
        case .contract: return L("problem.contract.title")
        case .changed: return L("problem.changed.title")
        case .interface: return L("problem.interface.title")
        case .notAnExport: return L("problem.notAnExport.title")
        case .compiling: return L("problem.compiling.title")
        }
    }

    var advice: String {
        switch self {
        case .missing: return L("problem.missing.advice")
        case .contract: return L("problem.contract.advice")
        case .changed: return L("problem.changed.advice")
        case .interface: return L("problem.interface.advice")
        case .notAnExport: return L("problem.notAnExport.advice")
        case .compiling: return L("problem.compiling.advice")
        }
    }

    /// For whoever mends it: technical, not translated.
    var detail: String? {
        switch self {
        case .missing, .changed, .notAnExport: return nil
        case .contract(let problem): return String(describing: problem)
        case .interface(let text), .compiling(let text): return text
        }
    }
}
