// SwiftUI, as far as the app uses it: views, property wrappers, gestures.
@_exported import Combine
@_exported import CoreTransferable
@_exported import UIKit

// Views and their builder

public protocol View {
    associatedtype Body: View
    @ViewBuilder @MainActor var body: Body { get }
}

extension Never: View {
    public var body: Never { return fatalError() }
}

/// What every view of this file is: without a body of its own.
public protocol PrimitiveView: View where Body == Never {}
extension PrimitiveView {
    public var body: Never { return fatalError() }
}

@resultBuilder
public struct ViewBuilder {
    public static func buildExpression<Content: View>(_ content: Content) -> Content { content }
    public static func buildBlock() -> EmptyView { EmptyView() }
    public static func buildBlock<Content: View>(_ content: Content) -> Content { content }
    public static func buildBlock<each Content: View>(
        _ content: repeat each Content
    ) -> TupleView<(repeat each Content)> { TupleView() }
    public static func buildIf<Content: View>(_ content: Content?) -> Content? { content }
    public static func buildEither<First: View, Second: View>(first: First) -> _ConditionalContent<First, Second> {
        _ConditionalContent()
    }
    public static func buildEither<First: View, Second: View>(second: Second) -> _ConditionalContent<First, Second> {
        _ConditionalContent()
    }
}

extension Optional: View where Wrapped: View {
    public var body: Never { return fatalError() }
}

public struct TupleView<T>: PrimitiveView {}
public struct _ConditionalContent<First, Second>: PrimitiveView {}
public struct EmptyView: PrimitiveView {
    public init() {}
}
public struct ModifiedContent: PrimitiveView {}

// App and scenes

@MainActor
public protocol App {
    associatedtype Body: Scene
    init()
    @SceneBuilder var body: Body { get }
}
extension App {
    public static func main() {}
}

public protocol Scene {}

@resultBuilder
public struct SceneBuilder {
    public static func buildBlock<Content: Scene>(_ content: Content) -> Content { content }
}

public struct WindowGroup<Content: View>: Scene {
    public init(@ViewBuilder content: () -> Content) {}
}

public enum ScenePhase: Sendable {
    case background, inactive, active
}

// Property wrappers

@propertyWrapper
public struct Binding<Value>: @unchecked Sendable {
    public init(get: @escaping () -> Value, set: @escaping (Value) -> Void) {}
    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set {}
    }
    public var projectedValue: Binding<Value> { self }
}

@propertyWrapper
public struct State<Value>: @unchecked Sendable {
    public init(wrappedValue: Value) {}
    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set {}
    }
    public var projectedValue: Binding<Value> { fatalError() }
}
extension State where Value: ExpressibleByNilLiteral {
    public init() {}
}

@propertyWrapper
@MainActor
public struct StateObject<ObjectType: ObservableObject> {
    public nonisolated init(wrappedValue thunk: @autoclosure @escaping () -> ObjectType) {}
    public var wrappedValue: ObjectType { fatalError() }
    public var projectedValue: ObservedObject<ObjectType>.Wrapper { fatalError() }
}

@propertyWrapper
@MainActor
public struct ObservedObject<ObjectType: ObservableObject> {
    @dynamicMemberLookup
    @MainActor
    public struct Wrapper {
        public subscript<Subject>(dynamicMember keyPath: ReferenceWritableKeyPath<ObjectType, Subject>) -> Binding<
            Subject
        > {
            fatalError()
        }
    }

    public nonisolated init(wrappedValue: ObjectType) {}
    public var wrappedValue: ObjectType { fatalError() }
    public var projectedValue: Wrapper { fatalError() }
}

@propertyWrapper
@MainActor
public struct EnvironmentObject<ObjectType: ObservableObject> {
    public nonisolated init() {}
    public var wrappedValue: ObjectType { fatalError() }
}

public struct EnvironmentValues {
    public var dismiss: DismissAction { fatalError() }
    public var scenePhase: ScenePhase { .active }
    public var verticalSizeClass: UserInterfaceSizeClass? { nil }
}

public enum UserInterfaceSizeClass: Sendable {
    case compact, regular
}

@MainActor
public struct DismissAction {
    public func callAsFunction() {}
}

@propertyWrapper
public struct Environment<Value> {
    public init(_ keyPath: KeyPath<EnvironmentValues, Value>) {}
    public var wrappedValue: Value { fatalError() }
}

@propertyWrapper
public struct AppStorage<Value> {
    public init(wrappedValue: Value, _ key: String) where Value == String {}
    public init(wrappedValue: Value, _ key: String) where Value: RawRepresentable, Value.RawValue == String {}
    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set {}
    }
    public var projectedValue: Binding<Value> { fatalError() }
}

@propertyWrapper
public struct ScaledMetric<Value: BinaryFloatingPoint> {
    public init(wrappedValue: Value, relativeTo textStyle: Font.TextStyle) {}
    public var wrappedValue: Value { fatalError() }
}

// Shapes, colours, fonts

public protocol ShapeStyle {}
public struct Color: PrimitiveView, ShapeStyle {
    public init(uiColor: UIColor) {}
    public static var accentColor: Color { fatalError() }
    public static var secondary: Color { fatalError() }
}
public struct HierarchicalShapeStyle: ShapeStyle {}
extension ShapeStyle where Self == HierarchicalShapeStyle {
    public static var secondary: HierarchicalShapeStyle { HierarchicalShapeStyle() }
}

public protocol Shape: View {}
public protocol InsettableShape: Shape {
    func strokeBorder<S: ShapeStyle>(_ content: S, lineWidth: CGFloat) -> ModifiedContent
}
extension InsettableShape {
    public func strokeBorder<S: ShapeStyle>(_ content: S, lineWidth: CGFloat) -> ModifiedContent { ModifiedContent() }
}
public struct Rectangle: PrimitiveView, InsettableShape {
    public init() {}
}
public struct RoundedRectangle: PrimitiveView, InsettableShape {
    public init(cornerRadius: CGFloat) {}
}

public struct Font: Sendable {
    public enum TextStyle: Sendable {
        case body
    }

    public struct Weight: Sendable {
        public static let regular = Weight()
        public static let semibold = Weight()
    }

    public static let largeTitle = Font()
    public static let title = Font()
    public static let headline = Font()
    public static let subheadline = Font()
    public static let footnote = Font()
    public static let caption = Font()
    public func bold() -> Font { self }
    public func monospaced() -> Font { self }
    public func monospacedDigit() -> Font { self }
}

public enum ContentMode: Sendable {
    case fit, fill
}

public struct Axis {
    public struct Set: OptionSet, Sendable {
        public let rawValue: Int8
        public init(rawValue: Int8) { self.rawValue = rawValue }
        public static let horizontal = Set(rawValue: 1)
    }
}

public struct Alignment: Sendable {
    public static let leading = Alignment()
    public static let center = Alignment()
}

public enum HorizontalAlignment: Sendable {
    case leading, center
}

public enum TextAlignment: Sendable {
    case center
}

// Texts, pictures, controls

public struct Text: PrimitiveView {
    public init<S: StringProtocol>(_ content: S) {}
    public func font(_ font: Font?) -> Text { self }
    public func fontWeight(_ weight: Font.Weight?) -> Text { self }
    public func monospacedDigit() -> Text { self }
}

public struct Image: PrimitiveView {
    public init(systemName: String) {}
    public init(uiImage: UIImage) {}
    public func resizable() -> Image { self }
}

public struct Label<Title: View, Icon: View>: PrimitiveView {}
extension Label where Title == Text, Icon == Image {
    public init<S: StringProtocol>(_ title: S, systemImage name: String) {}
}

public struct ButtonRole: Sendable {
    public static let destructive = ButtonRole()
    public static let cancel = ButtonRole()
}

public struct Button<Label: View>: PrimitiveView {
    public init(action: @escaping () -> Void, @ViewBuilder label: () -> Label) {}
}
extension Button where Label == Text {
    public init<S: StringProtocol>(_ title: S, action: @escaping () -> Void) {}
    public init<S: StringProtocol>(_ title: S, role: ButtonRole?, action: @escaping () -> Void) {}
}

public struct Toggle<Label: View>: PrimitiveView {}
extension Toggle where Label == Text {
    public init<S: StringProtocol>(_ title: S, isOn: Binding<Bool>) {}
}

public struct TextField<Label: View>: PrimitiveView {}
extension TextField where Label == Text {
    public init<S: StringProtocol>(_ title: S, text: Binding<String>) {}
}

public struct Picker<Label: View, SelectionValue: Hashable, Content: View>: PrimitiveView {}
extension Picker where Label == Text {
    public init<S: StringProtocol>(
        _ title: S, selection: Binding<SelectionValue>, @ViewBuilder content: () -> Content
    ) {}
}

public struct Link<Label: View>: PrimitiveView {}
extension Link where Label == Text {
    public init<S: StringProtocol>(_ title: S, destination: URL) {}
}

public struct ShareLink<Label: View>: PrimitiveView {
    public init<T: Transferable>(item: T, message: Text? = nil, @ViewBuilder label: () -> Label) {}
}

public struct ProgressView<Label: View>: PrimitiveView {}
extension ProgressView where Label == Text {
    public init<S: StringProtocol>(_ title: S) {}
}
extension ProgressView where Label == EmptyView {
    public init<V: BinaryFloatingPoint>(value: V?, total: V = 1) {}
}

// Containers

public struct HStack<Content: View>: PrimitiveView {
    public init(spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}
}
public struct VStack<Content: View>: PrimitiveView {
    public init(
        alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content
    ) {}
}
public struct HStackLayout: Layout {
    public init(spacing: CGFloat? = nil) {}
}
public struct VStackLayout: Layout {
    public init(spacing: CGFloat? = nil) {}
}
public protocol Layout {}
public struct AnyLayout: Layout {
    public init<L: Layout>(_ layout: L) {}
    public func callAsFunction<V: View>(@ViewBuilder _ content: () -> V) -> ModifiedContent { ModifiedContent() }
}
public struct ViewThatFits<Content: View>: PrimitiveView {
    public init(in axes: Axis.Set, @ViewBuilder content: () -> Content) {}
}
public struct Spacer: PrimitiveView {
    public init(minLength: CGFloat? = nil) {}
}
public struct Divider: PrimitiveView {
    public init() {}
}
public struct ScrollView<Content: View>: PrimitiveView {
    public init(@ViewBuilder content: () -> Content) {}
}
public struct List<Content: View>: PrimitiveView {
    public init(@ViewBuilder content: () -> Content) {}
}
public struct Section<Header: View, Content: View>: PrimitiveView {}
extension Section where Header == Text {
    public init<S: StringProtocol>(_ title: S, @ViewBuilder content: () -> Content) {}
}
extension Section where Header == EmptyView {
    public init(@ViewBuilder content: () -> Content) {}
}
public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content: View>: PrimitiveView {
    public init(_ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> Content)
    {}
    public func onDelete(perform action: ((IndexSet) -> Void)?) -> ModifiedContent { ModifiedContent() }
}
extension ForEach where Data.Element: Identifiable, ID == Data.Element.ID {
    public init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content) {}
}
public struct TabView<Content: View>: PrimitiveView {
    public init(@ViewBuilder content: () -> Content) {}
}
public struct NavigationStack<Content: View>: PrimitiveView {
    public init(@ViewBuilder root: () -> Content) {}
}
public struct NavigationLink<Label: View, Destination: View>: PrimitiveView {
    public init(@ViewBuilder destination: () -> Destination, @ViewBuilder label: () -> Label) {}
}
extension NavigationLink where Destination == Never {
    public init<P: Hashable>(value: P?, @ViewBuilder label: () -> Label) {}
}
public struct GeometryProxy {
    public var size: CGSize { CGSize(width: 0, height: 0) }
}
public struct GeometryReader<Content: View>: PrimitiveView {
    public init(@ViewBuilder content: @escaping (GeometryProxy) -> Content) {}
}

// UIKit views

@MainActor
public protocol UIViewRepresentable: View where Body == Never {
    associatedtype UIViewType: UIView
    typealias Context = UIViewRepresentableContext
    func makeUIView(context: Context) -> UIViewType
    func updateUIView(_ uiView: UIViewType, context: Context)
}
extension UIViewRepresentable {
    public var body: Never { return fatalError() }
}
public struct UIViewRepresentableContext {}

// Gestures

public protocol Gesture<Value> {
    associatedtype Value
}
public struct DragGesture: Gesture {
    public struct Value {
        public var translation: CGSize { CGSize(width: 0, height: 0) }
    }

    public init() {}
}
public struct MagnificationGesture: Gesture {
    public typealias Value = CGFloat
    public init() {}
}
public struct SimultaneousGesture<First: Gesture, Second: Gesture>: Gesture {
    public struct Value {}
}
public struct _ChangedGesture<Content: Gesture>: Gesture {
    public typealias Value = Content.Value
}
extension Gesture {
    public func onChanged(_ action: @escaping (Value) -> Void) -> _ChangedGesture<Self> { _ChangedGesture() }
    public func onEnded(_ action: @escaping (Value) -> Void) -> _ChangedGesture<Self> { _ChangedGesture() }
    public func simultaneously<Other: Gesture>(with other: Other) -> SimultaneousGesture<Self, Other> {
        SimultaneousGesture()
    }
}
public struct GestureMask: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let all = GestureMask(rawValue: 3)
    public static let subviews = GestureMask(rawValue: 2)
}
