// Uniform Type Identifiers, as far as the app uses them.
@_exported import Foundation

public struct UTType: Hashable, Sendable {
    public static let image = UTType()
    public static let movie = UTType()
    public static let folder = UTType()
    public static let package = UTType()
    public static let item = UTType()
    public var identifier: String { "" }
    public func conforms(to type: UTType) -> Bool { false }
}

extension UTType {
    public init?(filenameExtension: String) { return nil }
}
