#!/bin/sh
# Builds and runs every test: release, then the sanitizers. The README's second
# command and .ci/run call this.
# usage: tools/dev/test.sh [PRESET ...]        (default: release asan)
set -eu
cd "$(dirname "$0")/../.."
tools/dev/setup.sh
# ONNX's own node tests come from the onnx package of PyPI.
if [ ! -x .deps/python/bin/python ]; then
  python3 -m venv .deps/python &&
    .deps/python/bin/pip install -q onnx==1.19.1 numpy==2.3.5 \
      onnxruntime==1.31.1 || {
      rm -rf .deps/python
      echo "test: no PyPI onnx: ONNX's node tests will be skipped" >&2
    }
fi
for preset in ${*:-release asan}; do
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset"
  ctest --preset "$preset" -j "$(nproc)"
done
