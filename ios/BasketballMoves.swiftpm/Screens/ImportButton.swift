import SwiftUI
import UniformTypeIdentifiers

/// Takes a model file or the folder of an export, without building the app again.
@MainActor
struct ImportButton: View {
    @EnvironmentObject private var app: AppState
    @AppStorage("compute") private var compute = ComputeChoice.all
    @State private var isImporting = false
    @State private var trouble: String?

    var body: some View {
        Button {
            isImporting = true
        } label: {
            Label(L("import.choose"), systemImage: "square.and.arrow.down.on.square")
        }
        .buttonStyle(.bordered)
        .accessibilityHint(L("import.hint"))
        // A package is a folder where its kind is not known, and a plain file else.
        .fileImporter(isPresented: $isImporting, allowedContentTypes: [.folder, .package, .item]) { picked in
            trouble = nil
            if case .success(let url) = picked {
                Task {
                    trouble = await app.importModel(url, compute)
                }
            }
        }
        if let trouble {
            Label(trouble, systemImage: "exclamationmark.triangle")
                .font(.footnote)
        }
    }
}
