import SwiftUI

/// Whether this device answers as the trained model does, how fast, and the file that says so.
@MainActor
struct DeviceCheckScreen: View {
    @State private var under: ComputeChoice?
    @State private var record: DeviceRecord?
    @State private var file: URL?
    @State private var trouble: String?
    @State private var work: Task<Void, Never>?

    var body: some View {
        List {
            Section {
                Text(L("check.what"))
                if let under {
                    ProgressView(L("check.working", under.name))
                    Button(L("check.cancel"), role: .cancel) {
                        work?.cancel()
                    }
                } else {
                    Button {
                        begin()
                    } label: {
                        Label(L("check.start"), systemImage: "checkmark.seal")
                    }
                }
                if let trouble {
                    Label(trouble, systemImage: "exclamationmark.triangle")
                }
            }
            if let record {
                results(record)
            }
        }
        .navigationTitle(L("check.title"))
        .onDisappear { work?.cancel() }
    }

    @ViewBuilder private func results(_ record: DeviceRecord) -> some View {
        Section {
            Label(
                record.passed ? L("check.pass", record.photos) : L("check.fail", record.photos),
                systemImage: record.passed ? "checkmark.circle" : "xmark.octagon"
            )
            .font(.headline)
            Fact(L("check.device"), record.device)
            Fact(L("check.system"), record.system)
            Fact(L("check.tolerance"), Format.number(record.tolerance, digits: 3))
            if let file {
                ShareLink(item: file) {
                    Label(L("check.share"), systemImage: "square.and.arrow.up")
                }
                .accessibilityHint(L("check.share.hint"))
            }
        }
        ForEach(record.runs, id: \.compute) { run in
            Section(ComputeChoice.allCases.first { $0.measured == run.compute }?.name ?? run.compute) {
                Fact(L("check.verdict"), run.passed ? L("check.verdict.pass") : L("check.verdict.fail"))
                Fact(L("check.difference"), Format.number(run.largestDifference, digits: 4))
                Fact(L("check.same"), Format.percent(run.sameAnswers))
                if let vision = run.vision {
                    Fact(L("check.vision.difference"), Format.number(vision.largestDifference, digits: 4))
                    Fact(L("check.vision.same"), Format.percent(vision.sameAnswers))
                }
                Fact(L("check.load"), L("check.milliseconds.two", number(run.coldMs), number(run.warmMs)))
                Fact(L("check.answer"), L("check.milliseconds.two", number(run.p50Ms), number(run.p95Ms)))
                Fact(L("check.heat"), heat(run.thermal))
            }
        }
    }

    private func begin() {
        trouble = nil
        record = nil
        file = nil
        under = ComputeChoice.allCases.first
        work = Task {
            defer { under = nil }
            do {
                let folder = try ModelFolder.find()
                let found = try await DeviceCheck.run(folder) { choice in
                    Task { @MainActor in
                        under = under == nil ? nil : choice
                    }
                }
                record = found
                file = try write(found)
            } catch is CancellationError {
                // Its user has stopped it, or left.
            } catch DeviceCheckProblem.noKit {
                trouble = L("check.noKit")
            } catch DeviceCheckProblem.unreadable(let name) {
                trouble = L("check.unreadable", name)
            } catch let problem as ModelProblem {
                trouble = [problem.title, problem.detail].compactMap { $0 }.joined(separator: " ")
            } catch {
                trouble = error.localizedDescription
            }
        }
    }

    private func write(_ record: DeviceRecord) throws -> URL {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent(DeviceRecord.fileName)
        try record.json().write(to: url, options: .atomic)
        return url
    }

    private func number(_ milliseconds: Double) -> String {
        Format.number(milliseconds, digits: 1)
    }

    private func heat(_ name: String) -> String {
        switch Heat(rawValue: name) {
        case .nominal: return L("heat.nominal")
        case .fair: return L("heat.fair")
        case .serious: return L("heat.serious")
        case .critical: return L("heat.critical")
        case nil: return name
        }
    }
}
