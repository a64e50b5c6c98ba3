import AVFoundation
import Foundation

/// One of the back cameras.
struct Lens: Identifiable, Hashable, @unchecked Sendable {
    // Unchecked: a device is one object for the whole system, and its class locks itself.
    let device: AVCaptureDevice

    var id: String { device.uniqueID }

    /// Those that the device has, the widest first.
    static func all() -> [Lens] {
        let types: [AVCaptureDevice.DeviceType] = [
            .builtInUltraWideCamera, .builtInWideAngleCamera, .builtInTelephotoCamera
        ]
        let found = AVCaptureDevice.DiscoverySession(deviceTypes: types, mediaType: .video, position: .back).devices
        return types.flatMap { type in found.filter { $0.deviceType == type } }.map(Lens.init)
    }

    var name: String {
        switch device.deviceType {
        case .builtInUltraWideCamera: return L("live.lens.ultraWide")
        case .builtInTelephotoCamera: return L("live.lens.telephoto")
        default: return L("live.lens.wide")
        }
    }

    static func == (first: Lens, second: Lens) -> Bool {
        first.id == second.id
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(id)
    }
}
