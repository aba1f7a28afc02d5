// SPDX-License-Identifier: MIT
#include "runtime/core/amx.h"

#if SLM_HAVE_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace slm {

#if SLM_HAVE_AMX

namespace {

bool CpuKnowsAmx() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kTiles = 1u << 24, kInt8 = 1u << 25;
  return (d & kTiles) && (d & kInt8);
}

// XCR0: the state that the system has switched on for all programs.
bool SystemKeepsTiles() {
  unsigned a, b, c, d;
  constexpr unsigned kOsXsave = 1u << 27;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & kOsXsave)) return false;
  asm("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  constexpr unsigned kTileState = 3u << 17;  // configuration and data
  return (a & kTileState) == kTileState;
}

// Linux gives a thread room for its tiles, 8 KiB, once the process has asked;
// it refuses where a thread's own stack for signals would not hold them.
bool SystemPermitsTiles() {
  constexpr long kArchReqXcompPerm = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kTileData) == 0;
}

// One product of tiles, a and b as in AmxMultiply.
template <typename T>
bool ProductIsRight() {
  constexpr bool kSigned = T(-1) < T(0);
  alignas(64) int8_t a[kAmxRows][kAmxRowBytes];
  alignas(64) T b[kAmxRows][kAmxRowBytes];
  for (size_t i = 0; i < kAmxRows * kAmxRowBytes; ++i) {
    a[i / kAmxRowBytes][i % kAmxRowBytes] = static_cast<int8_t>(37 * i + i / 9);
    b[i / kAmxRowBytes][i % kAmxRowBytes] = static_cast<T>(59 * i + i / 7);
  }
  alignas(64) int32_t c[kAmxRows][16];
  AmxConfig config;
  for (int tile = 0; tile < 3; ++tile) {
    config.SetTile(tile, kAmxRows, kAmxRowBytes);
  }
  AmxConfigure(config);
  AmxZero<0>();
  AmxLoad<1>(a, kAmxRowBytes);
  AmxLoad<2>(b, kAmxRowBytes);
  AmxMultiply<0, 1, 2, kSigned>();
  AmxStore<0>(c, sizeof c[0]);
  AmxRelease();
  for (size_t m = 0; m < kAmxRows; ++m) {
    for (size_t n = 0; n < 16; ++n) {
      int32_t sum = 0;
      for (size_t k = 0; k < kAmxRowBytes; ++k) {
        sum += a[m][k] * b[k / 4][4 * n + k % 4];
      }
      if (c[m][n] != sum) return false;
    }
  }
  return true;
}

}  // namespace

bool AmxWorks() {
  return ProductIsRight<uint8_t>() && ProductIsRight<int8_t>();
}

bool CpuHasAmx() {
  return CpuKnowsAmx() && SystemKeepsTiles() && SystemPermitsTiles() &&
         AmxWorks();
}

#else

bool AmxWorks() { return false; }
bool CpuHasAmx() { return false; }

#endif  // SLM_HAVE_AMX

}  // namespace slm
