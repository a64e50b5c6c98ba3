import SwiftUI
import UIKit

/// A photo of the history with its answer: to look at, to share, to correct.
@MainActor
struct EntryView: View {
    let id: UUID

    @EnvironmentObject private var app: AppState
    @EnvironmentObject private var history: HistoryStore

    var body: some View {
        if let entry = history.entry(id) {
            VStack(alignment: .leading, spacing: 16) {
                StoredImage(url: history.files.url(entry.photo), contentMode: .fit)
                    .frame(maxWidth: .infinity, maxHeight: 420)
                    .accessibilityLabel(L("entry.photo"))
                AnswerView(classNames: entry.classNames, probabilities: entry.probabilities, answer: answer(entry))
                // Outside a form a menu does not show its label.
                VStack(alignment: .leading, spacing: 2) {
                    Text(L("entry.truth"))
                        .font(.headline)
                        .accessibilityHidden(true)
                    Picker(L("entry.truth"), selection: truth(entry)) {
                        Text(L("entry.unchecked")).tag("")
                        ForEach(choices(entry), id: \.self) { name in
                            Text(L("entry.shows", app.displayName(name))).tag(name)
                        }
                    }
                    .pickerStyle(.menu)
                    .accessibilityHint(L("entry.truth.hint"))
                }
                if let isRight = entry.isRight {
                    Label(
                        isRight ? L("entry.right") : L("entry.wrong"),
                        systemImage: isRight ? "checkmark.circle" : "xmark.circle"
                    )
                }
                ShareLink(item: history.files.url(entry.photo), message: Text(sentence(entry))) {
                    Label(L("entry.share"), systemImage: "square.and.arrow.up")
                }
                .accessibilityHint(L("entry.share.hint"))
            }
            .frame(maxWidth: .infinity, alignment: .leading)
        } else {
            Text(L("entry.gone"))
        }
    }

    private func answer(_ entry: HistoryEntry) -> Answer {
        Answer(index: entry.answer, probability: entry.answerProbability, isSure: entry.isSure)
    }

    /// The classes of then, those of the model of now, what was chosen with another model, and none of them.
    private func choices(_ entry: HistoryEntry) -> [String] {
        var names = entry.classNames
        let more = (app.contract?.classes.map(\.name) ?? []) + [entry.truth].compactMap { $0 } + [FolderName.noMove]
        for name in more {
            if !names.contains(name) {
                names.append(name)
            }
        }
        return names
    }

    private func truth(_ entry: HistoryEntry) -> Binding<String> {
        Binding(
            get: { history.entry(id)?.truth ?? "" },
            set: { history.setTruth($0.isEmpty ? nil : $0, of: id) }
        )
    }

    private func sentence(_ entry: HistoryEntry) -> String {
        let name = app.displayName(entry.answerName)
        let share = Format.percent(entry.answerProbability)
        return entry.isSure ? L("entry.sentence", name, share) : L("entry.sentence.unsure", name, share)
    }
}

/// A JPEG of the history, or a symbol if it is gone.
struct StoredImage: View {
    let url: URL
    let contentMode: ContentMode

    var body: some View {
        if let image = UIImage(contentsOfFile: url.path) {
            Image(uiImage: image)
                .resizable()
                .aspectRatio(contentMode: contentMode)
        } else {
            Image(systemName: "photo")
                .foregroundStyle(.secondary)
        }
    }
}
