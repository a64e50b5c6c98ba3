import Foundation

/// Where things lie.
enum AppResources {
    /// Bundles that may hold the app's resources: Xcode and Swift Playgrounds put them into the app itself or into a
    /// bundle inside it.
    static let bundles: [Bundle] = {
        let inner = Bundle.main.paths(forResourcesOfType: "bundle", inDirectory: nil)
        return [Bundle.main] + inner.compactMap { Bundle(path: $0) }
    }()

    /// Application Support: kept by the system, not visible to other apps.
    static var support: URL {
        let found = FileManager.default.urls(for: .applicationSupportDirectory, in: .userDomainMask)
        return found.first ?? FileManager.default.temporaryDirectory
    }
}

/// The table of texts in the language that fits its reader best.
///
/// Looked up by hand: SwiftUI looks only into the app's main bundle, and a bundle inside it would follow the main
/// bundle's language.
enum AppLanguage {
    private static let table: (language: String, bundle: Bundle) = {
        for bundle in AppResources.bundles {
            let known = bundle.localizations.filter { language in
                nil
                    != bundle.path(
                        forResource: "Localizable", ofType: "strings", inDirectory: nil, forLocalization: language
                    )
            }
            // English first: it is what a reader gets whose languages are not there.
            let ordered = known.filter { $0 == "en" } + known.filter { $0 != "en" }
            let best = Bundle.preferredLocalizations(from: ordered, forPreferences: Locale.preferredLanguages)
            if let language = best.first, let path = bundle.path(forResource: language, ofType: "lproj"),
                let inner = Bundle(path: path)
            {
                return (language, inner)
            }
        }
        return ("en", Bundle.main)
    }()

    static var bundle: Bundle { table.bundle }

    /// The key of this language in the contract's display names.
    static var contractLanguage: String {
        table.language.lowercased().hasPrefix("zh") ? "zh-Hant" : "en"
    }
}

/// The text for a key of Localizable.strings, in the app's language.
func L(_ key: String, _ arguments: CVarArg...) -> String {
    let text = AppLanguage.bundle.localizedString(forKey: key, value: nil, table: nil)
    return arguments.isEmpty ? text : String(format: text, arguments: arguments)
}

/// Numbers as their reader's region writes them.
enum Format {
    static func percent(_ share: Double, digits: Int = 0) -> String {
        share.formatted(.percent.precision(.fractionLength(digits)))
    }

    static func number(_ value: Double, digits: Int) -> String {
        value.formatted(.number.precision(.fractionLength(digits)))
    }
}
