import Foundation
import XCTest

@testable import AppModule

final class ProofTests: XCTestCase {
    func testTimelines() throws {
        for item in try Vectors.load().timeline {
            let smoothed = Timeline.smooth(
                seconds: item.seconds, probabilities: item.probabilities, halfWidth: item.halfWidth
            )
            XCTAssertEqual(smoothed.count, item.smoothed.count)
            for (found, wanted) in zip(smoothed, item.smoothed) {
                for (one, other) in zip(found, wanted) {
                    XCTAssertEqual(one, other, accuracy: 1e-9)
                }
            }
            let segments = Timeline.segments(
                seconds: item.seconds, smoothed: smoothed, threshold: item.threshold, end: item.end
            )
            XCTAssertEqual(segments.count, item.segments.count)
            for (found, wanted) in zip(segments, item.segments) {
                XCTAssertEqual(found.start, wanted.start)
                XCTAssertEqual(found.end, wanted.end)
                XCTAssertEqual(found.answer, wanted.answer)
                XCTAssertEqual(found.frames, wanted.frames)
                XCTAssertEqual(found.probability, wanted.probability, accuracy: 1e-9)
            }
        }
        for item in try Vectors.load().clock {
            XCTAssertEqual(Timeline.clock(item.seconds), item.text)
        }
    }

    func testComparisons() throws {
        for item in try Vectors.load().parity {
            let found = ParityKit.compare(item.found, with: item.wanted, tolerance: item.tolerance)
            XCTAssertEqual(found.difference, item.difference, accuracy: 1e-12)
            XCTAssertEqual(found.isSame, item.same)
            XCTAssertEqual(found.passes, item.passes)
        }
        for item in try Vectors.load().percentiles {
            XCTAssertEqual(Percentile.of(item.values, percent: item.percent), item.value)
        }
        var figures = ParityFigures()
        XCTAssertFalse(figures.passed, "nothing was shown")
        figures.add(ParityKit.Comparison(difference: 0.01, isSame: true, passes: true))
        XCTAssertTrue(figures.passed)
        figures.add(ParityKit.Comparison(difference: 1.5, isSame: false, passes: false))
        XCTAssertFalse(figures.passed)
        XCTAssertEqual(figures.sameAnswers, 0.5)
        XCTAssertEqual(figures.largestDifference, 1, "device.json takes 0 to 1")
    }

    func testDeviceFilesHaveTheKeysOfTheExport() throws {
        let root = try XCTUnwrap(try JSONSerialization.jsonObject(with: Vectors.data()) as? [String: Any])
        let wanted = try XCTUnwrap((root["deviceRecord"] as? [String: Any])?["record"] as? NSDictionary)
        let record = try Vectors.load().deviceRecord.record
        XCTAssertFalse(record.passed, "one of two choices fails")
        let written = try XCTUnwrap(try JSONSerialization.jsonObject(with: record.json()) as? [String: Any])
        var runs = try XCTUnwrap(written["runs"] as? [[String: Any]])
        // The key of a choice without Vision may be null or missing: the export reads both alike.
        runs[1]["vision"] = NSNull()
        var whole = written
        whole["runs"] = runs
        XCTAssertEqual(whole as NSDictionary, wanted)
    }

    /// A real export: `BBALL_EXPORT=exports/moves swift test` in the folder ios.
    func testAnExportIsRead() throws {
        guard let path = ProcessInfo.processInfo.environment["BBALL_EXPORT"] else {
            throw XCTSkip("BBALL_EXPORT names no export")
        }
        let folder = URL(fileURLWithPath: path)
        let contract = try ModelContract.read(Data(contentsOf: folder.appendingPathComponent("ModelContract.json")))
        let expected = folder.appendingPathComponent("parity_kit/expected.json")
        let kit = try JSONDecoder().decode(ParityKit.self, from: Data(contentsOf: expected))
        XCTAssertFalse(kit.photos.isEmpty)
        XCTAssertGreaterThan(kit.tolerance(of: contract.model.file), 0)
        var figures = ParityFigures()
        for photo in kit.photos {
            XCTAssertEqual(Set(photo.probabilities.keys), Set(contract.classes.map(\.label)))
            let ordered = try XCTUnwrap(Judge.inOrder(photo.probabilities, labels: contract.classes.map(\.label)))
            XCTAssertEqual(ordered.reduce(0, +), 1, accuracy: 0.01)
            figures.add(ParityKit.compare(photo.probabilities, with: photo.probabilities, tolerance: kit.tolerance))
        }
        XCTAssertTrue(figures.passed)
        XCTAssertEqual(figures.largestDifference, 0)
    }

    func testAContractForAFileThatCameAlone() throws {
        for item in try Vectors.load().contractOfFile {
            let facts = item.facts
            let found = ModelFacts(
                file: facts.file, sha256: facts.sha256, image: facts.image, size: facts.size, label: facts.label,
                probabilities: facts.probabilities, labels: facts.labels, author: facts.author, licence: facts.licence,
                description: facts.description, metadata: facts.metadata
            )
            do {
                let contract = try ModelContract.made(of: found)
                XCTAssertNil(item.problem)
                XCTAssertEqual(contract.classes.map(\.label), facts.labels)
                XCTAssertEqual(contract.classes.map(\.name), item.names)
                XCTAssertEqual(contract.threshold, item.threshold)
                XCTAssertEqual(contract.crop?.rawValue, item.crop)
                XCTAssertNil(contract.verification)
                XCTAssertEqual(contract.model, ModelFile(file: facts.file, sha256: facts.sha256))
            } catch let problem as ContractProblem {
                XCTAssertEqual(String(describing: problem).components(separatedBy: "(")[0], item.problem)
            }
        }
    }
}
