import Foundation

/// Who took the photos, and what may be done with them: the same for all photos of an archive.
struct PhotoRights: Equatable, Sendable {
    let author: String
    /// An SPDX identifier, if there is one.
    let licence: String
}

/// What an archive of checked photos holds, for `bball collect app`: photos in folders of their classes, and a table.
struct CorrectionsPlan: Equatable, Sendable {
    struct Photo: Equatable, Sendable {
        /// File in the history's folder.
        let file: String
        /// Place in the archive.
        let path: String
    }

    /// Parents first; every class has one.
    let folders: [String]
    let photos: [Photo]
    /// Content of photos.csv.
    let table: String
}

extension CorrectionsPlan {
    static let columns = [
        "path", "class", "group", "source", "source_url", "author", "licence", "licence_url", "sha256", "dhash",
        "time", "attribution", "restrictions", "use", "answer", "probability", "checked"
    ]

    /// Plan the photos whose class their user has given; of copies the one that was looked at last.
    init(entries: [HistoryEntry], classNames: [String], rights: PhotoRights) {
        var newest: [String: (entry: HistoryEntry, truth: String)] = [:]
        for entry in entries.sorted(by: { $0.checkedDate < $1.checkedDate }) {
            if let truth = entry.truth, FolderName.isSafe(truth) {
                newest[entry.sha256] = (entry, truth)
            }
        }
        var names = classNames
        var planned: [(photo: Photo, row: [String])] = []
        for (entry, truth) in newest.values {
            if !names.contains(truth) {
                names.append(truth)
            }
            let day = entry.day.isEmpty ? "undated" : entry.day
            let path = "train/\(truth)/phone_\(day)_\(entry.sha256.prefix(12)).jpg"
            let probability = String(format: "%.6f", locale: Locale(identifier: "en_US_POSIX"), entry.answerProbability)
            planned.append(
                (
                    Photo(file: entry.photo, path: path),
                    [
                        path, truth, "phone-\(day)", "BasketballMoves app", "", rights.author, rights.licence, "",
                        entry.sha256, "", entry.day, "", "", "train", entry.answerName, probability,
                        UTCTime.text(entry.checkedDate)
                    ]
                ))
        }
        planned.sort { Array($0.photo.path.utf8).lexicographicallyPrecedes(Array($1.photo.path.utf8)) }
        let extra = names.dropFirst(classNames.count).sorted()
        folders = ["train"] + (classNames + extra).map { "train/\($0)" }
        photos = planned.map(\.photo)
        table = CSV.text([CorrectionsPlan.columns] + planned.map(\.row))
    }
}

enum CSV {
    /// Rows as text: fields that need it in double quotes, Unix line ends.
    static func text(_ rows: [[String]]) -> String {
        rows.map { row in row.map(field).joined(separator: ",") + "\n" }.joined()
    }

    private static func field(_ text: String) -> String {
        // By scalars: Swift takes a carriage return and a line feed for one character.
        let special: [Unicode.Scalar] = [",", "\"", "\n", "\r"]
        guard text.unicodeScalars.contains(where: { special.contains($0) }) else {
            return text
        }
        return "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\""
    }
}
