import Foundation
import XCTest

@testable import AppModule

final class CameraTests: XCTestCase {
    func testAngles() throws {
        for item in try Vectors.load().angles {
            XCTAssertEqual(Rotation.angle(orientation: item.orientation), item.angle, "\(item.orientation)")
        }
    }

    func testOrientations() throws {
        for item in try Vectors.load().exif {
            XCTAssertEqual(Rotation.exif(angle: item.angle), item.exif, "\(item.angle)")
        }
    }

    func testTheGateTurnsTheSecondAway() {
        let gate = FrameGate()
        XCTAssertTrue(gate.enter())
        XCTAssertFalse(gate.enter())
        XCTAssertFalse(gate.enter())
        gate.leave()
        XCTAssertTrue(gate.enter())
    }

    func testTheGateLetsOneOfManyThrough() {
        let gate = FrameGate()
        let lock = NSLock()
        var inside = 0
        DispatchQueue.concurrentPerform(iterations: 200) { _ in
            if gate.enter() {
                lock.lock()
                inside += 1
                lock.unlock()
            }
        }
        XCTAssertEqual(inside, 1)
    }
}
