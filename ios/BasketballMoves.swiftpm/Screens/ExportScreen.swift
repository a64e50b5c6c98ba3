import SwiftUI

/// The checked photos as one file, for the share sheet.
@MainActor
struct ExportScreen: View {
    @EnvironmentObject private var app: AppState
    @EnvironmentObject private var history: HistoryStore
    @Environment(\.dismiss) private var dismiss
    @State private var archive: CorrectionsArchive?
    @State private var trouble: String?

    var body: some View {
        NavigationStack {
            ScrollView {
                VStack(alignment: .leading, spacing: 16) {
                    Text(L("export.what"))
                    Text(L("export.consent"))
                        .foregroundStyle(.secondary)
                    if let archive {
                        Text(L("export.ready", archive.photos, size(archive)))
                            .font(.headline)
                        ShareLink(item: archive.url) {
                            Label(L("export.share"), systemImage: "square.and.arrow.up")
                                .frame(maxWidth: .infinity)
                        }
                        .buttonStyle(.borderedProminent)
                    } else if let trouble {
                        Label(L("export.failed", trouble), systemImage: "exclamationmark.triangle")
                    } else {
                        ProgressView(L("export.working"))
                    }
                }
                .frame(maxWidth: .infinity, alignment: .leading)
                .padding()
            }
            .navigationTitle(L("history.export"))
            .navigationBarTitleDisplayMode(.inline)
            .toolbar {
                ToolbarItem(placement: .confirmationAction) {
                    Button(L("export.done"), action: { dismiss() })
                }
            }
        }
        .task {
            await write()
        }
    }

    private func write() async {
        let entries = history.entries
        let folder = history.files.folder
        let names = app.contract?.classes.map(\.name) ?? entries.first?.classNames ?? []
        do {
            archive = try await Task.detached {
                try CorrectionsArchive.write(entries, classNames: names, folder: folder)
            }.value
        } catch {
            trouble = error.localizedDescription
        }
    }

    private func size(_ archive: CorrectionsArchive) -> String {
        Int64(archive.bytes).formatted(.byteCount(style: .file))
    }
}
