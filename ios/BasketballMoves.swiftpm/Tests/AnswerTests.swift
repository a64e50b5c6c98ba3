import Foundation
import XCTest

@testable import AppModule

final class AnswerTests: XCTestCase {
    func testAnswers() throws {
        for item in try Vectors.load().judge {
            let answer = Judge.answer(to: item.probabilities, threshold: item.threshold)
            XCTAssertEqual(answer?.index, item.index)
            XCTAssertEqual(answer?.isSure, item.sure)
        }
        XCTAssertNil(Judge.answer(to: [0.5, .nan], threshold: nil))
    }

    func testRanking() throws {
        for item in try Vectors.load().ranking {
            XCTAssertEqual(Judge.ranking(item.probabilities), item.order)
        }
    }

    func testOrderOfTheContract() throws {
        for item in try Vectors.load().inOrder {
            XCTAssertEqual(Judge.inOrder(item.shares, labels: item.labels), item.ordered)
        }
    }

    func testSmoothing() throws {
        for item in try Vectors.load().smoothing {
            var smoothing = Smoothing(frames: item.frames, forgetAfterSeconds: item.forgetAfterSeconds)
            for step in item.steps {
                let mean = smoothing.add(step.probabilities, at: step.time)
                XCTAssertEqual(mean.count, step.mean.count)
                for (found, expected) in zip(mean, step.mean) {
                    XCTAssertEqual(found, expected, accuracy: 1e-9)
                }
            }
        }
    }

    func testMeter() throws {
        for item in try Vectors.load().meter {
            var meter = FrameMeter()
            for step in item.steps {
                meter.add(time: step.time, duration: step.duration)
            }
            check(meter.framesPerSecond, item.framesPerSecond)
            check(meter.milliseconds, item.milliseconds)
        }
    }

    private func check(_ found: Double?, _ expected: Double?) {
        XCTAssertEqual(found == nil, expected == nil)
        XCTAssertEqual(found ?? 0, expected ?? 0, accuracy: 1e-6)
    }
}
