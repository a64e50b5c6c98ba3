import PhotosUI
import SwiftUI
import UniformTypeIdentifiers

/// Photos and videos from the library, from files or dropped here, and the answers to them.
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
    @StateObject private var queue = PhotoQueue()
    @State private var chosen: [PhotosPickerItem] = []
    @State private var isImporting = false
    @State private var isTargeted = false

    private static let kinds: [UTType] = [.image, .movie]

    var body: some View {
        ScrollView {
            VStack(spacing: 16) {
                PhotosPicker(selection: $chosen, matching: .any(of: [.images, .videos])) {
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
                progress
                ForEach(queue.outcomes) { outcome in
                    OutcomeView(outcome: outcome)
                    Divider()
                }
            }
            .controlSize(.large)
            .padding()
        }
        .background(isTargeted ? Color(uiColor: .secondarySystemBackground) : Color(uiColor: .systemBackground))
        .onDrop(of: PhotoView.kinds, isTargeted: $isTargeted) { takeDropped($0) }
        .fileImporter(
            isPresented: $isImporting, allowedContentTypes: PhotoView.kinds, allowsMultipleSelection: true
        ) { picked in
            if case .success(let urls) = picked {
                queue.add(urls.map(ChosenFiles.item), by: classifier, into: history)
            }
        }
        .onChange(of: chosen) { items in
            if !items.isEmpty {
                chosen = []
                queue.add(items.map(item), by: classifier, into: history)
            }
        }
    }

    @ViewBuilder private var progress: some View {
        if queue.isWorking {
            ProgressView(L("photo.working", queue.done + 1, queue.total))
            if let share = queue.share {
                ProgressView(value: share)
                    .accessibilityLabel(L("video.working"))
            }
            Button(L("photo.cancel"), role: .cancel) {
                queue.cancel()
            }
        }
    }

    private func item(_ picked: PhotosPickerItem) -> PhotoQueue.Item {
        if picked.supportedContentTypes.contains(where: { $0.conforms(to: .movie) }) {
            return PhotoQueue.Item(
                content: .video { try? await picked.loadTransferable(type: ChosenVideo.self)?.url }, source: .library
            )
        }
        return PhotoQueue.Item(
            content: .photo { try? await picked.loadTransferable(type: Data.self) }, source: .library
        )
    }

    private func takeDropped(_ providers: [NSItemProvider]) -> Bool {
        for provider in providers {
            let type = provider.hasItemConformingToTypeIdentifier(UTType.movie.identifier) ? UTType.movie : UTType.image
            // The file is gone when the closure returns: copy it there.
            _ = provider.loadFileRepresentation(forTypeIdentifier: type.identifier) { url, _ in
                let copy = url.flatMap { try? ChosenFiles.copy($0) }
                Task { @MainActor in
                    if let copy {
                        queue.add([ChosenFiles.item(copy)], by: classifier, into: history)
                    }
                }
            }
        }
        return !providers.isEmpty
    }
}

/// A photo with its answer, a video with its timeline, or why there is none.
@MainActor
struct OutcomeView: View {
    let outcome: PhotoQueue.Outcome

    var body: some View {
        switch outcome {
        case .photo(let id):
            EntryView(id: id)
        case .video(let answers):
            VideoTimeline(answers: answers)
        case .trouble(_, let text):
            Label(text, systemImage: "exclamationmark.triangle")
                .frame(maxWidth: .infinity, alignment: .leading)
        }
    }
}
