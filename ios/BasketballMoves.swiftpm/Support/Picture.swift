import Foundation
import ImageIO
import UIKit

enum PictureProblem: Error {
    case unreadable
    case unwritable
}

/// A photo in memory, as it was stored, and how it has to be turned.
struct Picture: @unchecked Sendable {
    // Unchecked: a CGImage never changes.
    let image: CGImage
    let orientation: CGImagePropertyOrientation
    /// Day on which it was taken, as in 2026-11-23; empty if its file does not say.
    let day: String

    /// Longest side of what is decoded, in pixels: a photo of 48 megapixels would need 190 MB.
    private static let largestSide = 2048

    /// Decode the bytes of a photo file. Its EXIF orientation is kept beside it, not applied: Vision applies it.
    static func decode(_ data: Data) throws -> Picture {
        guard let source = CGImageSourceCreateWithData(data as CFData, nil), CGImageSourceGetCount(source) > 0 else {
            throw PictureProblem.unreadable
        }
        let place = CGImageSourceGetPrimaryImageIndex(source)
        let options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true,
            kCGImageSourceCreateThumbnailWithTransform: false,
            kCGImageSourceThumbnailMaxPixelSize: largestSide
        ]
        guard let image = CGImageSourceCreateThumbnailAtIndex(source, place, options as CFDictionary) else {
            throw PictureProblem.unreadable
        }
        let properties = CGImageSourceCopyPropertiesAtIndex(source, place, nil) as? [CFString: Any] ?? [:]
        let stored = (properties[kCGImagePropertyOrientation] as? NSNumber)?.uint32Value ?? 1
        let exif = properties[kCGImagePropertyExifDictionary] as? [CFString: Any] ?? [:]
        let taken = exif[kCGImagePropertyExifDateTimeOriginal] as? String ?? ""
        return Picture(
            image: image,
            orientation: CGImagePropertyOrientation(rawValue: stored) ?? .up,
            day: CaptureDay.from(exif: taken) ?? ""
        )
    }

    /// An upright JPEG without metadata (a place, a name), its longest side at most `side` pixels.
    func jpeg(side: CGFloat) throws -> Data {
        let upright = UIImage(cgImage: image, scale: 1, orientation: UIImage.Orientation(orientation))
        let factor = min(1, side / max(upright.size.width, upright.size.height, 1))
        let size = CGSize(
            width: max(1, (upright.size.width * factor).rounded()),
            height: max(1, (upright.size.height * factor).rounded())
        )
        let format = UIGraphicsImageRendererFormat()
        format.scale = 1
        format.opaque = true
        format.preferredRange = .standard
        let renderer = UIGraphicsImageRenderer(size: size, format: format)
        let data = renderer.jpegData(withCompressionQuality: 0.9) { _ in
            upright.draw(in: CGRect(origin: .zero, size: size))
        }
        if data.isEmpty {
            throw PictureProblem.unwritable
        }
        return data
    }
}

extension UIImage.Orientation {
    init(_ orientation: CGImagePropertyOrientation) {
        switch orientation {
        case .up: self = .up
        case .upMirrored: self = .upMirrored
        case .down: self = .down
        case .downMirrored: self = .downMirrored
        case .left: self = .left
        case .leftMirrored: self = .leftMirrored
        case .right: self = .right
        case .rightMirrored: self = .rightMirrored
        @unknown default: self = .up
        }
    }
}
