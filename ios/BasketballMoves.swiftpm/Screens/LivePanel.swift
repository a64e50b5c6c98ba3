import SwiftUI

/// The answer to the last frames, how fast it comes, and which units were asked to compute it.
@MainActor
struct LivePanel: View {
    let classifier: Classifier
    @ObservedObject var live: LiveModel

    @AppStorage("compute") private var compute = ComputeChoice.all

    var body: some View {
        VStack(alignment: .leading, spacing: 12) {
            if live.status == .interrupted {
                Label(L("live.interrupted"), systemImage: "pause.circle")
            } else if live.isSilent {
                Label(L("live.silent"), systemImage: "exclamationmark.triangle")
            } else if let shown = live.shown {
                AnswerView(
                    classNames: classifier.contract.classes.map(\.name), probabilities: shown.probabilities,
                    answer: shown.answer
                )
                .accessibilityAddTraits(.updatesFrequently)
                Text(L("live.speed", number(shown.framesPerSecond), number(shown.milliseconds)))
                    .font(.footnote.monospacedDigit())
                    .foregroundStyle(.secondary)
                    .accessibilityLabel(
                        L("live.speed.spoken", number(shown.framesPerSecond), number(shown.milliseconds))
                    )
            } else {
                ProgressView(L("live.starting"))
            }
            Picker(L("live.compute"), selection: $compute) {
                ForEach(ComputeChoice.allCases) { choice in
                    Text(L("live.compute.asked", choice.name)).tag(choice)
                }
            }
            .pickerStyle(.menu)
            .accessibilityHint(L("live.compute.hint"))
            Button {
                live.keepFrame()
            } label: {
                Label(L("live.keep"), systemImage: "square.and.arrow.down")
            }
            .buttonStyle(.bordered)
            .disabled(live.shown == nil)
            .accessibilityHint(L("live.keep.hint"))
            if let wasKept = live.wasKept {
                Label(
                    wasKept ? L("live.kept") : L("live.notKept"),
                    systemImage: wasKept ? "checkmark.circle" : "exclamationmark.triangle"
                )
                .font(.footnote)
            }
        }
        .frame(maxWidth: .infinity, alignment: .leading)
    }

    private func number(_ value: Double?) -> String {
        value.map { Format.number($0, digits: 0) } ?? L("live.noNumber")
    }
}
