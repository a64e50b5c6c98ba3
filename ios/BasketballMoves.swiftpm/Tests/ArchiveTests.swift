import Foundation
import XCTest

@testable import AppModule

final class ArchiveTests: XCTestCase {
    func testChecksums() throws {
        for item in try Vectors.load().crc32 {
            XCTAssertEqual(CRC32.checksum(Data(item.text.utf8)), item.crc)
        }
    }

    func testZipFiles() throws {
        for item in try Vectors.load().zip {
            let at = item.modified
            let modified = ZipTime(year: at[0], month: at[1], day: at[2], hour: at[3], minute: at[4], second: at[5])
            var bytes = Data()
            var writer = ZipWriter(modified: modified) { bytes.append($0) }
            for folder in item.folders {
                try writer.addFolder(folder)
            }
            for file in item.files {
                try writer.addFile(file.path, Data(file.text.utf8))
            }
            try writer.finish()
            XCTAssertEqual(bytes.map { String(format: "%02x", $0) }.joined(), item.hex)
        }
    }

    func testTooManyFilesAreRefused() throws {
        var writer = ZipWriter(modified: ZipTime(year: 2026, month: 1, day: 1, hour: 0, minute: 0, second: 0)) { _ in }
        for number in 0..<65_535 {
            try writer.addFile("\(number)", Data())
        }
        XCTAssertThrowsError(try writer.addFile("one too many", Data()))
    }

    func testTables() throws {
        for item in try Vectors.load().csv {
            XCTAssertEqual(CSV.text(item.rows), item.text)
        }
    }

    func testCorrections() throws {
        for item in try Vectors.load().corrections {
            let entries = item.entries.map { entry in
                HistoryEntry(
                    id: UUID(),
                    date: Date(timeIntervalSince1970: entry.seconds),
                    day: entry.day,
                    source: .camera,
                    photo: entry.photo,
                    thumbnail: "",
                    sha256: entry.sha256,
                    classNames: item.classNames,
                    probabilities: entry.probabilities,
                    answer: entry.answer,
                    isSure: true,
                    truth: entry.truth,
                    checked: entry.checked.map { Date(timeIntervalSince1970: $0) }
                )
            }
            let rights = PhotoRights(author: item.author, licence: item.licence)
            let plan = CorrectionsPlan(entries: entries, classNames: item.classNames, rights: rights)
            XCTAssertEqual(plan.folders, item.folders)
            XCTAssertEqual(plan.photos, item.photos.map { CorrectionsPlan.Photo(file: $0.file, path: $0.path) })
            XCTAssertEqual(plan.table, item.table)
        }
    }

    private static let jpeg = Data([0xFF, 0xD8, 0xFF, 0xE0, 0x00, 0xFF, 0xD9])

    private func entry(_ photo: String, truth: String?) -> HistoryEntry {
        HistoryEntry(
            id: UUID(), date: Date(), day: "2026-11-23", source: .camera, photo: photo, thumbnail: "",
            sha256: String(repeating: String(photo.prefix(1)), count: 64), classNames: ["shoot", "layup"],
            probabilities: [0.25, 0.75], answer: 1, isSure: true, truth: truth
        )
    }

    private func write(_ entries: [HistoryEntry], _ folder: URL) throws -> CorrectionsArchive {
        try CorrectionsArchive.write(
            entries, classNames: ["shoot", "layup"], rights: PhotoRights(author: "Bo", licence: "CC0-1.0"),
            folder: folder
        )
    }

    func testAnArchiveIsWrittenWholeOrNotAtAll() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try ArchiveTests.jpeg.write(to: folder.appendingPathComponent("a.jpg"))
        let archive = try write([entry("a.jpg", truth: "shoot")], folder)
        defer { try? FileManager.default.removeItem(at: archive.url) }
        let bytes = try Data(contentsOf: archive.url)
        XCTAssertEqual(archive.photos, 1)
        XCTAssertEqual(archive.bytes, bytes.count)
        XCTAssertTrue(archive.unreadable.isEmpty)
        XCTAssertNotNil(bytes.range(of: Data("train/shoot/phone_2026-11-23_aaaaaaaaaaaa.jpg".utf8)))
        XCTAssertNotNil(bytes.range(of: ArchiveTests.jpeg))
        let partial = archive.url.appendingPathExtension("partial")
        XCTAssertFalse(FileManager.default.fileExists(atPath: partial.path))
    }

    func testUnreadablePhotosAreNamedAndTheOthersExported() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try ArchiveTests.jpeg.write(to: folder.appendingPathComponent("a.jpg"))
        try ArchiveTests.jpeg.dropLast(1).write(to: folder.appendingPathComponent("b.jpg"))
        try Data().write(to: folder.appendingPathComponent("c.jpg"))
        let names = ["a.jpg", "b.jpg", "c.jpg", "gone.jpg"]
        let entries = names.map { entry($0, truth: "none") } + [entry("never looked at.jpg", truth: nil)]
        let archive = try write(entries, folder)
        defer { try? FileManager.default.removeItem(at: archive.url) }
        XCTAssertEqual(archive.photos, 1)
        XCTAssertEqual(archive.unreadable.map(\.photo), ["b.jpg", "c.jpg", "gone.jpg"])
        let bytes = try Data(contentsOf: archive.url)
        XCTAssertNotNil(bytes.range(of: Data("train/none/phone_2026-11-23_aaaaaaaaaaaa.jpg".utf8)))
        XCTAssertNil(bytes.range(of: Data("bbbbbbbbbbbb".utf8)))
    }

    func testAnEntrySurvivesTheHistorysFile() throws {
        var entry = HistoryEntry(
            id: UUID(), date: Date(timeIntervalSince1970: 1_795_000_000), day: "2026-11-23", source: .library,
            photo: "a.jpg", thumbnail: "b.jpg", sha256: "00", classNames: ["shoot", "layup"],
            probabilities: [0.25, 0.75], answer: 1, isSure: false, truth: nil
        )
        XCTAssertNil(entry.isRight)
        entry.truth = "shoot"
        XCTAssertEqual(entry.isRight, false)
        entry.truth = FolderName.noMove
        XCTAssertEqual(entry.isRight, true, "unsure, and none of them")
        entry.truth = "shoot"
        XCTAssertEqual(entry.answerName, "layup")
        let again = try JSONDecoder().decode(HistoryEntry.self, from: JSONEncoder().encode(entry))
        XCTAssertEqual(again, entry)
    }

    func testDaysOfPhotos() throws {
        for item in try Vectors.load().captureDay {
            XCTAssertEqual(CaptureDay.from(exif: item.exif), item.day, item.exif)
        }
    }
}
