// Core Graphics and Core Foundation, as far as the app uses them and Foundation on Linux lacks them.
@_exported import Foundation

public typealias CFString = String
public typealias CFData = Data
public typealias CFDictionary = [String: Any]

public final class CGImage {}

public struct CGAffineTransform {
    public init(translationX: CGFloat, y: CGFloat) {}
}
