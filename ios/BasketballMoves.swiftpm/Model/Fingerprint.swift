import Foundation

/// The fingerprint of a model package, as `package_sha256` in `bball_pl/export/ios.py` makes it.
enum Fingerprint {
    /// The text whose SHA-256 is the fingerprint: a line `<sha256>  <path>` for each file, sorted by the paths' bytes.
    static func text(_ digests: [String: String]) -> String {
        let paths = digests.keys.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
        return paths.map { path in "\(digests[path] ?? "")  \(path)\n" }.joined()
    }
}
