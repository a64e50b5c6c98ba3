import CoreML
import Foundation
import Vision

enum DeviceCheckProblem: Error {
    case noKit
    /// The text names the photo.
    case unreadable(String)
}

/// Shows this device the photos of the parity kit, for each choice of compute units, and measures.
///
/// As in the kit's check.swift: photos of the network's size go to Core ML alone and decide on PASS; the originals go
/// through Vision, which turns, converts and resizes them as it does camera frames. Nothing comes into the history.
enum DeviceCheck {
    /// Answers that are timed.
    private static let answers = 60

    /// Check the model of a folder; `tell` gets the choice that is under way. Not on the main thread.
    static func run(_ folder: ModelFolder, tell: @escaping @Sendable (ComputeChoice) -> Void) async throws
        -> DeviceRecord
    {
        let contract = try folder.readContract()
        guard let found = folder.readKit(), let crop = contract.crop else {
            throw DeviceCheckProblem.noKit
        }
        let package = folder.package(contract)
        let compiled = try await MLModel.compileModel(at: package)
        defer { try? FileManager.default.removeItem(at: compiled) }
        let tolerance = found.kit.tolerance(of: contract.model.file)
        var runs: [DeviceRecord.Run] = []
        for choice in ComputeChoice.allCases {
            tell(choice)
            let one = OneCheck(folder: found.folder, kit: found.kit, crop: crop, tolerance: tolerance)
            runs.append(try one.run(compiled, choice))
            try Task.checkCancellation()
        }
        let system = ProcessInfo.processInfo.operatingSystemVersion
        return DeviceRecord(
            schema: DeviceRecord.knownSchema,
            tool: "BasketballMoves app",
            device: hardware(),
            system: "iOS \(system.majorVersion).\(system.minorVersion).\(system.patchVersion)",
            date: CaptureDay.today(),
            model: DeviceRecord.Model(file: contract.model.file, sha256: try ModelFolder.fingerprint(of: package)),
            photos: found.kit.photos.count,
            tolerance: tolerance,
            runs: runs
        )
    }

    /// Such as iPhone17,1.
    private static func hardware() -> String {
        var system = utsname()
        uname(&system)
        let bytes = withUnsafeBytes(of: &system.machine) { Array($0.prefix { $0 != 0 }) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// One choice of compute units.
    private struct OneCheck {
        let folder: URL
        let kit: ParityKit
        let crop: CropAndScale
        let tolerance: Double

        func run(_ compiled: URL, _ choice: ComputeChoice) throws -> DeviceRecord.Run {
            let configuration = MLModelConfiguration()
            configuration.computeUnits = choice.units
            let (_, cold) = try timed { try MLModel(contentsOf: compiled, configuration: configuration) }
            let (model, warm) = try timed { try MLModel(contentsOf: compiled, configuration: configuration) }
            let figures = try ofCoreML(model)
            let (vision, times) = try throughVision(model)
            return DeviceRecord.Run(
                compute: choice.measured,
                passed: figures.passed,
                largestDifference: figures.largestDifference,
                sameAnswers: figures.sameAnswers,
                vision: DeviceRecord.Vision(
                    largestDifference: vision.largestDifference, sameAnswers: vision.sameAnswers
                ),
                coldMs: cold,
                warmMs: warm,
                p50Ms: Percentile.of(times, percent: 50),
                p95Ms: Percentile.of(times, percent: 95),
                thermal: Heat.now.rawValue
            )
        }

        private func ofCoreML(_ model: MLModel) throws -> ParityFigures {
            guard let constraint = model.modelDescription.inputDescriptionsByName[kit.image]?.imageConstraint else {
                throw ModelProblem.interface("input \(kit.image)")
            }
            var figures = ParityFigures()
            for item in kit.photos {
                let picture = try picture(item.photo)
                let value = try MLFeatureValue(cgImage: picture.image, constraint: constraint, options: nil)
                let answer = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: [kit.image: value]))
                let found = answer.featureValue(for: kit.probabilities)?.dictionaryValue as? [String: Double] ?? [:]
                figures.add(ParityKit.compare(found, with: item.probabilities, tolerance: tolerance))
            }
            return figures
        }

        private func throughVision(_ model: MLModel) throws -> (ParityFigures, [Double]) {
            let request = VNCoreMLRequest(model: try VNCoreMLModel(for: model))
            request.imageCropAndScaleOption = crop.option
            let originals = try kit.photos.map { try picture($0.original) }
            var figures = ParityFigures()
            var times: [Double] = []
            for number in 0..<(originals.isEmpty ? 0 : max(DeviceCheck.answers, originals.count)) {
                let place = number % originals.count
                let original = originals[place]
                let handler = VNImageRequestHandler(
                    cgImage: original.image, orientation: original.orientation, options: [:]
                )
                times.append(try timed { try handler.perform([request]) }.1)
                if number < originals.count {
                    let shares = (request.results ?? []).compactMap { $0 as? VNClassificationObservation }
                    let pairs = shares.map { ($0.identifier, Double($0.confidence)) }
                    let found = Dictionary(pairs, uniquingKeysWith: { first, _ in first })
                    figures.add(
                        ParityKit.compare(
                            found, with: kit.photos[place].probabilities, tolerance: tolerance
                        ))
                }
            }
            return (figures, times)
        }

        private func picture(_ name: String) throws -> Picture {
            guard let data = try? Data(contentsOf: folder.appendingPathComponent(name)),
                let picture = try? Picture.decode(data)
            else {
                throw DeviceCheckProblem.unreadable(name)
            }
            return picture
        }

        /// What `work` returns, and how many milliseconds it took.
        private func timed<Value>(_ work: () throws -> Value) rethrows -> (Value, Double) {
            let start = ProcessInfo.processInfo.systemUptime
            let value = try work()
            return (value, 1000 * (ProcessInfo.processInfo.systemUptime - start))
        }
    }
}
