import SwiftUI

/// The model card: what the model is, how good it is, and what it must not be used for.
struct AboutScreen: View {
    @EnvironmentObject private var app: AppState
    @AppStorage("compute") private var compute = ComputeChoice.all

    var body: some View {
        NavigationStack {
            List {
                Section(L("about.privacy")) {
                    Text(L("about.privacy.text"))
                }
                Section(L("about.here")) {
                    NavigationLink {
                        DeviceCheckScreen()
                    } label: {
                        Label(L("check.title"), systemImage: "checkmark.seal")
                    }
                    ImportButton()
                    if app.hasImported {
                        Text(L("import.is"))
                        Button(L("import.remove"), role: .destructive) {
                            app.removeImported(compute)
                        }
                    }
                }
                if case .failed(let problem) = app.phase {
                    Section(L("about.model")) {
                        Text(problem.title)
                        Text(problem.advice)
                    }
                }
                if let contract = app.contract {
                    ModelCardSections(contract: contract)
                }
                Section(L("about.limits")) {
                    Text(L("about.limits.moves"))
                    Text(L("about.limits.figures"))
                    Text(L("about.limits.people"))
                    Text(L("about.limits.consent"))
                }
            }
            .navigationTitle(L("tab.about"))
        }
    }
}

@MainActor
struct ModelCardSections: View {
    let contract: ModelContract

    @EnvironmentObject private var app: AppState

    var body: some View {
        Section(L("about.model")) {
            Text(contract.card.description)
            Fact(L("about.author"), contract.card.author)
            Fact(L("about.licence"), contract.card.licence)
            Fact(L("about.network"), contract.card.network)
            Fact(L("about.trained"), contract.card.trained)
            Fact(L("about.exported"), contract.card.exported)
            Fact(L("about.temperature"), Format.number(contract.card.temperature, digits: 3))
            Fact(L("about.version"), contract.card.version)
        }
        Section(L("about.accuracy")) {
            accuracy
        }
        Section(L("about.proof")) {
            if let proof = contract.verification {
                Text(L("about.proof.text", proof.photos, Format.percent(proof.sameAnswers, digits: 1)))
                Fact(L("about.proof.difference"), Format.number(proof.largestDifference, digits: 4))
                Fact(L("about.proof.accuracy"), Format.percent(proof.accuracy, digits: 1))
                Fact(L("about.proof.engines"), proof.engines.joined(separator: "; "))
            } else {
                Text(L("about.proof.none"))
            }
        }
        Section(L("about.input")) {
            Fact(L("about.input.size"), L("about.input.pixels", contract.input.size, contract.input.size))
            Fact(L("about.input.fit"), contract.input.fit)
            Fact(L("about.threshold"), threshold)
        }
        Section(L("about.hashes")) {
            hash(L("about.hashes.model"), contract.model.sha256)
            hash(L("about.hashes.checkpoint"), contract.card.checkpointSHA256)
            hash(L("about.hashes.dataset"), contract.card.datasetSHA256)
        }
    }

    @ViewBuilder private var accuracy: some View {
        if let figures = contract.accuracy {
            Fact(L("about.accuracy.value", figures.photos), Format.percent(figures.value, digits: 1))
            Fact(
                L("about.accuracy.interval"),
                L("about.range", Format.percent(figures.low, digits: 1), Format.percent(figures.high, digits: 1))
            )
            Fact(L("about.accuracy.macroF1"), Format.number(figures.macroF1, digits: 3))
            ForEach(figures.perClass, id: \.name) { row in
                Fact(
                    app.displayName(row.name),
                    L(
                        "about.accuracy.class", Format.number(row.precision, digits: 2),
                        Format.number(row.recall, digits: 2), Format.number(row.f1, digits: 2), row.photos
                    )
                )
            }
        } else {
            Text(L("about.accuracy.none"))
        }
    }

    private var threshold: String {
        guard let threshold = contract.threshold else {
            return L("about.threshold.none")
        }
        return threshold > 0 ? Format.percent(threshold, digits: 1) : L("about.threshold.never")
    }

    private func hash(_ name: String, _ value: String) -> some View {
        VStack(alignment: .leading, spacing: 2) {
            Text(name)
            Text(value.isEmpty ? L("about.hashes.none") : value)
                .font(.caption.monospaced())
                .foregroundStyle(.secondary)
                .textSelection(.enabled)
        }
    }
}

/// A name and its value, side by side or one above the other if the text is large.
struct Fact: View {
    private let name: String
    private let value: String

    init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    var body: some View {
        ViewThatFits(in: .horizontal) {
            HStack {
                Text(name)
                Spacer(minLength: 12)
                Text(value)
                    .foregroundStyle(.secondary)
            }
            VStack(alignment: .leading, spacing: 2) {
                Text(name)
                Text(value)
                    .foregroundStyle(.secondary)
            }
        }
        .accessibilityElement(children: .combine)
    }
}
