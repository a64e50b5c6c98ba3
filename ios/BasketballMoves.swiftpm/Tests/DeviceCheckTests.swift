#if canImport(UIKit)
    import Foundation
    import XCTest

    @testable import AppModule

    /// ⌘U on a device: what About → Check this phone does. Skipped where the app was built without an export.
    final class DeviceCheckTests: XCTestCase {
        func testThisDeviceAnswersAsTheTrainedModelDoes() async throws {
            guard let folder = try? ModelFolder.find(), folder.readKit() != nil else {
                throw XCTSkip("bball export --ios has not put a model and its parity kit into the app")
            }
            let record = try await DeviceCheck.run(folder) { _ in }
            XCTAssertEqual(record.runs.map(\.compute), ComputeChoice.allCases.map(\.measured))
            for run in record.runs {
                XCTAssertTrue(run.passed, "\(run.compute): largest difference \(run.largestDifference)")
                XCTAssertNotNil(run.vision)
                XCTAssertGreaterThan(run.p95Ms, 0)
            }
            let file = XCTAttachment(data: try record.json(), uniformTypeIdentifier: "public.json")
            file.name = DeviceRecord.fileName
            file.lifetime = .keepAlways
            add(file)
        }
    }
#endif
