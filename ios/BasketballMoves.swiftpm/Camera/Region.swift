import Foundation

/// The part of a picture that is classified, in shares of its upright width and height from the top left corner.
struct Region: Equatable, Codable, Sendable {
    var x: Double
    var y: Double
    var width: Double
    var height: Double

    static let whole = Region(x: 0, y: 0, width: 1, height: 1)
    /// Smallest side: less than this shows a model little more than noise.
    static let smallest = 0.125

    var isWhole: Bool { self == Region.whole }

    /// The same size elsewhere, within the picture.
    func moved(x dx: Double, y dy: Double) -> Region {
        Region(x: min(max(x + dx, 0), 1 - width), y: min(max(y + dy, 0), 1 - height), width: width, height: height)
    }

    /// Larger or smaller around its middle, within the picture.
    func scaled(_ factor: Double) -> Region {
        let wide = min(max(width * factor, Region.smallest), 1)
        let high = min(max(height * factor, Region.smallest), 1)
        let grown = Region(x: x + (width - wide) / 2, y: y + (height - high) / 2, width: wide, height: high)
        return grown.moved(x: 0, y: 0)
    }

    /// Whole pixels of an upright picture, from its lower left corner as Core Image counts: x, y, width, height.
    func pixels(width pictureWidth: Int, height pictureHeight: Int) -> [Int] {
        let left = Int((x * Double(pictureWidth)).rounded(.down))
        let top = Int((y * Double(pictureHeight)).rounded(.down))
        let right = min(Int(((x + width) * Double(pictureWidth)).rounded(.up)), pictureWidth)
        let bottom = min(Int(((y + height) * Double(pictureHeight)).rounded(.up)), pictureHeight)
        return [left, pictureHeight - bottom, right - left, bottom - top]
    }

    /// Where a picture lies in a view that shows all of it, as x, y, width, height in the view's points.
    static func frame(pictureWidth: Double, pictureHeight: Double, viewWidth: Double, viewHeight: Double) -> [Double] {
        guard pictureWidth > 0, pictureHeight > 0 else {
            return [0, 0, viewWidth, viewHeight]
        }
        let scale = min(viewWidth / pictureWidth, viewHeight / pictureHeight)
        let wide = pictureWidth * scale
        let high = pictureHeight * scale
        return [(viewWidth - wide) / 2, (viewHeight - high) / 2, wide, high]
    }
}

enum Zoom {
    /// More than this only enlarges pixels.
    static let most = 8.0

    /// The factor after a pinch that began at `start`, within what the camera can do.
    static func factor(start: Double, pinch: Double, least: Double, camera: Double) -> Double {
        min(max(start * pinch, least), max(least, min(most, camera)))
    }
}
