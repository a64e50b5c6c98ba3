import SwiftUI
import UIKit

/// Point the camera at a game: the answer to what it sees, again and again.
@MainActor
struct LiveScreen: View {
    @EnvironmentObject private var app: AppState
    @EnvironmentObject private var history: HistoryStore
    @Environment(\.scenePhase) private var scenePhase
    @AppStorage("compute") private var compute = ComputeChoice.all
    // Here, not below: the camera goes on while another model is loaded.
    @StateObject private var live = LiveModel()
    @State private var isVisible = false

    private var isOn: Bool {
        isVisible && scenePhase == .active
    }

    var body: some View {
        NavigationStack {
            content
                .navigationTitle(L("tab.live"))
                .navigationBarTitleDisplayMode(.inline)
        }
        .onAppear { isVisible = true }
        .onDisappear {
            // The task below does not run again for a view that is gone.
            isVisible = false
            turnOff()
        }
        .task(id: isOn) {
            live.reload = { app.load(compute) }
            if isOn {
                // A phone on a tripod at a game must not fall asleep.
                UIApplication.shared.isIdleTimerDisabled = true
                live.appear(history)
            } else {
                turnOff()
            }
        }
        .onReceive(app.$phase) { phase in
            switch phase {
            case .loading: live.send(.modelLoading)
            case .failed: live.send(.modelFailed)
            case .ready(let classifier): live.use(classifier)
            }
        }
        .onChange(of: live.kept) { kept in
            if let kept {
                let said = kept.isKept ? L("live.kept", kept.number) : L("live.notKept")
                UIAccessibility.post(notification: .announcement, argument: said)
            }
        }
    }

    @ViewBuilder private var content: some View {
        switch live.screen {
        case .modelFailed:
            ModelProblemView()
        case .denied:
            NoticeView(symbol: "lock", title: L("live.denied.title"), text: L("live.denied.text")) {
                if let settings = URL(string: UIApplication.openSettingsURLString) {
                    Link(L("live.denied.settings"), destination: settings)
                }
            }
        case .noCamera:
            NoticeView(symbol: "camera", title: L("live.noCamera.title"), text: L("live.noCamera.text")) { retry }
        case .failed:
            NoticeView(
                symbol: "camera", title: L("live.failed.title"), text: L("live.failed.text"), detail: live.failure
            ) { retry }
        case .tooHot:
            NoticeView(symbol: "thermometer.high", title: L("live.tooHot.title"), text: L("live.tooHot.text")) {
                EmptyView()
            }
        case .loading, .starting, .live, .interrupted:
            LiveView(live: live, contract: app.contract)
        }
    }

    private func turnOff() {
        UIApplication.shared.isIdleTimerDisabled = false
        live.disappear()
    }

    private var retry: some View {
        Button(L("notice.retry")) {
            live.send(.retry)
        }
        .buttonStyle(.borderedProminent)
    }
}

/// The camera's picture and the panel, side by side or one above the other.
@MainActor
struct LiveView: View {
    @ObservedObject var live: LiveModel
    /// Nil while the model is loaded.
    let contract: ModelContract?

    @Environment(\.verticalSizeClass) private var height
    @State private var zoomAtStart: Double?

    var body: some View {
        // One container whose layout changes: with an `if` between two stacks a turn would make a new camera view.
        let isWide = height == .compact
        let layout = isWide ? AnyLayout(HStackLayout(spacing: 0)) : AnyLayout(VStackLayout(spacing: 0))
        layout {
            CameraPreview(session: live.camera.session, turn: live.turn) { angle in
                live.send(.rotated(angle))
            }
            .overlay { RegionBox(region: $live.region, frame: live.frameSize) }
            .gesture(pinch, including: live.region.isWhole ? .all : .subviews)
            .frame(maxWidth: .infinity, maxHeight: .infinity)
            .background(Color(uiColor: .secondarySystemBackground))
            .accessibilityElement()
            .accessibilityLabel(L("live.preview"))
            .accessibilityAdjustableAction { direction in
                live.zoom(from: live.zoom, pinch: direction == .increment ? 2 : 1 / 2)
            }
            ScrollView {
                LivePanel(live: live, contract: contract)
                    .padding()
            }
            .frame(maxWidth: .infinity, maxHeight: isWide ? .infinity : 340)
        }
    }

    private var pinch: some Gesture {
        MagnificationGesture()
            .onChanged { scale in
                let start = zoomAtStart ?? live.zoom
                zoomAtStart = start
                live.zoom(from: start, pinch: Double(scale))
            }
            .onEnded { _ in zoomAtStart = nil }
    }
}
