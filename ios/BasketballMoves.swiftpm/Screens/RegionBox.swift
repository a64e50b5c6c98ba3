import SwiftUI

/// The part of the picture that is classified: drag it to move it, pinch it to change its size.
@MainActor
struct RegionBox: View {
    @Binding var region: Region
    /// Upright width and height of a frame; nil before the first.
    let frame: CGSize?

    @State private var start: Region?

    var body: some View {
        GeometryReader { geometry in
            if !region.isWhole, let frame {
                let picture = Region.frame(
                    pictureWidth: Double(frame.width), pictureHeight: Double(frame.height),
                    viewWidth: Double(geometry.size.width), viewHeight: Double(geometry.size.height)
                )
                Rectangle()
                    .strokeBorder(Color.accentColor, lineWidth: 3)
                    .contentShape(Rectangle())
                    .frame(width: CGFloat(region.width * picture[2]), height: CGFloat(region.height * picture[3]))
                    .position(
                        x: CGFloat(picture[0] + (region.x + region.width / 2) * picture[2]),
                        y: CGFloat(picture[1] + (region.y + region.height / 2) * picture[3])
                    )
                    .gesture(drag(picture).simultaneously(with: pinch))
                    .accessibilityHidden(true)
            }
        }
    }

    private func drag(_ picture: [Double]) -> some Gesture {
        DragGesture()
            .onChanged { value in
                let from = start ?? region
                start = from
                region = from.moved(
                    x: Double(value.translation.width) / picture[2], y: Double(value.translation.height) / picture[3]
                )
            }
            .onEnded { _ in start = nil }
    }

    private var pinch: some Gesture {
        MagnificationGesture()
            .onChanged { scale in
                let from = start ?? region
                start = from
                region = from.scaled(Double(scale))
            }
            .onEnded { _ in start = nil }
    }
}
