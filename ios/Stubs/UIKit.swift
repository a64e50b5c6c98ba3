// UIKit, as far as the app uses it.
@_exported import FoundationOfApple
@_exported import ImageIO
@_exported import QuartzCore

@MainActor
open class UIView: NSObject {
    public override init() {}
    public var bounds: CGRect { CGRect(x: 0, y: 0, width: 0, height: 0) }
    public var layer: CALayer { CALayer() }
    public var window: UIWindow? { nil }
    open func layoutSubviews() {}
}

@MainActor
public final class UIWindow: NSObject {
    public var windowScene: UIWindowScene? { nil }
}

public enum UIInterfaceOrientation: Int, Sendable {
    case unknown, portrait, portraitUpsideDown, landscapeRight, landscapeLeft
}

@MainActor
public final class UIWindowScene: NSObject {
    public var interfaceOrientation: UIInterfaceOrientation { .unknown }
}

public enum UIDeviceOrientation: Int, Sendable {
    case unknown, portrait, portraitUpsideDown, landscapeLeft, landscapeRight, faceUp, faceDown
}

@MainActor
public final class UIDevice: NSObject {
    public static var current: UIDevice { UIDevice() }
    public var orientation: UIDeviceOrientation { .unknown }
    public func beginGeneratingDeviceOrientationNotifications() {}
    public func endGeneratingDeviceOrientationNotifications() {}
    public nonisolated static let orientationDidChangeNotification = NSNotification.Name("")
}

@MainActor
public final class UIApplication: NSObject {
    public static var shared: UIApplication { UIApplication() }
    public var isIdleTimerDisabled = false
    public nonisolated static let openSettingsURLString = ""
}

public struct UIAccessibility {
    public struct Notification: Sendable {
        public static let announcement = Notification()
    }

    public static func post(notification: Notification, argument: Any?) {}
}

public final class UIColor: NSObject {
    public static var systemBackground: UIColor { UIColor() }
    public static var secondarySystemBackground: UIColor { UIColor() }
}

public struct UITextContentType: Sendable {
    public static let name = UITextContentType()
}

public final class UIImage: NSObject {
    public enum Orientation: Int, Sendable {
        case up, down, left, right, upMirrored, downMirrored, leftMirrored, rightMirrored
    }

    public init(cgImage: CGImage, scale: CGFloat, orientation: Orientation) {}
    public init?(contentsOfFile path: String) { return nil }
    public var size: CGSize { CGSize(width: 0, height: 0) }
    public func draw(in rect: CGRect) {}
}

public final class UIGraphicsImageRendererFormat: NSObject {
    public enum Range: Int, Sendable {
        case standard
    }

    public var scale: CGFloat = 1
    public var opaque = false
    public var preferredRange = Range.standard
}

public final class UIGraphicsImageRendererContext: NSObject {}

public final class UIGraphicsImageRenderer: NSObject {
    public init(size: CGSize, format: UIGraphicsImageRendererFormat) {}
    public func jpegData(
        withCompressionQuality compressionQuality: CGFloat, actions: (UIGraphicsImageRendererContext) -> Void
    ) -> Data { Data() }
}
