import Combine
import Foundation

/// What was classified and kept, the newest first.
@MainActor
final class HistoryStore: ObservableObject {
    @Published private(set) var entries: [HistoryEntry] = []
    /// What went wrong with the disk, for the history's screen; nil if nothing did.
    @Published private(set) var trouble: String?
    let files: HistoryFiles

    init() {
        files = HistoryFiles(folder: AppResources.support.appendingPathComponent("History", isDirectory: true))
        do {
            entries = try files.load()
        } catch {
            files.setBrokenListAside()
            trouble = L("history.broken")
        }
    }

    var checked: Int {
        entries.filter { $0.truth != nil }.count
    }

    func entry(_ id: UUID) -> HistoryEntry? {
        entries.first { $0.id == id }
    }

    /// Keep a picture with its answer; returns the entry's id, or nil if it cannot be written.
    func add(
        _ picture: Picture, source: HistoryEntry.Source, probabilities: [Double], answer: Answer,
        contract: ModelContract
    ) async -> UUID? {
        let id = UUID()
        let files = self.files
        do {
            // Compressing takes a while: not on the main thread.
            let saved = try await Task.detached { try files.save(picture, id: id) }.value
            let entry = HistoryEntry(
                id: id,
                date: Date(),
                day: picture.day,
                source: source,
                photo: saved.photo,
                thumbnail: saved.thumbnail,
                sha256: saved.sha256,
                classNames: contract.classes.map(\.name),
                probabilities: probabilities,
                answer: answer.index,
                isSure: answer.isSure,
                truth: nil
            )
            entries.insert(entry, at: 0)
            store()
            return id
        } catch {
            trouble = error.localizedDescription
            return nil
        }
    }

    /// Say what a photo really shows; nil takes it back.
    func setTruth(_ truth: String?, of id: UUID) {
        if let place = entries.firstIndex(where: { $0.id == id }) {
            entries[place].truth = truth
            entries[place].checked = truth == nil ? nil : Date()
            store()
        }
    }

    func remove(at places: IndexSet) {
        let gone = places.map { entries[$0] }
        entries.removeAll { entry in gone.contains { $0.id == entry.id } }
        store()
        gone.forEach(files.remove)
    }

    func removeAll() {
        remove(at: IndexSet(entries.indices))
    }

    private func store() {
        do {
            try files.store(entries)
            trouble = nil
        } catch {
            trouble = error.localizedDescription
        }
    }
}
