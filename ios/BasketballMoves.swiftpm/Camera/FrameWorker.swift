import AVFoundation
import CoreImage
import Foundation

/// What came of one frame.
struct FrameResult: Sendable {
    /// In the order of the contract; nil if the model did not answer.
    let probabilities: [Double]?
    /// When the answer was there, and how long it took, in seconds.
    let time: Double
    let duration: Double
    /// What the model was shown, upright, if its user wants to keep it.
    let picture: Picture?
    /// Upright width and height of the whole frame, in pixels.
    let size: CGSize
}

/// Classifies camera frames on the queue that they come on, one at a time; those that come meanwhile are dropped.
final class FrameWorker: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate, @unchecked Sendable {
    typealias Receiver = @Sendable (FrameResult) -> Void

    // Unchecked: whatever changes is only touched under the lock; the context is only used on the frames' queue.
    private let lock = NSLock()
    private let gate = FrameGate()
    private let context = CIContext()
    private var classifier: Classifier?
    private var receiver: Receiver?
    private var angle = 90.0
    private var region = Region.whole
    private var keepsNext = false

    /// Answer frames with `classifier`; `receiver` is called on any queue and calls `shown` when it is done.
    func start(_ classifier: Classifier, receiver: @escaping Receiver) {
        locked {
            self.classifier = classifier
            self.receiver = receiver
        }
    }

    func stop() {
        locked {
            classifier = nil
            receiver = nil
            keepsNext = false
        }
    }

    /// Degrees clockwise by which frames have to be turned from now on.
    func turn(by angle: Double) {
        locked { self.angle = angle }
    }

    /// Classify this part of the upright frame from now on.
    func look(at region: Region) {
        locked { self.region = region }
    }

    /// Hand the next frame that is answered over with its answer.
    func keepNext() {
        locked { keepsNext = true }
    }

    /// The last answer is on the screen: the next frame may come.
    func shown() {
        gate.leave()
    }

    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection
    ) {
        let now = locked { (classifier: classifier, receiver: receiver, angle: angle, region: region) }
        guard let model = now.classifier, let receiver = now.receiver,
            let pixels = CMSampleBufferGetImageBuffer(sampleBuffer), gate.enter()
        else {
            return
        }
        let orientation = CGImagePropertyOrientation(rawValue: Rotation.exif(angle: now.angle)) ?? .up
        let start = ProcessInfo.processInfo.systemUptime
        let upright = CIImage(cvPixelBuffer: pixels).oriented(orientation)
        let part = upright.part(now.region)
        // A whole frame goes to Vision as it is; for a part Core Image turns and cuts it.
        let probabilities =
            now.region.isWhole
            ? try? model.probabilities(of: pixels, orientation: orientation)
            : try? model.probabilities(of: part)
        let end = ProcessInfo.processInfo.systemUptime
        let picture = takesPicture() ? picture(of: part) : nil
        receiver(
            FrameResult(
                probabilities: probabilities, time: end, duration: end - start, picture: picture,
                size: upright.extent.size
            ))
    }

    private func takesPicture() -> Bool {
        locked {
            let wanted = keepsNext
            keepsNext = false
            return wanted
        }
    }

    private func picture(of part: CIImage) -> Picture? {
        guard let image = context.createCGImage(part, from: part.extent) else {
            return nil
        }
        return Picture(image: image, orientation: .up, day: CaptureDay.today())
    }

    private func locked<Value>(_ body: () -> Value) -> Value {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }
}

extension CIImage {
    /// A region of an upright picture, with its lower left corner at the origin.
    func part(_ region: Region) -> CIImage {
        let box = region.pixels(width: Int(extent.width), height: Int(extent.height)).map { CGFloat($0) }
        let place = CGRect(x: extent.minX + box[0], y: extent.minY + box[1], width: box[2], height: box[3])
        return cropped(to: place).transformed(by: CGAffineTransform(translationX: -place.minX, y: -place.minY))
    }
}
