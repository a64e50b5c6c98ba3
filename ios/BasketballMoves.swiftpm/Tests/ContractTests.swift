import Foundation
import XCTest

@testable import AppModule

final class ContractTests: XCTestCase {
    /// The sample contract of the vectors, and changes to it with the problem that each has to cause.
    private func vectors() throws -> (contract: [String: Any], changes: [[String: Any]]) {
        let root = try XCTUnwrap(try JSONSerialization.jsonObject(with: Vectors.data()) as? [String: Any])
        let contract = try XCTUnwrap(root["contract"] as? [String: Any])
        return (contract, try XCTUnwrap(root["contractChanges"] as? [[String: Any]]))
    }

    func testTheSampleIsReadInFull() throws {
        let sample = try vectors().contract
        let contract = try ModelContract.read(JSONSerialization.data(withJSONObject: sample))
        XCTAssertEqual(contract.classes.map(\.name), ["shoot", "dribble", "layup"])
        XCTAssertEqual(contract.classes[0].displayName(language: "zh-Hant"), "投籃")
        XCTAssertEqual(contract.classes[0].displayName(language: "en"), "shoot")
        XCTAssertEqual(contract.classes[0].displayName(language: "fr"), "shoot")
        XCTAssertEqual(contract.crop, .scaleFill)
        XCTAssertEqual(contract.threshold, 0.6)
        XCTAssertEqual(contract.modelClass(named: "layup")?.label, "layup")
        XCTAssertNil(contract.modelClass(named: "dunk"))
    }

    func testEveryKeyOfTheSampleSurvivesARoundTrip() throws {
        let sample = try vectors().contract
        let contract = try ModelContract.read(JSONSerialization.data(withJSONObject: sample))
        let again = try JSONSerialization.jsonObject(with: JSONEncoder().encode(contract))
        XCTAssertEqual(again as? NSDictionary, sample as NSDictionary)
    }

    func testEachChangeCausesItsProblem() throws {
        let (sample, changes) = try vectors()
        for change in changes {
            var changed = sample
            for (key, value) in try XCTUnwrap(change["set"] as? [String: Any]) {
                changed[key] = value
            }
            for key in try XCTUnwrap(change["remove"] as? [String]) {
                changed[key] = nil
            }
            let data = try JSONSerialization.data(withJSONObject: changed)
            let expected = change["problem"] as? String
            do {
                _ = try ModelContract.read(data)
                XCTAssertNil(expected, "\(change) was read")
            } catch let problem as ContractProblem {
                XCTAssertEqual(String(describing: problem).components(separatedBy: "(")[0], expected, "\(change)")
            }
        }
    }

    func testOtherBytesAreUnreadable() {
        for text in ["", "[]", "{", "moves"] {
            XCTAssertThrowsError(try ModelContract.read(Data(text.utf8))) { error in
                guard case .unreadable = error as? ContractProblem else {
                    return XCTFail("\(text): \(error)")
                }
            }
        }
    }

    func testNamesOfFolders() throws {
        for item in try Vectors.load().folderNames {
            XCTAssertEqual(FolderName.isSafe(item.name), item.safe, item.name)
        }
    }

    func testTheFingerprintsText() throws {
        for item in try Vectors.load().fingerprint {
            XCTAssertEqual(Fingerprint.text(item.digests), item.text)
        }
    }
}
