#!/bin/sh
# Installs or fetches all that a bare Debian 12/13 or Ubuntu machine lacks to
# build slm. Idempotent; asks for nothing. On other systems install the
# packages of vcpkg.json by hand.
set -eu
cd "$(dirname "$0")/../.."

packages="g++ cmake ninja-build pkg-config python3 ca-certificates
  libprotobuf-dev protobuf-compiler libonnx-dev rapidjson-dev libpcre2-dev
  libutf8proc-dev python3-venv libcxxopts-dev libgtest-dev libbenchmark-dev"

note() { echo "setup: $*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null 2>&1; then sudo "$@"
  else
    note "no sudo here, and this needs root: $*"
    note "run tools/dev/setup.sh as root, then this line again"
    exit 1
  fi
}

missing=""
for p in $packages; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' ||
    missing="$missing $p"
done
if [ -n "$missing" ]; then
  note "installing$missing"
  as_root apt-get update -qq
  # shellcheck disable=SC2086 # a list of names
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends $missing >/dev/null
fi

# highway 1.2 or newer: Debian 12 and Ubuntu 24.04 have 1.0.x, which lacks the
# VNNI target. Debian's own source package of 1.2.0 comes over the same mirrors
# that the machine is set up with; elsewhere CMake fetches the upstream archive.
highway_from_debian() {
  work=$(mktemp -d)
  chmod 755 "$work"
  mkdir -p "$work/lists/partial" "$work/cache" "$work/parts" .deps
  sources=/etc/apt/sources.list.d/debian.sources
  if [ -f "$sources" ]; then
    awk 'BEGIN { RS = ""; ORS = "\n\n" }
         !/security/ { sub(/Types: [^\n]*/, "Types: deb-src");
                       sub(/Suites: [^\n]*/, "Suites: trixie"); print }' \
      "$sources" > "$work/parts/src.sources"
  else
    awk '$1 == "deb" && $2 !~ /^\[/ && $2 !~ /security/ {
           print "deb-src", $2, "trixie main"; exit }' \
      /etc/apt/sources.list > "$work/parts/src.list"
  fi
  options="-o Dir::Etc::sourcelist=/dev/null
    -o Dir::Etc::sourceparts=$work/parts -o Dir::State::lists=$work/lists
    -o Dir::Cache=$work/cache -o APT::Sandbox::User=root"
  # shellcheck disable=SC2086 # a list of options
  if apt-get -qq $options update &&
     (cd "$work" && apt-get -qq $options source --download-only highway) &&
     (cd "$work" && tar xf highway_1.2*.orig.tar.*); then
    rm -rf .deps/highway
    mv "$work"/highway-1.2* .deps/highway
  fi
  rm -rf "$work"
}

if [ ! -f .deps/highway/CMakeLists.txt ] &&
   ! dpkg --compare-versions \
     "$(dpkg-query -W -f='${Version}' libhwy-dev 2>/dev/null || echo 0)" ge 1.2
then
  if grep -q '^ID=debian' /etc/os-release 2>/dev/null; then
    note "getting highway's source"
    highway_from_debian >&2 || true
  fi
  [ -f .deps/highway/CMakeLists.txt ] ||
    note "no Debian source of highway here: CMake will fetch it"
fi
note "ready"
