import SwiftUI

/// What was classified and kept; the place to correct it and to export what was checked.
@MainActor
struct HistoryScreen: View {
    @EnvironmentObject private var history: HistoryStore
    @State private var isExporting = false
    @State private var isRemovingAll = false

    var body: some View {
        NavigationStack {
            content
                .navigationTitle(L("tab.history"))
                .navigationDestination(for: UUID.self) { id in
                    ScrollView {
                        EntryView(id: id)
                            .padding()
                    }
                }
                .toolbar {
                    ToolbarItemGroup(placement: .primaryAction) {
                        Button {
                            isExporting = true
                        } label: {
                            Label(L("history.export"), systemImage: "square.and.arrow.up.on.square")
                        }
                        .disabled(history.checked == 0)
                        .accessibilityHint(L("history.export.hint"))
                        Button {
                            isRemovingAll = true
                        } label: {
                            Label(L("history.removeAll"), systemImage: "trash")
                        }
                        .disabled(history.entries.isEmpty)
                    }
                }
                .sheet(isPresented: $isExporting) {
                    ExportScreen()
                }
                .confirmationDialog(
                    L("history.removeAll.ask"), isPresented: $isRemovingAll, titleVisibility: .visible
                ) {
                    Button(L("history.removeAll"), role: .destructive, action: { history.removeAll() })
                }
        }
    }

    @ViewBuilder private var content: some View {
        if history.entries.isEmpty {
            NoticeView(
                symbol: "clock", title: L("history.empty.title"), text: L("history.empty.text"), detail: history.trouble
            ) {
                EmptyView()
            }
        } else {
            List {
                if let trouble = history.trouble {
                    Label(trouble, systemImage: "exclamationmark.triangle")
                }
                ForEach(history.entries) { entry in
                    NavigationLink(value: entry.id) {
                        HistoryRow(entry: entry)
                    }
                }
                .onDelete { history.remove(at: $0) }
            }
        }
    }
}

@MainActor
struct HistoryRow: View {
    let entry: HistoryEntry

    @EnvironmentObject private var app: AppState
    @EnvironmentObject private var history: HistoryStore
    @ScaledMetric(relativeTo: .body) private var side = 56.0

    var body: some View {
        HStack(spacing: 12) {
            StoredImage(url: history.files.url(entry.thumbnail), contentMode: .fill)
                .frame(width: side, height: side)
                .clipShape(RoundedRectangle(cornerRadius: 8))
                .accessibilityHidden(true)
            VStack(alignment: .leading, spacing: 2) {
                Text(title)
                    .font(.headline)
                Text(entry.date.formatted(date: .abbreviated, time: .shortened))
                    .font(.subheadline)
                    .foregroundStyle(.secondary)
                if let truth = entry.truth {
                    Text(entry.isRight == true ? L("entry.right") : L("history.corrected", app.displayName(truth)))
                        .font(.subheadline)
                }
            }
        }
        .accessibilityElement(children: .combine)
    }

    private var title: String {
        let name = app.displayName(entry.answerName)
        let share = Format.percent(entry.answerProbability)
        return entry.isSure ? L("history.sure", name, share) : L("history.unsure", name, share)
    }
}
