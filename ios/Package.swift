// swift-tools-version: 5.9

// The app's logic and its tests without the app: `swift test` in this folder, on any machine with Swift.
// The files below import Foundation only; SwiftPM warns that it leaves the others out. To run the app, open
// BasketballMoves.swiftpm instead.
import PackageDescription

let package = Package(
    name: "BasketballMovesLogic",
    targets: [
        .target(
            name: "AppModule",
            path: "BasketballMoves.swiftpm",
            exclude: [
                "AdditionalInfo.plist",
                "Resources",
                "Tests"
            ],
            sources: [
                "Camera/CameraMachine.swift",
                "Camera/FrameGate.swift",
                "Camera/Region.swift",
                "Camera/Rotation.swift",
                "Model/Answer.swift",
                "Model/ContractOfFile.swift",
                "Model/ContractReading.swift",
                "Model/DeviceRecord.swift",
                "Model/Fingerprint.swift",
                "Model/FolderName.swift",
                "Model/FrameMeter.swift",
                "Model/ModelContract.swift",
                "Model/ParityKit.swift",
                "Model/Smoothing.swift",
                "Model/Timeline.swift",
                "Support/CRC32.swift",
                "Support/CorrectionsArchive.swift",
                "Support/CorrectionsPlan.swift",
                "Support/HistoryEntry.swift",
                "Support/ZipWriter.swift"
            ]
        ),
        .testTarget(
            name: "AppModuleTests",
            dependencies: ["AppModule"],
            path: "BasketballMoves.swiftpm/Tests",
            resources: [
                .copy("vectors.json")
            ]
        )
    ]
)
