import SwiftUI

struct RootView: View {
    @EnvironmentObject private var app: AppState
    @AppStorage("compute") private var compute = ComputeChoice.all

    var body: some View {
        TabView {
            LiveScreen()
                .tabItem { Label(L("tab.live"), systemImage: "camera.viewfinder") }
            PhotoScreen()
                .tabItem { Label(L("tab.photo"), systemImage: "photo") }
            HistoryScreen()
                .tabItem { Label(L("tab.history"), systemImage: "clock") }
            AboutScreen()
                .tabItem { Label(L("tab.about"), systemImage: "info.circle") }
        }
        .task(id: compute) {
            app.load(compute)
        }
    }
}

/// What needs a model, or a screen with a way out while there is none.
struct WithModel<Content: View>: View {
    @EnvironmentObject private var app: AppState
    @ViewBuilder let content: (Classifier) -> Content

    var body: some View {
        switch app.phase {
        case .loading:
            ProgressView(L("model.loading"))
                .padding()
        case .failed:
            ModelProblemView()
        case .ready(let classifier):
            content(classifier)
        }
    }
}

/// Why there is no model, and what can be done about it here: other units, another try, another model.
@MainActor
struct ModelProblemView: View {
    @EnvironmentObject private var app: AppState
    @AppStorage("compute") private var compute = ComputeChoice.all

    var body: some View {
        if case .failed(let problem) = app.phase {
            NoticeView(
                symbol: "exclamationmark.triangle", title: problem.title, text: problem.advice, detail: problem.detail
            ) {
                ComputePicker()
                Button(L("notice.retry")) {
                    app.load(compute)
                }
                .buttonStyle(.borderedProminent)
                ImportButton()
                if app.hasImported {
                    Button(L("import.remove"), role: .destructive) {
                        app.removeImported(compute)
                    }
                }
            }
        }
    }
}

/// A symbol, a title, what to do about it, and the buttons for that, instead of a screen's content.
struct NoticeView<Exits: View>: View {
    let symbol: String
    let title: String
    let text: String
    var detail: String?
    @ViewBuilder let exits: () -> Exits

    var body: some View {
        ScrollView {
            VStack(spacing: 12) {
                Image(systemName: symbol)
                    .font(.largeTitle)
                    .foregroundStyle(.secondary)
                    .accessibilityHidden(true)
                Text(title)
                    .font(.headline)
                    .accessibilityAddTraits(.isHeader)
                Text(text)
                    .foregroundStyle(.secondary)
                exits()
                if let detail {
                    Text(detail)
                        .font(.footnote.monospaced())
                        .foregroundStyle(.secondary)
                        .textSelection(.enabled)
                }
            }
            .multilineTextAlignment(.center)
            .frame(maxWidth: .infinity)
            .padding()
        }
    }
}
