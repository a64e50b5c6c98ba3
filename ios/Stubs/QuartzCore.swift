// Core Animation, as far as the app uses it.
@_exported import CoreGraphics

open class CALayer: NSObject {
    public override init() {}
    public var frame = CGRect(x: 0, y: 0, width: 0, height: 0)
    public func addSublayer(_ layer: CALayer) {}
}

public final class CATransaction: NSObject {
    public static func begin() {}
    public static func commit() {}
    public static func setDisableActions(_ flag: Bool) {}
}
