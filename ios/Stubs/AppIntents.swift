// App Intents, as far as the app uses them.
@_exported import FoundationOfApple

public protocol IntentResult {}
public protocol ReturnsValue<Value>: IntentResult {
    associatedtype Value
}
public protocol ProvidesDialog: IntentResult {}

public struct IntentResultContainer<Value>: ReturnsValue, ProvidesDialog {}
extension IntentResult {
    public static func result<Value>(
        value: Value, dialog: IntentDialog
    ) -> IntentResultContainer<Value> where Self == IntentResultContainer<Value> { IntentResultContainer() }
}

public struct IntentDialog: Sendable {
    public init(stringLiteral value: String) {}
}

public struct IntentDescription: Sendable {
    public init(_ descriptionText: LocalizedStringResource) {}
}

public struct IntentFile: Sendable {
    public var data: Data { Data() }
}

@propertyWrapper
public final class IntentParameter<Value>: @unchecked Sendable {
    public init(title: LocalizedStringResource, supportedTypeIdentifiers: [String]) {}
    public var wrappedValue: Value {
        get { fatalError() }
        set {}
    }
}

public protocol AppIntent: Sendable {
    associatedtype PerformResult: IntentResult
    init()
    static var title: LocalizedStringResource { get }
    static var description: IntentDescription? { get }
    func perform() async throws -> PerformResult
}
extension AppIntent {
    public typealias Parameter = IntentParameter
}

public enum AppShortcutPhraseToken: Sendable {
    case applicationName
}

public struct AppShortcutPhrase<Intent>: ExpressibleByStringInterpolation, Sendable {
    public struct StringInterpolation: StringInterpolationProtocol {
        public init(literalCapacity: Int, interpolationCount: Int) {}
        public mutating func appendLiteral(_ literal: String) {}
        public mutating func appendInterpolation(_ token: AppShortcutPhraseToken) {}
    }

    public init(stringLiteral value: String) {}
    public init(stringInterpolation: StringInterpolation) {}
}

public struct AppShortcut: Sendable {
    public init<Intent: AppIntent>(intent: Intent, phrases: [AppShortcutPhrase<Intent>]) {}
}

@resultBuilder
public struct AppShortcutsBuilder {
    public static func buildBlock(_ components: AppShortcut...) -> [AppShortcut] { components }
}

public protocol AppShortcutsProvider {
    @AppShortcutsBuilder static var appShortcuts: [AppShortcut] { get }
}
