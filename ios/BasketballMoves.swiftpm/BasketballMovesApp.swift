import SwiftUI

@main
struct BasketballMovesApp: App {
    @StateObject private var app = AppState()
    @StateObject private var history = HistoryStore()

    var body: some Scene {
        WindowGroup {
            RootView()
                .environmentObject(app)
                .environmentObject(history)
        }
    }
}
