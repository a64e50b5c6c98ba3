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

/// What needs a model, or a readable screen while there is none.
struct WithModel<Content: View>: View {
    @EnvironmentObject private var app: AppState
    @ViewBuilder let content: (Classifier) -> Content

    var body: some View {
        switch app.phase {
        case .loading:
            ProgressView(L("model.loading"))
                .padding()
        case .failed(let problem):
            NoticeView(
                symbol: "exclamationmark.triangle", title: problem.title, text: problem.advice, detail: problem.detail
            )
        case .ready(let classifier):
            content(classifier)
        }
    }
}

/// A symbol, a title and what to do about it, instead of a screen's content.
struct NoticeView: View {
    let symbol: String
    let title: String
    let text: String
    var detail: String?

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
