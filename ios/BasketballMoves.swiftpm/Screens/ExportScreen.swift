import SwiftUI

/// The checked photos as one file, for the share sheet.
@MainActor
struct ExportScreen: View {
    @EnvironmentObject private var app: AppState
    @EnvironmentObject private var history: HistoryStore
    @Environment(\.dismiss) private var dismiss
    @AppStorage("author") private var author = ""
    @AppStorage("licence") private var licence = ""
    @State private var archive: CorrectionsArchive?
    @State private var isWriting = false
    @State private var trouble: String?

    var body: some View {
        NavigationStack {
            ScrollView {
                VStack(alignment: .leading, spacing: 16) {
                    Text(L("export.what"))
                    Text(L("export.consent"))
                        .foregroundStyle(.secondary)
                    TextField(L("export.author"), text: $author)
                        .textContentType(.name)
                    TextField(L("export.licence"), text: $licence)
                        .autocorrectionDisabled()
                    Text(L("export.rights"))
                        .font(.footnote)
                        .foregroundStyle(.secondary)
                    Button {
                        Task { await write() }
                    } label: {
                        Label(L("export.write"), systemImage: "doc.zipper")
                            .frame(maxWidth: .infinity)
                    }
                    .buttonStyle(.bordered)
                    .disabled(isWriting)
                    if isWriting {
                        ProgressView(L("export.working"))
                    } else if let archive {
                        Text(L("export.ready", archive.photos, size(archive)))
                            .font(.headline)
                        if !archive.unreadable.isEmpty {
                            Label(L("export.unreadable", names(archive)), systemImage: "exclamationmark.triangle")
                        }
                        ShareLink(item: archive.url) {
                            Label(L("export.share"), systemImage: "square.and.arrow.up")
                                .frame(maxWidth: .infinity)
                        }
                        .buttonStyle(.borderedProminent)
                    } else if let trouble {
                        Label(L("export.failed", trouble), systemImage: "exclamationmark.triangle")
                    }
                }
                .textFieldStyle(.roundedBorder)
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
        // An archive says what the fields said when it was written.
        .onChange(of: author) { _ in archive = nil }
        .onChange(of: licence) { _ in archive = nil }
    }

    private func write() async {
        isWriting = true
        defer { isWriting = false }
        trouble = nil
        let rights = PhotoRights(author: author, licence: licence)
        let entries = history.entries
        let folder = history.files.folder
        let names = app.contract?.classes.map(\.name) ?? entries.first?.classNames ?? []
        do {
            archive = try await Task.detached {
                try CorrectionsArchive.write(entries, classNames: names, rights: rights, folder: folder)
            }.value
        } catch {
            trouble = error.localizedDescription
        }
    }

    /// The days and answers of photos that cannot be read, as the history shows them.
    private func names(_ archive: CorrectionsArchive) -> String {
        let rows = archive.unreadable.map { entry in
            L(
                "export.unreadable.photo", entry.date.formatted(date: .abbreviated, time: .shortened),
                app.displayName(entry.answerName)
            )
        }
        return rows.joined(separator: "; ")
    }

    private func size(_ archive: CorrectionsArchive) -> String {
        Int64(archive.bytes).formatted(.byteCount(style: .file))
    }
}
