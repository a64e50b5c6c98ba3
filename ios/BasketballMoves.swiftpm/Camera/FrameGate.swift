import Foundation

/// Lets one frame through at a time: whoever comes while another is inside is turned away, never queued.
final class FrameGate: @unchecked Sendable {
    // Unchecked: `isBusy` is only touched under the lock.
    private let lock = NSLock()
    private var isBusy = false

    /// True if the caller may go on; it must call `leave` when its answer is shown.
    func enter() -> Bool {
        lock.lock()
        defer { lock.unlock() }
        if isBusy {
            return false
        }
        isBusy = true
        return true
    }

    func leave() {
        lock.lock()
        defer { lock.unlock() }
        isBusy = false
    }
}
