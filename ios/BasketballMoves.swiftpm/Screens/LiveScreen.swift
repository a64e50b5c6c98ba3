import SwiftUI
import UIKit

/// Point the camera at a game: the answer to what it sees, again and again.
struct LiveScreen: View {
    // Here, not in LiveView: the camera goes on while another model is loaded.
    @StateObject private var live = LiveModel()

    var body: some View {
        NavigationStack {
            WithModel { classifier in
                LiveView(classifier: classifier, live: live)
            }
            .navigationTitle(L("tab.live"))
            .navigationBarTitleDisplayMode(.inline)
        }
    }
}

@MainActor
struct LiveView: View {
    let classifier: Classifier
    @ObservedObject var live: LiveModel

    @EnvironmentObject private var history: HistoryStore
    @Environment(\.scenePhase) private var scenePhase
    @Environment(\.verticalSizeClass) private var height
    @State private var isVisible = false

    private var isOn: Bool {
        isVisible && scenePhase == .active
    }

    var body: some View {
        content
            .onAppear { isVisible = true }
            .onDisappear {
                isVisible = false
                turnOff()
            }
            .task(id: isOn) {
                if isOn {
                    await turnOn()
                } else {
                    turnOff()
                }
            }
            .onChange(of: live.wasKept) { wasKept in
                if let wasKept {
                    let said = wasKept ? L("live.kept") : L("live.notKept")
                    UIAccessibility.post(notification: .announcement, argument: said)
                }
            }
    }

    @ViewBuilder private var content: some View {
        switch live.status {
        case .denied:
            VStack {
                NoticeView(symbol: "lock", title: L("live.denied.title"), text: L("live.denied.text"))
                if let settings = URL(string: UIApplication.openSettingsURLString) {
                    Link(L("live.denied.settings"), destination: settings)
                        .padding()
                }
            }
        case .noCamera:
            NoticeView(symbol: "camera", title: L("live.noCamera.title"), text: L("live.noCamera.text"))
        case .failed(let text):
            NoticeView(symbol: "camera", title: L("live.failed.title"), text: L("live.failed.text"), detail: text)
        case .starting, .running, .interrupted:
            if height == .compact {
                HStack(spacing: 0) { cameraAndAnswer }
            } else {
                VStack(spacing: 0) { cameraAndAnswer }
            }
        }
    }

    @ViewBuilder private var cameraAndAnswer: some View {
        CameraPreview(session: live.camera.session)
            .frame(maxWidth: .infinity, maxHeight: .infinity)
            .background(Color(uiColor: .secondarySystemBackground))
            .accessibilityElement()
            .accessibilityLabel(L("live.preview"))
        ScrollView {
            LivePanel(classifier: classifier, live: live)
                .padding()
        }
        .frame(maxWidth: .infinity, maxHeight: height == .compact ? .infinity : 320)
    }

    private func turnOn() async {
        // A phone on a tripod at a game must not fall asleep.
        UIApplication.shared.isIdleTimerDisabled = true
        await live.start(classifier, history: history)
    }

    private func turnOff() {
        UIApplication.shared.isIdleTimerDisabled = false
        live.stop()
    }
}
