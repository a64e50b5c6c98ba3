import Foundation
import XCTest

/// What the logic has to answer to what: vectors.json, which the Python tests of the repository read as well.
struct Vectors: Decodable {
    struct Judged: Decodable { let probabilities: [Double]; let threshold: Double?; let index: Int?; let sure: Bool? }
    struct Ranked: Decodable { let probabilities: [Double]; let order: [Int] }
    struct Ordered: Decodable { let shares: [String: Double]; let labels: [String]; let ordered: [Double]? }
    struct Smoothed: Decodable {
        struct Step: Decodable { let time: Double; let probabilities: [Double]; let mean: [Double] }
        let frames: Int
        let forgetAfterSeconds: Double
        let steps: [Step]
    }
    struct Metered: Decodable {
        struct Step: Decodable { let time: Double; let duration: Double }
        let steps: [Step]
        let framesPerSecond: Double?
        let milliseconds: Double?
    }
    struct Angle: Decodable { let orientation: Int; let angle: Double? }
    struct Exif: Decodable { let angle: Double; let exif: UInt32 }
    struct Checksum: Decodable { let text: String; let crc: UInt32 }
    struct Zip: Decodable {
        struct File: Decodable { let path: String; let text: String }
        /// Year, month, day, hour, minute, second.
        let modified: [Int]
        let folders: [String]
        let files: [File]
        let hex: String
    }
    struct Table: Decodable { let rows: [[String]]; let text: String }
    struct Corrections: Decodable {
        struct Entry: Decodable {
            let seconds: Double
            let day: String
            let photo: String
            let sha256: String
            let probabilities: [Double]
            let answer: Int
            let truth: String?
        }
        struct Photo: Decodable { let file: String; let path: String }
        let classNames: [String]
        let entries: [Entry]
        let folders: [String]
        let photos: [Photo]
        let table: String
    }
    struct Day: Decodable { let exif: String; let day: String? }
    struct Digests: Decodable { let digests: [String: String]; let text: String }
    struct Name: Decodable { let name: String; let safe: Bool }

    let judge: [Judged]
    let ranking: [Ranked]
    let inOrder: [Ordered]
    let smoothing: [Smoothed]
    let meter: [Metered]
    let angles: [Angle]
    let exif: [Exif]
    let crc32: [Checksum]
    let zip: [Zip]
    let csv: [Table]
    let corrections: [Corrections]
    let captureDay: [Day]
    let fingerprint: [Digests]
    let folderNames: [Name]

    static func data() throws -> Data {
        try Data(contentsOf: XCTUnwrap(Bundle.module.url(forResource: "vectors", withExtension: "json")))
    }

    static func load() throws -> Vectors {
        try JSONDecoder().decode(Vectors.self, from: data())
    }
}
