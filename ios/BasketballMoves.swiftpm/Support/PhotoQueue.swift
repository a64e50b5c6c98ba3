import Combine
import Foundation

/// Photos and videos that were chosen, classified one after the other.
@MainActor
final class PhotoQueue: ObservableObject {
    /// Something to classify, not read yet.
    struct Item: Sendable {
        enum Content: Sendable {
            case photo(@Sendable () async -> Data?)
            case video(@Sendable () async -> URL?)
        }

        let content: Content
        let source: HistoryEntry.Source
    }

    enum Outcome: Identifiable {
        case photo(UUID)
        case video(VideoAnswers)
        case trouble(id: UUID, text: String)

        var id: UUID {
            switch self {
            case .photo(let id): return id
            case .video(let answers): return answers.id
            case .trouble(let id, _): return id
            }
        }
    }

    /// The last first.
    @Published private(set) var outcomes: [Outcome] = []
    @Published private(set) var done = 0
    @Published private(set) var total = 0
    /// Share of the video that is under way; nil if none is.
    @Published private(set) var share: Double?
    private var work: Task<Void, Never>?
    /// Counted up by `cancel`: what was under way then is not shown any more.
    private var batch = 0

    var isWorking: Bool { done < total }

    /// Classify these as well; those before stay, until all are done and others are chosen.
    func add(_ items: [Item], by classifier: Classifier, into history: HistoryStore) {
        if !isWorking {
            outcomes = []
            done = 0
            total = 0
        }
        total += items.count
        let before = work
        let batch = batch
        work = Task {
            await before?.value
            for item in items where !Task.isCancelled {
                let found = await outcome(of: item, classifier, history)
                if batch == self.batch {
                    outcomes.insert(found, at: 0)
                    done += 1
                }
            }
        }
    }

    /// Leave what is not done yet.
    func cancel() {
        work?.cancel()
        work = nil
        batch += 1
        total = done
        share = nil
    }

    private func outcome(of item: Item, _ classifier: Classifier, _ history: HistoryStore) async -> Outcome {
        switch item.content {
        case .photo(let read):
            return await photo(await read(), item.source, classifier, history)
        case .video(let copy):
            return await video(await copy(), classifier)
        }
    }

    private func photo(
        _ data: Data?, _ source: HistoryEntry.Source, _ classifier: Classifier, _ history: HistoryStore
    ) async -> Outcome {
        guard let data, let picture = try? await Task.detached(operation: { try Picture.decode(data) }).value else {
            return trouble(L("photo.unreadable"))
        }
        let asked = try? await Task.detached(operation: { try classifier.probabilities(of: picture) }).value
        guard let probabilities = asked, let answer = classifier.answer(to: probabilities) else {
            return trouble(L("live.silent"))
        }
        let id = await history.add(
            picture, source: source, probabilities: probabilities, answer: answer, contract: classifier.contract
        )
        return id.map(Outcome.photo) ?? trouble(history.trouble ?? L("live.notKept"))
    }

    private func video(_ url: URL?, _ classifier: Classifier) async -> Outcome {
        guard let url else {
            return trouble(L("video.unreadable"))
        }
        share = 0
        defer {
            share = nil
            // A copy in the temporary folder.
            try? FileManager.default.removeItem(at: url)
        }
        do {
            return .video(
                try await VideoAnswers.of(url, by: classifier) { share in
                    Task { @MainActor in
                        self.show(share)
                    }
                })
        } catch ClassifierProblem.noAnswer {
            return trouble(L("live.silent"))
        } catch {
            return trouble(L("video.unreadable"))
        }
    }

    private func show(_ share: Double) {
        if self.share != nil {
            self.share = share
        }
    }

    private func trouble(_ text: String) -> Outcome {
        .trouble(id: UUID(), text: text)
    }
}
