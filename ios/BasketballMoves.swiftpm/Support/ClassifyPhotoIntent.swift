import AppIntents
import Foundation

/// "Classify photo" for Shortcuts and Siri: a photo in, the answer as a text out. Nothing comes into the history.
struct ClassifyPhotoIntent: AppIntent {
    static let title: LocalizedStringResource = "Classify basketball photo"
    static let description: IntentDescription? = IntentDescription(
        "Says which basketball move a photo shows, on this device."
    )

    @Parameter(title: "Photo", supportedTypeIdentifiers: ["public.image"])
    var photo: IntentFile

    func perform() async throws -> some IntentResult & ReturnsValue<String> & ProvidesDialog {
        let classifier = try await ModelLoader.load(.all)
        let probabilities = try classifier.probabilities(of: Picture.decode(photo.data))
        guard let answer = classifier.answer(to: probabilities) else {
            throw ClassifierProblem.noAnswer
        }
        let found = classifier.contract.classes[answer.index]
        let name = found.displayName(language: AppLanguage.contractLanguage)
        let share = Format.percent(answer.probability)
        let said = answer.isSure ? L("entry.sentence", name, share) : L("entry.sentence.unsure", name, share)
        return .result(value: answer.isSure ? found.name : "", dialog: IntentDialog(stringLiteral: said))
    }
}

/// Makes the intent known to Shortcuts and Spotlight as soon as the app is installed.
struct AppShortcuts: AppShortcutsProvider {
    static var appShortcuts: [AppShortcut] {
        AppShortcut(intent: ClassifyPhotoIntent(), phrases: ["Classify a photo with \(.applicationName)"])
    }
}
