import Foundation

/// The checked photos as a ZIP file in the temporary folder, ready to be shared.
struct CorrectionsArchive: Identifiable, Sendable {
    let url: URL
    let photos: Int
    let bytes: Int
    /// Checked photos whose files are gone or damaged: they are not in the archive.
    let unreadable: [HistoryEntry]

    var id: URL { url }

    /// Write it from the photos in `folder`. Not on the main thread: it reads every photo.
    static func write(
        _ entries: [HistoryEntry], classNames: [String], rights: PhotoRights, folder: URL
    ) throws -> CorrectionsArchive {
        let checked = entries.filter { $0.truth != nil }
        let unreadable = checked.filter { !isWhole(folder.appendingPathComponent($0.photo)) }
        let left = entries.filter { entry in !unreadable.contains { $0.id == entry.id } }
        let plan = CorrectionsPlan(entries: left, classNames: classNames, rights: rights)
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
            return CorrectionsArchive(url: url, photos: plan.photos.count, bytes: bytes, unreadable: unreadable)
        } catch {
            try? handle.close()
            throw error
        }
    }

    /// Whether a file begins and ends as a JPEG: what a full disk cut off does not.
    private static func isWhole(_ photo: URL) -> Bool {
        guard let data = try? Data(contentsOf: photo, options: .mappedIfSafe) else {
            return false
        }
        return data.starts(with: [0xFF, 0xD8, 0xFF]) && Array(data.suffix(2)) == [0xFF, 0xD9]
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
