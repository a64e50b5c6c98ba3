// Show Core ML the photos of this kit and compare its answers with those of the trained model.
// swift check.swift [MODEL.mlpackage]
import CoreGraphics
import CoreML
import Foundation
import ImageIO

struct Photo: Decodable { let photo: String; let probabilities: [String: Double] }
struct Expected: Decodable { let image: String; let probabilities: String; let tolerance: Double; let photos: [Photo] }

let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
let path = CommandLine.arguments.count > 1
    ? URL(fileURLWithPath: CommandLine.arguments[1])
    : here.deletingLastPathComponent().appendingPathComponent("BasketballMoves.mlpackage")
let expected = try JSONDecoder().decode(Expected.self, from: Data(contentsOf: here.appendingPathComponent("expected.json")))
let model = try MLModel(contentsOf: MLModel.compileModel(at: path))
guard let constraint = model.modelDescription.inputDescriptionsByName[expected.image]?.imageConstraint else {
    print("FAIL: the model has no image input named \(expected.image)")
    exit(1)
}
var failed = 0
for item in expected.photos {
    guard let source = CGImageSourceCreateWithURL(here.appendingPathComponent(item.photo) as CFURL, nil),
          let picture = CGImageSourceCreateImageAtIndex(source, 0, nil) else {
        print("FAIL \(item.photo): cannot be read")
        failed += 1
        continue
    }
    let value = try MLFeatureValue(cgImage: picture, constraint: constraint, options: nil)
    let answer = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: [expected.image: value]))
    let shares = answer.featureValue(for: expected.probabilities)?.dictionaryValue as? [String: Double] ?? [:]
    let wanted = item.probabilities
    let difference = wanted.map { abs((shares[$0.key] ?? -1) - $0.value) }.max() ?? 1
    let said = shares.max { $0.value < $1.value }?.key ?? "nothing"
    let right = wanted.max { $0.value < $1.value }?.key ?? "nothing"
    let ranked = wanted.values.sorted(by: >)
    let nearTie = ranked.count > 1 && ranked[0] - ranked[1] < expected.tolerance
    let good = difference <= expected.tolerance && (said == right || nearTie)
    if !good { failed += 1 }
    print("\(good ? "ok  " : "FAIL") \(item.photo): \(said), expected \(right), largest difference \(difference)")
}
print("\(failed == 0 ? "PASS" : "FAIL"): \(expected.photos.count - failed) of \(expected.photos.count) photos agree")
exit(failed == 0 ? 0 : 1)
