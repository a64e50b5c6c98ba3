// Core Transferable, as far as the app uses it.
@_exported import UniformTypeIdentifiers

public protocol TransferRepresentation {}

public protocol Transferable {
    associatedtype Representation: TransferRepresentation
    @TransferRepresentationBuilder static var transferRepresentation: Representation { get }
}

@resultBuilder
public struct TransferRepresentationBuilder {
    public static func buildBlock<Content: TransferRepresentation>(_ content: Content) -> Content { content }
}

public struct SentTransferredFile: Sendable {
    public init(_ file: URL) {}
}

public struct ReceivedTransferredFile: Sendable {
    public let file: URL
}

public struct FileRepresentation: TransferRepresentation {
    public init<Item: Transferable>(
        contentType: UTType, exporting: @escaping @Sendable (Item) async throws -> SentTransferredFile,
        importing: @escaping @Sendable (ReceivedTransferredFile) async throws -> Item
    ) {}
}

extension Never: TransferRepresentation {}
extension Data: Transferable {
    public static var transferRepresentation: Never { fatalError() }
}
extension URL: Transferable {
    public static var transferRepresentation: Never { fatalError() }
}
extension String: Transferable {
    public static var transferRepresentation: Never { fatalError() }
}
