#!/bin/sh
# What can be checked of the app without a Mac: swift test, the types against Stubs/, and swift-format.
# With a Swift on the PATH it uses that; else Debian's package swiftlang, installed into a folder of the cache (as root,
# with debootstrap: 0.6 GB to fetch, 3 GB on disk). Exit status 77: no Swift, and none can be installed here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# Runs in a copy of the folder: nothing is built in the checkout.
checks='
set -eu
cd "$1"
swift test --scratch-path "$2/logic"
if [ "$(uname)" = Linux ]; then
  sh check-types.sh "$2/stubs"
  echo "types: the app fits the declarations in Stubs"
else
  echo "types: build the app in Xcode, which has the real declarations"
fi
if swift format --version >/dev/null 2>&1; then
  swift format lint --strict --recursive --configuration .swift-format BasketballMoves.swiftpm Stubs Package.swift
  echo "format: nothing to say"
else
  echo "format: not checked, this Swift has no swift-format"
fi
'
if command -v swift >/dev/null; then
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT
  cp -R "$here" "$build/ios"
  sh -c "$checks" checks "$build/ios" "$build"
  exit
fi

root=${XDG_CACHE_HOME:-$HOME/.cache}/bball_pl/swift
if [ ! -e "$root/installed" ]; then
  if [ "$(id -u)" -ne 0 ]; then
    echo "ios/test.sh: no swift on the PATH, and only root can install one in a folder" >&2
    exit 77
  fi
  command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq debootstrap; } || exit 77
  rm -rf "$root"
  mkdir -p "$root"
  timeout 600 debootstrap --variant=minbase trixie "$root" >"$root.log" 2>&1 &&
    timeout 600 chroot "$root" apt-get install -y -qq --no-install-recommends \
      swiftlang libc6-dev libstdc++-14-dev binutils git >>"$root.log" 2>&1 ||
    { echo "ios/test.sh: Swift cannot be installed here: $root.log" >&2; exit 77; }
  chroot "$root" apt-get clean
  touch "$root/installed"
fi
# Swift finds its libraries by /proc/self/exe.
mount -t proc proc "$root/proc" || { echo "ios/test.sh: /proc cannot be mounted in $root" >&2; exit 77; }
trap 'umount "$root/proc"' EXIT
trap 'exit 130' INT TERM
# Where a chroot or its compiler is not allowed to work, that is no fault of the app.
printf 'print(1)\n' >"$root/tmp/one.swift"
timeout 300 chroot "$root" swiftc -o /tmp/one /tmp/one.swift >>"$root.log" 2>&1 && chroot "$root" /tmp/one >>"$root.log" 2>&1 ||
  { echo "ios/test.sh: Swift does not work here: $root.log" >&2; exit 77; }
rm -rf "$root/ios"
cp -R "$here" "$root/ios"
chroot "$root" sh -c "$checks" checks /ios /tmp/build
