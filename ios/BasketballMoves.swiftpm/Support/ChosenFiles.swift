import CoreTransferable
import Foundation
import UniformTypeIdentifiers

/// A video that was chosen, copied into the temporary folder: where it came from may be closed to the app soon.
struct ChosenVideo: Transferable {
    let url: URL

    static var transferRepresentation: some TransferRepresentation {
        FileRepresentation(contentType: .movie) { video in
            SentTransferredFile(video.url)
        } importing: { received in
            ChosenVideo(url: try ChosenFiles.copy(received.file))
        }
    }
}

enum ChosenFiles {
    /// The copy, in a folder of its own so that it keeps its name.
    static func copy(_ url: URL) throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let copy = folder.appendingPathComponent(url.lastPathComponent)
        try FileManager.default.copyItem(at: url, to: copy)
        return copy
    }

    /// What was picked in Files, to be read later.
    static func item(_ url: URL) -> PhotoQueue.Item {
        let type = UTType(filenameExtension: url.pathExtension)
        if type?.conforms(to: .movie) == true {
            return PhotoQueue.Item(content: .video { opened(url) { try copy($0) } }, source: .file)
        }
        return PhotoQueue.Item(content: .photo { opened(url) { try Data(contentsOf: $0) } }, source: .file)
    }

    private static func opened<Value>(_ url: URL, _ body: (URL) throws -> Value) -> Value? {
        let isOpen = url.startAccessingSecurityScopedResource()
        defer {
            if isOpen {
                url.stopAccessingSecurityScopedResource()
            }
        }
        return try? body(url)
    }
}
