import Foundation

enum FolderName {
    /// The class of photos that show none of the moves: a truth that can be chosen whatever the model knows.
    static let noMove = "none"

    /// Longest name in bytes of UTF-8: file systems take 255, and some store names in a longer form of Unicode.
    private static let mostBytes = 200
    private static let refused: Set<Unicode.Scalar> = ["/", "\\", ":", "*", "?", "\"", "<", ">", "|"]

    /// Whether a text can name a folder on every usual system: corrections are filed under the names of the classes.
    ///
    /// The export refuses by the same rule (`folder_name_problem` in bball_pl/files.py). It names categories of
    /// Unicode, not `CharacterSet.controlCharacters`, which holds more than its name says. Invisible signs (joiners,
    /// direction marks, a byte order mark) are refused because two classes that differ in them alone look the same.
    static func isSafe(_ name: String) -> Bool {
        let signs = Array(name.unicodeScalars)
        guard let first = signs.first, let last = signs.last, name.utf8.count <= mostBytes else {
            return false
        }
        let ends = [first, last]
        return !ends.contains(".")
            && !ends.contains { $0.properties.generalCategory == .spaceSeparator }
            && !signs.contains { refused.contains($0) || isInvisible($0) }
    }

    private static func isInvisible(_ sign: Unicode.Scalar) -> Bool {
        switch sign.properties.generalCategory {
        case .control, .format, .surrogate, .lineSeparator, .paragraphSeparator: return true
        default: return false
        }
    }
}
