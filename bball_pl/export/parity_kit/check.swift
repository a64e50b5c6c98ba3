// Show Core ML and Vision the photos of this kit, compare with the trained model's answers, and time them.
// swift check.swift [MODEL.mlpackage | MODEL.mlmodel | MODEL.mlmodelc]
import CoreGraphics
import CoreML
import CryptoKit
import Foundation
import ImageIO
import Vision

struct Photo: Decodable { let photo: String; let original: String; let probabilities: [String: Double] }

struct Expected: Decodable {
    let image, probabilities, cropAndScale, model: String
    let tolerance: Double
    let tolerances: [String: Double]
    let photos: [Photo]
}

let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
let expected = try JSONDecoder().decode(
    Expected.self, from: Data(contentsOf: here.appendingPathComponent("expected.json")))

// The keys of device.json, in camel case.
struct VisionFigures: Encodable { let largestDifference, sameAnswers: Double }

struct Run: Encodable {
    let compute: String
    let passed: Bool
    let largestDifference, sameAnswers: Double
    let vision: VisionFigures?
    let coldMs, warmMs, p50Ms, p95Ms: Double
    let thermal: String
}

struct Model: Encodable { let file, sha256: String }

struct Record: Encodable {
    let schema: Int
    let tool, device, system, date: String
    let model: Model
    let photos: Int
    let tolerance: Double
    let runs: [Run]
}

struct Problem: Error, CustomStringConvertible { let description: String }

func sha256(_ data: Data) -> String {
    SHA256.hash(data: data).map { String(format: "%02x", $0) }.joined()
}

/// SHA-256 of a file; of a package over a line "<sha256>  <path>" for each file, sorted, without hidden ones.
func fingerprint(_ url: URL) throws -> String {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), isFolder.boolValue else {
        return sha256(try Data(contentsOf: url))
    }
    var lines: [String: String] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: url.path) {
        let file = url.appendingPathComponent(name)
        var isInner: ObjCBool = false
        guard FileManager.default.fileExists(atPath: file.path, isDirectory: &isInner), !isInner.boolValue,
              !file.lastPathComponent.hasPrefix(".") else { continue }
        lines[name] = sha256(try Data(contentsOf: file))
    }
    let names = lines.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    return sha256(Data(names.map { "\(lines[$0] ?? "")  \($0)\n" }.joined().utf8))
}

func hardware(_ key: String) -> String {
    var size = 0
    sysctlbyname(key, nil, &size, nil, 0)
    var bytes = [CChar](repeating: 0, count: size + 1)
    sysctlbyname(key, &bytes, &size, nil, 0)
    return String(cString: bytes)
}

func thermalState() -> String {
    switch ProcessInfo.processInfo.thermalState {
    case .nominal: return "nominal"
    case .fair: return "fair"
    case .serious: return "serious"
    case .critical: return "critical"
    @unknown default: return "unknown"
    }
}

func picture(_ url: URL) throws -> (CGImage, CGImagePropertyOrientation) {
    guard let source = CGImageSourceCreateWithURL(url as CFURL, nil),
          let image = CGImageSourceCreateImageAtIndex(source, 0, nil) else {
        throw Problem(description: "\(url.lastPathComponent) cannot be read")
    }
    let facts = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any]
    let number = facts?[kCGImagePropertyOrientation] as? UInt32 ?? 1
    return (image, CGImagePropertyOrientation(rawValue: number) ?? .up)
}

func milliseconds<T>(_ work: () throws -> T) rethrows -> (T, Double) {
    let start = DispatchTime.now().uptimeNanoseconds
    let result = try work()
    return (result, Double(DispatchTime.now().uptimeNanoseconds - start) / 1e6)
}

/// Largest difference from the expected probabilities, whether the answer is the same, and whether that is a near-tie.
func compare(_ shares: [String: Double], _ wanted: [String: Double], _ tolerance: Double) -> (Double, Bool, Bool) {
    let difference = wanted.map { abs((shares[$0.key] ?? -1) - $0.value) }.max() ?? 1
    let same = shares.max { $0.value < $1.value }?.key == wanted.max { $0.value < $1.value }?.key
    let ranked = wanted.values.sorted(by: >)
    return (difference, same, ranked.count > 1 && ranked[0] - ranked[1] < tolerance)
}

func cropOption(_ name: String) throws -> VNImageCropAndScaleOption {
    switch name {
    case "scaleFill": return .scaleFill
    case "centerCrop": return .centerCrop
    case "scaleFit": return .scaleFit
    default: throw Problem(description: "unknown crop policy \(name)")
    }
}

func check(_ compiled: URL, _ compute: String, _ units: MLComputeUnits, _ tolerance: Double) throws -> Run {
    let configuration = MLModelConfiguration()
    configuration.computeUnits = units
    let (_, cold) = try milliseconds { try MLModel(contentsOf: compiled, configuration: configuration) }
    let (model, warm) = try milliseconds { try MLModel(contentsOf: compiled, configuration: configuration) }
    guard let constraint = model.modelDescription.inputDescriptionsByName[expected.image]?.imageConstraint else {
        throw Problem(description: "the model has no image input named \(expected.image)")
    }
    var (largest, same, failed) = (0.0, 0, 0)
    for item in expected.photos {
        let (image, _) = try picture(here.appendingPathComponent(item.photo))
        let value = try MLFeatureValue(cgImage: image, constraint: constraint, options: nil)
        let answer = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: [expected.image: value]))
        let shares = answer.featureValue(for: expected.probabilities)?.dictionaryValue as? [String: Double] ?? [:]
        let (difference, isSame, nearTie) = compare(shares, item.probabilities, tolerance)
        largest = max(largest, difference)
        same += isSame ? 1 : 0
        if difference > tolerance || !(isSame || nearTie) {
            failed += 1
            print("FAIL \(compute) \(item.photo): largest difference \(difference)")
        }
    }
    // Vision on the photos as they were: it turns, converts and resizes them, as in an app.
    let request = VNCoreMLRequest(model: try VNCoreMLModel(for: model))
    request.imageCropAndScaleOption = try cropOption(expected.cropAndScale)
    let originals = try expected.photos.map { try picture(here.appendingPathComponent($0.original)) }
    var (visionLargest, visionSame) = (0.0, 0)
    var times: [Double] = []
    for number in 0..<max(60, originals.count) {
        let index = number % originals.count
        let (image, orientation) = originals[index]
        let handler = VNImageRequestHandler(cgImage: image, orientation: orientation, options: [:])
        times.append(try milliseconds { try handler.perform([request]) }.1)
        guard number < originals.count else { continue }
        let found = request.results as? [VNClassificationObservation] ?? []
        let pairs = found.map { ($0.identifier, Double($0.confidence)) }
        let shares = Dictionary(pairs, uniquingKeysWith: { first, _ in first })
        let (difference, isSame, _) = compare(shares, expected.photos[index].probabilities, tolerance)
        visionLargest = max(visionLargest, difference)
        visionSame += isSame ? 1 : 0
    }
    times.sort()
    let count = Double(expected.photos.count)
    return Run(
        compute: compute, passed: failed == 0, largestDifference: largest, sameAnswers: Double(same) / count,
        vision: VisionFigures(largestDifference: visionLargest, sameAnswers: Double(visionSame) / count),
        coldMs: cold, warmMs: warm, p50Ms: times[times.count / 2], p95Ms: times[(times.count - 1) * 95 / 100],
        thermal: thermalState())
}

let path = CommandLine.arguments.count > 1
    ? URL(fileURLWithPath: CommandLine.arguments[1])
    : here.deletingLastPathComponent().appendingPathComponent(expected.model)
let tolerance = expected.tolerances[path.lastPathComponent] ?? expected.tolerance
let compiled = path.pathExtension == "mlmodelc" ? path : try MLModel.compileModel(at: path)
var choices: [(String, MLComputeUnits)] = [("cpuOnly", .cpuOnly)]
if #available(macOS 13.0, *) { choices.append(("cpuAndNeuralEngine", .cpuAndNeuralEngine)) }
choices.append(("all", .all))
let runs = try choices.map { try check(compiled, $0.0, $0.1, tolerance) }
for run in runs {
    print("\(run.passed ? "ok  " : "FAIL") \(run.compute): same answers \(run.sameAnswers), largest difference "
        + "\(run.largestDifference); with Vision \(run.vision?.sameAnswers ?? 0) and "
        + "\(run.vision?.largestDifference ?? 0); loading \(run.coldMs) ms, then \(run.warmMs) ms; an answer "
        + "\(run.p50Ms) ms, 95 % below \(run.p95Ms) ms")
}
let day = DateFormatter()
day.locale = Locale(identifier: "en_US_POSIX")
day.dateFormat = "yyyy-MM-dd"
let record = Record(
    schema: 1, tool: "check.swift", device: hardware("hw.model"),
    system: "macOS \(ProcessInfo.processInfo.operatingSystemVersionString)", date: day.string(from: Date()),
    model: Model(file: path.lastPathComponent, sha256: try fingerprint(path)), photos: expected.photos.count,
    tolerance: tolerance, runs: runs)
let encoder = JSONEncoder()
encoder.keyEncodingStrategy = .convertToSnakeCase
encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
try encoder.encode(record).write(to: URL(fileURLWithPath: "device.json"))
let failed = runs.filter { !$0.passed }.count
print("\(failed == 0 ? "PASS" : "FAIL"): \(runs.count - failed) of \(runs.count) choices of compute units; "
    + "written to device.json")
exit(failed == 0 ? 0 : 1)
