#!/bin/sh
# The kernels' tests on AArch64 (NEON, and with the dot product), cross-compiled
# and run by qemu: for machines without an ARM processor. Needs what setup.sh
# has fetched; installs the cross compiler and qemu on Debian and Ubuntu.
# usage: tools/dev/test_arm.sh [gtest options]
set -eu
cd "$(dirname "$0")/../.."

compiler=aarch64-linux-gnu-g++
command -v $compiler >/dev/null || compiler=aarch64-linux-gnu-g++-12
if ! command -v $compiler >/dev/null || ! command -v qemu-aarch64 >/dev/null
then
  run=""
  [ "$(id -u)" = 0 ] || run=sudo
  $run apt-get update -qq
  $run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends g++-aarch64-linux-gnu qemu-user >/dev/null
  compiler=aarch64-linux-gnu-g++
fi

out=build/arm
gtest=/usr/src/googletest/googletest
highway=.deps/highway
mkdir -p $out
flags="-std=c++20 -O2 -ffp-contract=off -Wall -Wextra -Wno-psabi
  -DHWY_STATIC_DEFINE
  '-DHWY_DISABLED_TARGETS=(HWY_ALL_SVE)' '-DSLM_SHARED_DIR=\"none\"'
  '-DSLM_TEST_DATA_DIR=\"tests/data\"'
  -I. -isystem $highway -isystem $gtest/include -isystem $gtest"
sources="runtime/core/amx.cc runtime/core/cpu.cc runtime/core/file.cc
  runtime/core/memory_posix.cc runtime/core/result.cc runtime/core/shape.cc
  runtime/core/threads.cc runtime/core/utf8.cc runtime/core/clock.cc
  $(ls quant/*.cc ops/kernels/*.cc tests/quant/*_test.cc)
  tests/quant/amx_emulator.cc
  tests/kernels/activation_test.cc tests/kernels/attention_test.cc
  tests/kernels/convert_test.cc tests/kernels/fixed_scales_test.cc
  tests/kernels/gemm_test.cc tests/kernels/norm_softmax_test.cc
  tests/kernels/rotary_test.cc tests/kernels/topk_test.cc
  $highway/hwy/targets.cc $highway/hwy/per_target.cc $highway/hwy/abort.cc
  $highway/hwy/aligned_allocator.cc
  $gtest/src/gtest-all.cc $gtest/src/gtest_main.cc"

# One ninja file, so that objects are kept and built side by side.
{
  echo "builddir = $out"
  echo "rule cc"
  echo "  command = $compiler $flags -MMD -MF \$out.d -c \$in -o \$out" |
    tr '\n' ' '
  echo
  echo "  depfile = \$out.d"
  echo "rule link"
  echo "  command = $compiler -static \$in -o \$out -lpthread"
  objects=""
  for source in $sources; do
    object=$out/$(echo "$source" | tr '/' '_').o
    echo "build $object: cc $source"
    objects="$objects $object"
  done
  echo "build $out/arm_test: link $objects"
} > $out/build.ninja
ninja -f $out/build.ninja
exec qemu-aarch64 -cpu max $out/arm_test --gtest_brief=1 "$@"
