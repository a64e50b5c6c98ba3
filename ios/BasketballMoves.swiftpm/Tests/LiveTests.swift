import Foundation
import XCTest

@testable import AppModule

final class LiveTests: XCTestCase {
    private static let plain: [String: CameraMachine.Event] = [
        "appear": .appear, "disappear": .disappear, "allowed": .allowed, "denied": .denied,
        "modelLoading": .modelLoading, "modelReady": .modelReady, "modelFailed": .modelFailed, "started": .started,
        "noCamera": .noCamera, "startFailed": .startFailed, "timedOut": .timedOut, "interrupted": .interrupted,
        "interruptionEnded": .interruptionEnded, "runtimeError": .runtimeError, "steady": .steady, "retry": .retry
    ]

    private func event(_ text: String) throws -> CameraMachine.Event {
        let parts = text.components(separatedBy: ":")
        switch parts[0] {
        case "heat": return .heat(try XCTUnwrap(Heat(rawValue: parts[1])))
        case "rotated": return .rotated(try XCTUnwrap(Int(parts[1])))
        default: return try XCTUnwrap(LiveTests.plain[text], text)
        }
    }

    private func text(_ effect: CameraMachine.Effect) -> String {
        switch effect {
        case .turn(let angle): return "turn:\(angle)"
        case .rate(let frames): return "rate:\(frames)"
        default: return "\(effect)"
        }
    }

    func testTheCamerasPaths() throws {
        for item in try Vectors.load().camera {
            var machine = CameraMachine()
            for (number, step) in item.steps.enumerated() {
                let effects = machine.handle(try event(step.event)).map(text)
                XCTAssertEqual(effects, step.effects, "\(item.name), step \(number): \(step.event)")
                XCTAssertEqual(machine.screen.rawValue, step.screen, "\(item.name), step \(number): \(step.event)")
            }
        }
    }

    func testEveryScreenHasItsWaysOut() throws {
        let wanted = try Vectors.load().cameraExits
        XCTAssertEqual(Set(wanted.map(\.screen)), Set(CameraMachine.Screen.allCases.map(\.rawValue)))
        for item in wanted {
            let screen = try XCTUnwrap(CameraMachine.Screen(rawValue: item.screen))
            XCTAssertEqual(screen.exits.map(\.rawValue), item.exits)
        }
    }

    func testAllReachableStates() throws {
        var events = Array(LiveTests.plain.values) + Heat.allCases.map { CameraMachine.Event.heat($0) }
        events += [.rotated(0), .rotated(90)]
        var known: Set<CameraMachine> = [CameraMachine()]
        var waiting = [CameraMachine()]
        while let state = waiting.popLast() {
            for event in events {
                var following = state
                _ = following.handle(event)
                if known.insert(following).inserted {
                    waiting.append(following)
                }
            }
        }
        // As many as the twin in Python has.
        XCTAssertEqual(known.count, try Vectors.load().cameraStates.count)
        let good: [CameraMachine.Event] = [
            .appear, .allowed, .heat(.nominal), .retry, .modelReady, .started, .interruptionEnded
        ]
        for state in known {
            var later = state
            for event in good {
                _ = later.handle(event)
            }
            XCTAssertEqual(later.screen, .live, "\(state)")
        }
    }

    private func region(_ numbers: [Double]) -> Region {
        Region(x: numbers[0], y: numbers[1], width: numbers[2], height: numbers[3])
    }

    private func check(_ found: [Double], _ wanted: [Double]) {
        XCTAssertEqual(found.count, wanted.count)
        for (one, other) in zip(found, wanted) {
            XCTAssertEqual(one, other, accuracy: 1e-9)
        }
    }

    func testRegions() throws {
        let vectors = try Vectors.load()
        for item in vectors.regions {
            let start = region(item.region)
            let found = item.move.map { start.moved(x: $0[0], y: $0[1]) } ?? start.scaled(item.scale ?? 1)
            check([found.x, found.y, found.width, found.height], item.result)
        }
        for item in vectors.regionPixels {
            XCTAssertEqual(region(item.region).pixels(width: item.width, height: item.height), item.pixels)
        }
        for item in vectors.frames {
            check(
                Region.frame(
                    pictureWidth: item.picture[0], pictureHeight: item.picture[1], viewWidth: item.view[0],
                    viewHeight: item.view[1]
                ),
                item.frame
            )
        }
        for item in vectors.zoom {
            let found = Zoom.factor(start: item.start, pinch: item.pinch, least: item.least, camera: item.camera)
            XCTAssertEqual(found, item.factor, accuracy: 1e-9)
        }
        XCTAssertTrue(Region.whole.isWhole)
        XCTAssertFalse(Region.whole.scaled(0.5).isWhole)
    }
}
