import CryptoKit
import Foundation

/// The history's folder in Application Support: photos, thumbnails and their list.
struct HistoryFiles: Sendable {
    struct Saved: Sendable {
        let photo: String
        let thumbnail: String
        let sha256: String
    }

    /// Longest sides, in pixels.
    private static let photoSide = 2048.0
    private static let thumbnailSide = 320.0

    let folder: URL

    private var list: URL { folder.appendingPathComponent("history.json") }

    func url(_ name: String) -> URL {
        folder.appendingPathComponent(name)
    }

    /// Empty if there is no list yet.
    func load() throws -> [HistoryEntry] {
        guard FileManager.default.fileExists(atPath: list.path) else {
            return []
        }
        return try JSONDecoder().decode([HistoryEntry].self, from: Data(contentsOf: list))
    }

    /// Put a list that cannot be read aside, so that the next one does not replace it.
    func setBrokenListAside() {
        let stamp = Int(Date().timeIntervalSince1970)
        try? FileManager.default.moveItem(at: list, to: folder.appendingPathComponent("history-broken-\(stamp).json"))
    }

    func store(_ entries: [HistoryEntry]) throws {
        try makeFolder()
        try JSONEncoder().encode(entries).write(to: list, options: .atomic)
    }

    func save(_ picture: Picture, id: UUID) throws -> Saved {
        try makeFolder()
        let photo = try picture.jpeg(side: HistoryFiles.photoSide)
        let thumbnail = try picture.jpeg(side: HistoryFiles.thumbnailSide)
        let names = ("\(id.uuidString).jpg", "\(id.uuidString)-small.jpg")
        try photo.write(to: url(names.0), options: .atomic)
        try thumbnail.write(to: url(names.1), options: .atomic)
        return Saved(photo: names.0, thumbnail: names.1, sha256: SHA256.hash(data: photo).hexadecimal)
    }

    func remove(_ entry: HistoryEntry) {
        for name in [entry.photo, entry.thumbnail] {
            try? FileManager.default.removeItem(at: url(name))
        }
    }

    private func makeFolder() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }
}
