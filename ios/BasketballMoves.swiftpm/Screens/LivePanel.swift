import SwiftUI

/// The answer to the last frames, how fast it comes, and how the camera looks.
@MainActor
struct LivePanel: View {
    @ObservedObject var live: LiveModel
    /// Nil while the model is loaded.
    let contract: ModelContract?

    var body: some View {
        VStack(alignment: .leading, spacing: 12) {
            answer
            if live.heat == .fair || live.heat == .serious {
                Label(L("live.warm", live.heat.framesPerSecond), systemImage: "thermometer.medium")
                    .font(.footnote)
            }
            Button {
                live.keepFrame()
            } label: {
                Label(L("live.keep"), systemImage: "square.and.arrow.down")
            }
            .buttonStyle(.bordered)
            .disabled(live.shown == nil)
            .accessibilityHint(L("live.keep.hint"))
            if let kept = live.kept {
                // The number changes with every frame: the second tap is answered as the first was.
                Label(
                    kept.isKept ? L("live.kept", kept.number) : L("live.notKept"),
                    systemImage: kept.isKept ? "checkmark.circle" : "exclamationmark.triangle"
                )
                .font(.footnote)
            }
            CameraControls(live: live)
            ComputePicker()
        }
        .frame(maxWidth: .infinity, alignment: .leading)
    }

    @ViewBuilder private var answer: some View {
        if live.screen == .interrupted {
            Label(L("live.interrupted"), systemImage: "pause.circle")
            Button(L("notice.retry")) {
                live.send(.retry)
            }
            .buttonStyle(.bordered)
        } else if live.screen == .loading {
            ProgressView(L("model.loading"))
        } else if live.isSilent {
            Label(L("live.silent"), systemImage: "exclamationmark.triangle")
        } else if let shown = live.shown, let contract {
            AnswerView(
                classNames: contract.classes.map(\.name), probabilities: shown.probabilities, answer: shown.answer
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
    }

    private func number(_ value: Double?) -> String {
        value.map { Format.number($0, digits: 0) } ?? L("live.noNumber")
    }
}

/// Lens, zoom, light, and whether only a part of the picture is classified.
@MainActor
struct CameraControls: View {
    @ObservedObject var live: LiveModel

    var body: some View {
        Text(L("live.zoom", Format.number(live.zoom, digits: 1)))
            .font(.footnote.monospacedDigit())
            .foregroundStyle(.secondary)
        if live.lenses.count > 1 {
            Picker(L("live.lens"), selection: lens) {
                ForEach(live.lenses) { lens in
                    Text(lens.name).tag(Optional(lens))
                }
            }
            .pickerStyle(.segmented)
            .accessibilityHint(L("live.lens.hint"))
        }
        Toggle(L("live.region"), isOn: hasRegion)
            .accessibilityHint(L("live.region.hint"))
        if live.lens?.device.hasTorch == true {
            Toggle(L("live.torch"), isOn: isLit)
        }
    }

    private var lens: Binding<Lens?> {
        Binding(
            get: { live.lens },
            set: { chosen in
                if let chosen {
                    live.choose(chosen)
                }
            }
        )
    }

    private var isLit: Binding<Bool> {
        Binding(get: { live.isLit }, set: { live.light($0) })
    }

    private var hasRegion: Binding<Bool> {
        Binding(
            get: { !live.region.isWhole },
            set: { live.region = $0 ? Region.whole.scaled(1 / 2) : Region.whole }
        )
    }
}

/// Which units Core ML is asked for.
@MainActor
struct ComputePicker: View {
    @AppStorage("compute") private var compute = ComputeChoice.all

    var body: some View {
        Picker(L("live.compute"), selection: $compute) {
            ForEach(ComputeChoice.allCases) { choice in
                Text(L("live.compute.asked", choice.name)).tag(choice)
            }
        }
        .pickerStyle(.menu)
        .accessibilityHint(L("live.compute.hint"))
    }
}
