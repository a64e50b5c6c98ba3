import Foundation

/// From how the device is held to how a frame of the back camera has to be turned.
enum Rotation {
    /// Degrees clockwise that make a frame upright, for a raw value of UIDeviceOrientation or UIInterfaceOrientation.
    ///
    /// The sensor's own orientation is landscape with the home indicator on the right: device orientation
    /// landscapeLeft and interface orientation landscapeRight, which share their raw value. Nil for a device that
    /// lies flat or does not know: the last angle stays.
    static func angle(orientation rawValue: Int) -> Double? {
        switch rawValue {
        case 1: return 90
        case 2: return 270
        case 3: return 0
        case 4: return 180
        default: return nil
        }
    }

    /// The EXIF orientation (CGImagePropertyOrientation) of a frame that has to be turned by `angle` degrees clockwise.
    static func exif(angle: Double) -> UInt32 {
        let quarters = Int((angle / 90).rounded()) % 4
        switch (quarters + 4) % 4 {
        case 1: return 6
        case 2: return 3
        case 3: return 8
        default: return 1
        }
    }
}
