import PhotosUI
import SwiftUI
import UniformTypeIdentifiers

/// A photo from the library, from a file or dropped here, and the answer to it.
struct PhotoScreen: View {
    var body: some View {
        NavigationStack {
            WithModel { classifier in
                PhotoView(classifier: classifier)
            }
            .navigationTitle(L("tab.photo"))
            .navigationBarTitleDisplayMode(.inline)
        }
    }
}

@MainActor
struct PhotoView: View {
    let classifier: Classifier

    @EnvironmentObject private var history: HistoryStore
    @State private var chosen: PhotosPickerItem?
    @State private var isImporting = false
    @State private var isTargeted = false
    @State private var isWorking = false
    @State private var trouble: String?
    @State private var result: UUID?

    var body: some View {
        ScrollView {
            VStack(spacing: 16) {
                PhotosPicker(selection: $chosen, matching: .images) {
                    Label(L("photo.library"), systemImage: "photo.on.rectangle")
                        .frame(maxWidth: .infinity)
                }
                .buttonStyle(.borderedProminent)
                Button {
                    isImporting = true
                } label: {
                    Label(L("photo.file"), systemImage: "folder")
                        .frame(maxWidth: .infinity)
                }
                .buttonStyle(.bordered)
                Label(L("photo.drop"), systemImage: "arrow.down.doc")
                    .font(.footnote)
                    .foregroundStyle(.secondary)
                outcome
            }
            .controlSize(.large)
            .padding()
        }
        .background(isTargeted ? Color(uiColor: .secondarySystemBackground) : Color(uiColor: .systemBackground))
        .onDrop(of: [UTType.image], isTargeted: $isTargeted) { takeDropped($0) }
        .fileImporter(isPresented: $isImporting, allowedContentTypes: [UTType.image]) { takeFile($0) }
        .onChange(of: chosen) { item in
            if let item {
                chosen = nil
                Task { await takeChosen(item) }
            }
        }
    }

    @ViewBuilder private var outcome: some View {
        if isWorking {
            ProgressView(L("photo.working"))
        } else if let trouble {
            Label(trouble, systemImage: "exclamationmark.triangle")
                .frame(maxWidth: .infinity, alignment: .leading)
        } else if let result {
            EntryView(id: result)
        }
    }

    private func takeChosen(_ item: PhotosPickerItem) async {
        isWorking = true
        let data = try? await item.loadTransferable(type: Data.self)
        await classify(data, source: .library)
    }

    private func takeFile(_ picked: Result<URL, Error>) {
        guard case .success(let url) = picked else {
            trouble = L("photo.unreadable")
            return
        }
        isWorking = true
        Task {
            let data = await Task.detached { () -> Data? in
                let isOpen = url.startAccessingSecurityScopedResource()
                defer {
                    if isOpen {
                        url.stopAccessingSecurityScopedResource()
                    }
                }
                return try? Data(contentsOf: url)
            }.value
            await classify(data, source: .file)
        }
    }

    private func takeDropped(_ providers: [NSItemProvider]) -> Bool {
        guard let provider = providers.first else {
            return false
        }
        isWorking = true
        _ = provider.loadDataRepresentation(forTypeIdentifier: UTType.image.identifier) { data, _ in
            Task { @MainActor in
                await classify(data, source: .file)
            }
        }
        return true
    }

    private func classify(_ data: Data?, source: HistoryEntry.Source) async {
        defer { isWorking = false }
        trouble = nil
        result = nil
        let classifier = self.classifier
        guard let data, let picture = try? await Task.detached(operation: { try Picture.decode(data) }).value else {
            trouble = L("photo.unreadable")
            return
        }
        let asked = try? await Task.detached(operation: { try classifier.probabilities(of: picture) }).value
        guard let probabilities = asked, let answer = classifier.answer(to: probabilities) else {
            trouble = L("live.silent")
            return
        }
        result = await history.add(
            picture, source: source, probabilities: probabilities, answer: answer, contract: classifier.contract
        )
        if result == nil {
            trouble = history.trouble
        }
    }
}
