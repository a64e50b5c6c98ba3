// SwiftUI, as far as the app uses it: the modifiers of views. Compiled into the module SwiftUI.

public struct ButtonStyleOfApple: Sendable {
    public static let bordered = ButtonStyleOfApple()
    public static let borderedProminent = ButtonStyleOfApple()
}
public struct PickerStyleOfApple: Sendable {
    public static let menu = PickerStyleOfApple()
    public static let segmented = PickerStyleOfApple()
}
public struct TextFieldStyleOfApple: Sendable {
    public static let roundedBorder = TextFieldStyleOfApple()
}
public struct TextSelectabilityOfApple: Sendable {
    public static let enabled = TextSelectabilityOfApple()
}
public enum ControlSize: Sendable {
    case large
}
public enum Visibility: Sendable {
    case visible
}
public struct NavigationBarItem {
    public enum TitleDisplayMode: Sendable {
        case inline
    }
}
public struct ToolbarItemPlacement: Sendable {
    public static let confirmationAction = ToolbarItemPlacement()
    public static let primaryAction = ToolbarItemPlacement()
}
public protocol ToolbarContent {}
public struct ToolbarItem<Content: View>: ToolbarContent {
    public init(placement: ToolbarItemPlacement, @ViewBuilder content: () -> Content) {}
}
public struct ToolbarItemGroup<Content: View>: ToolbarContent {
    public init(placement: ToolbarItemPlacement, @ViewBuilder content: () -> Content) {}
}
@resultBuilder
public struct ToolbarContentBuilder {
    public static func buildBlock<Content: ToolbarContent>(_ content: Content) -> Content { content }
}

public struct AccessibilityTraits: Sendable {
    public static let isHeader = AccessibilityTraits()
    public static let updatesFrequently = AccessibilityTraits()
}
public struct AccessibilityChildBehavior: Sendable {
    public static let ignore = AccessibilityChildBehavior()
    public static let combine = AccessibilityChildBehavior()
}
public enum AccessibilityAdjustmentDirection: Sendable {
    case increment, decrement
}

extension View {
    public func font(_ font: Font?) -> ModifiedContent { ModifiedContent() }
    public func foregroundStyle<S: ShapeStyle>(_ style: S) -> ModifiedContent { ModifiedContent() }
    public func tint(_ tint: Color?) -> ModifiedContent { ModifiedContent() }
    public func background<S: ShapeStyle>(_ style: S) -> ModifiedContent { ModifiedContent() }
    public func overlay<V: View>(@ViewBuilder content: () -> V) -> ModifiedContent { ModifiedContent() }
    public func padding() -> ModifiedContent { ModifiedContent() }
    public func position(x: CGFloat, y: CGFloat) -> ModifiedContent { ModifiedContent() }
    public func frame(width: CGFloat? = nil, height: CGFloat? = nil) -> ModifiedContent { ModifiedContent() }
    public func frame(
        maxWidth: CGFloat? = nil, maxHeight: CGFloat? = nil, alignment: Alignment = .center
    ) -> ModifiedContent { ModifiedContent() }
    public func aspectRatio(contentMode: ContentMode) -> ModifiedContent { ModifiedContent() }
    public func clipShape<S: Shape>(_ shape: S) -> ModifiedContent { ModifiedContent() }
    public func contentShape<S: Shape>(_ shape: S) -> ModifiedContent { ModifiedContent() }
    public func multilineTextAlignment(_ alignment: TextAlignment) -> ModifiedContent { ModifiedContent() }
    public func textSelection(_ selectability: TextSelectabilityOfApple) -> ModifiedContent { ModifiedContent() }
    public func textContentType(_ textContentType: UITextContentType?) -> ModifiedContent { ModifiedContent() }
    public func autocorrectionDisabled(_ disable: Bool = true) -> ModifiedContent { ModifiedContent() }
    public func textFieldStyle(_ style: TextFieldStyleOfApple) -> ModifiedContent { ModifiedContent() }
    public func buttonStyle(_ style: ButtonStyleOfApple) -> ModifiedContent { ModifiedContent() }
    public func pickerStyle(_ style: PickerStyleOfApple) -> ModifiedContent { ModifiedContent() }
    public func controlSize(_ controlSize: ControlSize) -> ModifiedContent { ModifiedContent() }
    public func disabled(_ disabled: Bool) -> ModifiedContent { ModifiedContent() }
    public func tag<V: Hashable>(_ tag: V) -> ModifiedContent { ModifiedContent() }
    public func tabItem<V: View>(@ViewBuilder _ label: () -> V) -> ModifiedContent { ModifiedContent() }
    public func gesture<T: Gesture>(_ gesture: T, including mask: GestureMask = .all) -> ModifiedContent {
        ModifiedContent()
    }
    public func environmentObject<T: ObservableObject>(_ object: T) -> ModifiedContent { ModifiedContent() }
    public func onAppear(perform action: (() -> Void)?) -> ModifiedContent { ModifiedContent() }
    public func onDisappear(perform action: (() -> Void)?) -> ModifiedContent { ModifiedContent() }
    public func onChange<V: Equatable>(
        of value: V, perform action: @escaping (V) -> Void
    ) -> ModifiedContent { ModifiedContent() }
    public func onReceive<P: Publisher>(
        _ publisher: P, perform action: @escaping (P.Output) -> Void
    ) -> ModifiedContent where P.Failure == Never { ModifiedContent() }
    public func task<T: Equatable>(
        id value: T, @_inheritActorContext _ action: @escaping @Sendable () async -> Void
    ) -> ModifiedContent { ModifiedContent() }
    public func onDrop(
        of supportedContentTypes: [UTType], isTargeted: Binding<Bool>?,
        perform action: @escaping ([NSItemProvider]) -> Bool
    ) -> ModifiedContent { ModifiedContent() }
    public func fileImporter(
        isPresented: Binding<Bool>, allowedContentTypes: [UTType],
        onCompletion: @escaping (Result<URL, Error>) -> Void
    ) -> ModifiedContent { ModifiedContent() }
    public func fileImporter(
        isPresented: Binding<Bool>, allowedContentTypes: [UTType], allowsMultipleSelection: Bool,
        onCompletion: @escaping (Result<[URL], Error>) -> Void
    ) -> ModifiedContent { ModifiedContent() }
    public func sheet<Content: View>(
        isPresented: Binding<Bool>, @ViewBuilder content: @escaping () -> Content
    ) -> ModifiedContent { ModifiedContent() }
    public func confirmationDialog<S: StringProtocol, A: View>(
        _ title: S, isPresented: Binding<Bool>, titleVisibility: Visibility, @ViewBuilder actions: () -> A
    ) -> ModifiedContent { ModifiedContent() }
    public func navigationTitle<S: StringProtocol>(_ title: S) -> ModifiedContent { ModifiedContent() }
    public func navigationBarTitleDisplayMode(_ displayMode: NavigationBarItem.TitleDisplayMode) -> ModifiedContent {
        ModifiedContent()
    }
    public func navigationDestination<D: Hashable, C: View>(
        for data: D.Type, @ViewBuilder destination: @escaping (D) -> C
    ) -> ModifiedContent { ModifiedContent() }
    public func toolbar<Content: ToolbarContent>(@ToolbarContentBuilder content: () -> Content) -> ModifiedContent {
        ModifiedContent()
    }
    public func accessibilityLabel<S: StringProtocol>(_ label: S) -> ModifiedContent { ModifiedContent() }
    public func accessibilityValue<S: StringProtocol>(_ value: S) -> ModifiedContent { ModifiedContent() }
    public func accessibilityHint<S: StringProtocol>(_ hint: S) -> ModifiedContent { ModifiedContent() }
    public func accessibilityHidden(_ hidden: Bool) -> ModifiedContent { ModifiedContent() }
    public func accessibilityAddTraits(_ traits: AccessibilityTraits) -> ModifiedContent { ModifiedContent() }
    public func accessibilityElement(children: AccessibilityChildBehavior = .ignore) -> ModifiedContent {
        ModifiedContent()
    }
    public func accessibilityAdjustableAction(
        _ handler: @escaping (AccessibilityAdjustmentDirection) -> Void
    ) -> ModifiedContent { ModifiedContent() }
}
