import SwiftUI

/// The parts of a video with one answer each, as `bball predict` lists them.
@MainActor
struct VideoTimeline: View {
    let answers: VideoAnswers

    @EnvironmentObject private var app: AppState

    var body: some View {
        VStack(alignment: .leading, spacing: 8) {
            Text(answers.name)
                .font(.headline)
            Text(L("video.length", Timeline.clock(answers.seconds), frames))
                .font(.footnote)
                .foregroundStyle(.secondary)
            ForEach(Array(answers.segments.enumerated()), id: \.offset) { _, segment in
                HStack {
                    Text(L("video.span", Timeline.clock(segment.start), Timeline.clock(segment.end)))
                        .font(.footnote.monospacedDigit())
                        .foregroundStyle(.secondary)
                    Text(name(segment))
                        .fontWeight(segment.answer == nil ? .regular : .semibold)
                    Spacer(minLength: 12)
                    Text(Format.percent(segment.probability))
                        .monospacedDigit()
                }
                .accessibilityElement(children: .combine)
            }
            ShareLink(item: text) {
                Label(L("video.share"), systemImage: "square.and.arrow.up")
            }
            .accessibilityHint(L("video.share.hint"))
        }
        .frame(maxWidth: .infinity, alignment: .leading)
    }

    private var frames: Int {
        answers.segments.reduce(0) { $0 + $1.frames }
    }

    private func name(_ segment: Segment) -> String {
        let classes = app.contract?.classes ?? []
        guard let place = segment.answer, classes.indices.contains(place) else {
            return L("answer.unsure")
        }
        return app.displayName(classes[place].name)
    }

    private var text: String {
        let lines = answers.segments.map { segment in
            L(
                "video.line", Timeline.clock(segment.start), Timeline.clock(segment.end),
                Format.percent(segment.probability), name(segment)
            )
        }
        return ([answers.name] + lines).joined(separator: "\n")
    }
}
