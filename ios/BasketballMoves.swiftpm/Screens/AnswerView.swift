import SwiftUI

/// The answer in large, and a bar for each of the most probable classes.
@MainActor
struct AnswerView: View {
    let classNames: [String]
    let probabilities: [Double]
    let answer: Answer

    @EnvironmentObject private var app: AppState

    /// More bars than this help nobody.
    private static let bars = 5

    private var name: String {
        classNames.indices.contains(answer.index) ? app.displayName(classNames[answer.index]) : ""
    }

    var body: some View {
        VStack(alignment: .leading, spacing: 10) {
            VStack(alignment: .leading, spacing: 2) {
                Text(answer.isSure ? name : L("answer.unsure"))
                    .font(.title.bold())
                if !answer.isSure {
                    Text(L("answer.perhaps", name))
                        .foregroundStyle(.secondary)
                }
            }
            .accessibilityElement(children: .combine)
            ForEach(Judge.ranking(probabilities).prefix(AnswerView.bars), id: \.self) { place in
                if classNames.indices.contains(place) {
                    ConfidenceBar(
                        name: app.displayName(classNames[place]), probability: probabilities[place],
                        isAnswer: answer.isSure && place == answer.index
                    )
                }
            }
        }
    }
}

/// A class's name, its probability as a number and as a bar.
struct ConfidenceBar: View {
    let name: String
    let probability: Double
    let isAnswer: Bool

    var body: some View {
        VStack(alignment: .leading, spacing: 2) {
            HStack {
                Text(name)
                    .fontWeight(isAnswer ? .semibold : .regular)
                Spacer()
                Text(Format.percent(probability))
                    .monospacedDigit()
            }
            .font(.subheadline)
            ProgressView(value: min(max(probability, 0), 1))
                .tint(isAnswer ? Color.accentColor : Color.secondary)
        }
        .accessibilityElement(children: .ignore)
        .accessibilityLabel(name)
        .accessibilityValue(Format.percent(probability))
    }
}
