import Foundation

/// One photo that was classified and kept.
struct HistoryEntry: Codable, Equatable, Identifiable, Sendable {
    enum Source: String, Codable, Sendable {
        case camera
        case library
        case file
    }

    let id: UUID
    /// When it was classified.
    let date: Date
    /// Day on which the photo was taken, as in 2026-11-23: photos of one day are one group of a dataset. Empty if its
    /// file does not say: the day on which it was classified would put it among photos of another game.
    let day: String
    let source: Source
    /// Names of files in the history's folder.
    let photo: String
    let thumbnail: String
    /// SHA-256 of the photo's file, 64 hex digits.
    let sha256: String
    /// Names of the classes at that time, and their probabilities.
    let classNames: [String]
    let probabilities: [Double]
    let answer: Int
    let isSure: Bool
    /// Name of the class that the photo really shows, as its user says; nil if nobody looked.
    var truth: String?
    /// When its user last said what it shows; nil if nobody looked.
    var checked: Date?

    var checkedDate: Date {
        checked ?? date
    }

    var answerName: String {
        classNames.indices.contains(answer) ? classNames[answer] : ""
    }

    var answerProbability: Double {
        probabilities.indices.contains(answer) ? probabilities[answer] : 0
    }

    /// Nil if nobody looked. "Unsure" is the right answer to a photo that shows none of the moves.
    var isRight: Bool? {
        truth.map { $0 == answerName || ($0 == FolderName.noMove && !isSure) }
    }
}

enum CaptureDay {
    /// The day of an EXIF time such as `2026:11:23 19:02:11`, as `2026-11-23`; nil if it is none.
    static func from(exif: String) -> String? {
        let date = exif.prefix(10).split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let isDigits = date.allSatisfy { part in part.allSatisfy { "0123456789".contains($0) } }
        guard date.count == 3, isDigits, date.map(\.count) == [4, 2, 2], date[0] != "0000" else {
            return nil
        }
        return date.joined(separator: "-")
    }

    /// Today where the device is, as `2026-11-23`.
    static func today() -> String {
        let parts = Calendar(identifier: .gregorian).dateComponents([.year, .month, .day], from: Date())
        return String(format: "%04d-%02d-%02d", parts.year ?? 0, parts.month ?? 0, parts.day ?? 0)
    }
}

enum UTCTime {
    /// A point in time as in 2026-11-23T19:02:11Z.
    static func text(_ date: Date) -> String {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(secondsFromGMT: 0) ?? calendar.timeZone
        let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second], from: date)
        return String(
            format: "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.year ?? 0, parts.month ?? 0, parts.day ?? 0,
            parts.hour ?? 0, parts.minute ?? 0, parts.second ?? 0
        )
    }
}
