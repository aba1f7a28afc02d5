// SPDX-License-Identifier: MIT
// AMX: registers that are tiles of 16 rows of 64 bytes, and products of them
// (Sapphire Rapids and later; Intel SDM vol. 1, chapter 18). Kernels ask UseAmx
// of cpu.h. As asm, so that no function needs a target of its own: compilers
// inline between equal targets only, and Highway has none with AMX.
#ifndef SLM_RUNTIME_CORE_AMX_H_
#define SLM_RUNTIME_CORE_AMX_H_

#include <cstddef>
#include <cstdint>

#if defined(__linux__) && defined(__x86_64__) && defined(__GNUC__)
#define SLM_HAVE_AMX 1
#else
#define SLM_HAVE_AMX 0
#endif

namespace slm {

// Whether the CPU multiplies tiles of bytes, the system keeps them for a thread
// and permits this process to use them, and a product comes out right. Asks for
// the permission, which lasts.
bool CpuHasAmx();

// Whether two products of tiles are those of plain arithmetic.
bool AmxWorks();

inline constexpr size_t kAmxRows = 16, kAmxRowBytes = 64;

#if SLM_HAVE_AMX

// What LDTILECFG reads: rows and bytes a row of each tile.
struct alignas(64) AmxConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void SetTile(int tile, size_t tile_rows, size_t bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(AmxConfig) == 64);

// For this thread, until AmxRelease: released tiles need not be kept when
// threads take turns. The operand is all of it: g++ 12's _tile_loadconfig names
// its first 8 bytes only, and what is written to the others gets lost.
inline void AmxConfigure(const AmxConfig& config) {
  asm volatile("ldtilecfg %0" : : "m"(config));
}
inline void AmxRelease() { asm volatile("tilerelease"); }

template <int kTo>
inline void AmxZero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTo));
}

template <int kTo>
inline void AmxLoad(const void* rows, size_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2"
               :
               : "r"(rows), "r"(stride), "i"(kTo)
               : "memory");
}

template <int kFrom>
inline void AmxStore(void* rows, size_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)"
               :
               : "r"(rows), "r"(stride), "i"(kFrom)
               : "memory");
}

// to [m][n] += sum over k of a [m][k] * b [k/4][4n + k%4]; int32, int8 and
// uint8, or int8 if kSigned.
template <int kTo, int kA, int kB, bool kSigned>
inline void AmxMultiply() {
  if constexpr (kSigned) {
    asm volatile("tdpbssd %%tmm%c0, %%tmm%c1, %%tmm%c2"
                 :
                 : "i"(kB), "i"(kA), "i"(kTo));
  } else {
    asm volatile("tdpbsud %%tmm%c0, %%tmm%c1, %%tmm%c2"
                 :
                 : "i"(kB), "i"(kA), "i"(kTo));
  }
}

#endif  // SLM_HAVE_AMX

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_AMX_H_
