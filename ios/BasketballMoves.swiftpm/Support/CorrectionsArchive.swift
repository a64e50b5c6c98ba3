import Foundation

/// The checked photos as a ZIP file in the temporary folder, ready to be shared.
struct CorrectionsArchive: Identifiable, Sendable {
    let url: URL
    let photos: Int
    let bytes: Int

    var id: URL { url }

    /// Write it from the photos in `folder`. Not on the main thread: it reads every photo.
    static func write(_ entries: [HistoryEntry], classNames: [String], folder: URL) throws -> CorrectionsArchive {
        let plan = CorrectionsPlan(entries: entries, classNames: classNames)
        let name = "BasketballMoves-\(CaptureDay.today()).zip"
        let url = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        let partial = url.appendingPathExtension("partial")
        try Data().write(to: partial)
        defer { try? FileManager.default.removeItem(at: partial) }
        let handle = try FileHandle(forWritingTo: partial)
        do {
            var bytes = 0
            var writer = ZipWriter(modified: now()) { data in
                try handle.write(contentsOf: data)
                bytes += data.count
            }
            for path in plan.folders {
                try writer.addFolder(path)
            }
            try writer.addFile("photos.csv", Data(plan.table.utf8))
            for photo in plan.photos {
                try writer.addFile(photo.path, Data(contentsOf: folder.appendingPathComponent(photo.file)))
            }
            try writer.finish()
            try handle.close()
            try? FileManager.default.removeItem(at: url)
            try FileManager.default.moveItem(at: partial, to: url)
            return CorrectionsArchive(url: url, photos: plan.photos.count, bytes: bytes)
        } catch {
            try? handle.close()
            throw error
        }
    }

    private static func now() -> ZipTime {
        let wanted: Set<Calendar.Component> = [.year, .month, .day, .hour, .minute, .second]
        let parts = Calendar(identifier: .gregorian).dateComponents(wanted, from: Date())
        return ZipTime(
            year: parts.year ?? 1980, month: parts.month ?? 1, day: parts.day ?? 1,
            hour: parts.hour ?? 0, minute: parts.minute ?? 0, second: parts.second ?? 0
        )
    }
}
