import Combine
import Foundation

/// The model, as far as it is there: shared by all screens.
@MainActor
final class AppState: ObservableObject {
    enum Phase {
        case loading
        case ready(Classifier)
        case failed(ModelProblem)
    }

    @Published private(set) var phase: Phase = .loading
    private var loading: Task<Void, Never>?

    var classifier: Classifier? {
        if case .ready(let classifier) = phase {
            return classifier
        }
        return nil
    }

    var contract: ModelContract? {
        classifier?.contract
    }

    /// Load the model for some compute units; a load that is under way ends first, so that two never share the cache.
    func load(_ compute: ComputeChoice) {
        let before = loading
        phase = .loading
        loading = Task {
            await before?.value
            do {
                phase = .ready(try await ModelLoader.load(compute))
            } catch let problem as ModelProblem {
                phase = .failed(problem)
            } catch {
                phase = .failed(.compiling(error.localizedDescription))
            }
        }
    }

    /// Whether the model was brought in after the app was built.
    @Published private(set) var hasImported = ImportedModel.exists

    /// Import a model and load it; returns why not, nil if it was taken. The one before stays then.
    func importModel(_ url: URL, _ compute: ComputeChoice) async -> String? {
        do {
            try await Task.detached { try await ImportedModel.take(url) }.value
        } catch let problem as ModelProblem {
            return [problem.title, problem.advice, problem.detail].compactMap { $0 }.joined(separator: "\n")
        } catch {
            return error.localizedDescription
        }
        hasImported = true
        load(compute)
        return nil
    }

    /// Go back to the model that the app was built with.
    func removeImported(_ compute: ComputeChoice) {
        ImportedModel.remove()
        hasImported = false
        load(compute)
    }

    /// A class's name for people, in the language of the app; a class that the model does not know keeps its name.
    func displayName(_ className: String) -> String {
        if let known = contract?.modelClass(named: className) {
            return known.displayName(language: AppLanguage.contractLanguage)
        }
        return className == FolderName.noMove ? L("entry.none") : className
    }
}
