#!/bin/sh
# Builds and runs every test: release, then the sanitizers. The README's second
# command and .ci/run call this.
# usage: tools/dev/test.sh [PRESET ...]        (default: release asan)
set -eu
cd "$(dirname "$0")/../.."
tools/dev/setup.sh
# ONNX's own node tests come from the onnx package of PyPI; slm-convert's outputs
# go into ONNX Runtime, ONNX Runtime GenAI and Foundry Local. environment FOLDER
# PACKAGE ...: made again where the packages are others.
environment() {
  folder=.deps/$1
  shift
  if [ "$(cat "$folder/packages" 2>/dev/null)" = "$*" ]; then return; fi
  rm -rf "$folder"
  if python3 -m venv "$folder" && "$folder/bin/pip" install -q "$@"; then
    echo "$*" > "$folder/packages"
  else
    rm -rf "$folder"
    echo "test: no PyPI packages: tests that need $* will be skipped" >&2
  fi
}
# onnx-ir: onnxruntime's quantizer imports it.
environment python onnx==1.19.1 numpy==2.3.5 onnxruntime==1.31.1 \
  onnxruntime-genai==0.18.0 onnx-ir==1.1.0
# Foundry Local wants an onnxruntime of its own; of what it lists it needs these.
environment foundry --no-deps foundry-local-sdk==2.2.1 \
  onnxruntime-genai-core==0.18.0 onnxruntime==1.31.0 cffi==2.1.1 \
  typing_extensions==4.16.0
for preset in ${*:-release asan}; do
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" --target all tests
  ctest --preset "$preset" -j "$(nproc)"
done
