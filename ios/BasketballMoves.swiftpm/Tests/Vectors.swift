import Foundation
import XCTest

@testable import AppModule

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
            let checked: Double?
        }
        struct Photo: Decodable { let file: String; let path: String }
        let classNames: [String]
        let author: String
        let licence: String
        let entries: [Entry]
        let folders: [String]
        let photos: [Photo]
        let table: String
    }
    struct Day: Decodable { let exif: String; let day: String? }
    struct Digests: Decodable { let digests: [String: String]; let text: String }
    struct Name: Decodable { let name: String; let safe: Bool }
    struct Scenario: Decodable {
        struct Step: Decodable { let event: String; let effects: [String]; let screen: String }
        let name: String
        let steps: [Step]
    }
    struct States: Decodable { let count: Int }
    struct Exits: Decodable { let screen: String; let exits: [String] }
    struct RegionChange: Decodable {
        let region: [Double]
        let move: [Double]?
        let scale: Double?
        let result: [Double]
    }
    struct RegionPixels: Decodable { let region: [Double]; let width: Int; let height: Int; let pixels: [Int] }
    struct Frame: Decodable { let picture: [Double]; let view: [Double]; let frame: [Double] }
    struct Zoomed: Decodable {
        let start: Double
        let pinch: Double
        let least: Double
        let camera: Double
        let factor: Double
    }
    struct Video: Decodable {
        struct Part: Decodable {
            let start: Double
            let end: Double
            let answer: Int?
            let probability: Double
            let frames: Int
        }
        let seconds: [Double]
        let probabilities: [[Double]]
        let halfWidth: Double
        let threshold: Double?
        let end: Double
        let smoothed: [[Double]]
        let segments: [Part]
    }
    struct Clock: Decodable { let seconds: Double; let text: String }
    struct Compared: Decodable {
        let found: [String: Double]
        let wanted: [String: Double]
        let tolerance: Double
        let difference: Double
        let same: Bool
        let passes: Bool
    }
    struct Percent: Decodable { let values: [Double]; let percent: Int; let value: Double }
    struct Measured: Decodable { let record: DeviceRecord }
    struct FileFacts: Decodable {
        struct Facts: Decodable {
            let file: String
            let sha256: String
            let image: String
            let size: Int
            let label: String
            let probabilities: String
            let labels: [String]
            let author: String
            let licence: String
            let description: String
            let metadata: [String: String]
        }
        let facts: Facts
        let problem: String?
        let names: [String]?
        let threshold: Double?
        let crop: String?
    }

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
    let camera: [Scenario]
    let cameraExits: [Exits]
    let cameraStates: States
    let regions: [RegionChange]
    let regionPixels: [RegionPixels]
    let frames: [Frame]
    let zoom: [Zoomed]
    let timeline: [Video]
    let clock: [Clock]
    let parity: [Compared]
    let percentiles: [Percent]
    let deviceRecord: Measured
    let contractOfFile: [FileFacts]

    static func data() throws -> Data {
        try Data(contentsOf: XCTUnwrap(Bundle.module.url(forResource: "vectors", withExtension: "json")))
    }

    static func load() throws -> Vectors {
        try JSONDecoder().decode(Vectors.self, from: data())
    }
}
