#!/bin/sh
# Type-checks the app, Apple-dependent files included, against the declarations in Stubs/: check-types.sh [BUILD-FOLDER]
# Any machine with Swift 6 can run it. It finds slips among the app's own files and in the use of what the stubs declare;
# it cannot find a wrong idea of Apple's API, because whoever wrote the app wrote the stubs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/.build/stubs}
mkdir -p "$build"
module() {
  name=$1
  shift
  swiftc -swift-version 5 -parse-as-library -emit-module -module-name "$name" -I "$build" \
    -o "$build/$name.swiftmodule" "$@"
}
# In the order in which they import each other.
for name in CoreGraphics FoundationOfApple CoreVideo ImageIO QuartzCore Combine CryptoKit CoreImage CoreML Vision \
  UniformTypeIdentifiers CoreTransferable AVFoundation UIKit AppIntents; do
  module "$name" "$here/Stubs/$name.swift"
done
module SwiftUI "$here/Stubs/SwiftUI.swift" "$here/Stubs/SwiftUIModifiers.swift"
module PhotosUI "$here/Stubs/PhotosUI.swift"
app=$here/BasketballMoves.swiftpm
find "$app/Camera" "$app/Model" "$app/Screens" "$app/Support" "$app/BasketballMovesApp.swift" -name '*.swift' |
  LC_ALL=C sort | tr '\n' '\0' |
  xargs -0 swiftc -swift-version 5 -typecheck -parse-as-library -warn-concurrency -module-name AppModule -I "$build"
