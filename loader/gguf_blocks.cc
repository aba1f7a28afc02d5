// SPDX-License-Identifier: MIT
// Compiled without contraction (CMakeLists.txt): a fused multiply-add would
// differ from the reference in the last bit.
#include "loader/gguf_blocks.h"

#include <bit>
#include <cstring>

#include "runtime/core/half.h"

namespace slm {
namespace {

constexpr size_t kSmall = 32;   // values of Q4_0 .. Q8_0
constexpr size_t kLarge = 256;  // of the K types

uint8_t Byte(const char* p) { return static_cast<uint8_t>(*p); }

uint32_t Word(const char* p, size_t bytes) {
  uint32_t word = 0;
  for (size_t i = 0; i < bytes; ++i) word |= uint32_t{Byte(p + i)} << (8 * i);
  return word;
}

float Half(const char* p) {
  return FloatFromF16(static_cast<uint16_t>(Word(p, 2)));
}

// Low nibbles are the first half of the block, high ones the second.
void Nibbles(const char* p, uint8_t* codes) {
  for (size_t i = 0; i < kSmall / 2; ++i) {
    codes[i] = Byte(p + i) & 15;
    codes[i + kSmall / 2] = Byte(p + i) >> 4;
  }
}

// The fifth bits of Q5_0 and Q5_1.
void AddFifthBits(const char* p, uint8_t* codes) {
  const uint32_t bits = Word(p, 4);
  for (size_t i = 0; i < kSmall; ++i) {
    codes[i] = static_cast<uint8_t>(codes[i] | (bits >> i & 1) << 4);
  }
}

// x = d q + m, m in the block: Q4_1 and Q5_1.
void WithMinimum(bool five, const char* p, float* out) {
  const float d = Half(p), m = Half(p + 2);
  uint8_t codes[kSmall];
  Nibbles(p + (five ? 8 : 4), codes);
  if (five) AddFifthBits(p + 4, codes);
  for (size_t i = 0; i < kSmall; ++i) {
    out[i] = d * static_cast<float>(codes[i]) + m;
  }
}

// Eight scales and eight minima of six bits in twelve bytes (Q4_K, Q5_K).
void SixBits(const char* p, uint8_t* scales, uint8_t* minima) {
  for (size_t i = 0; i < 4; ++i) {
    scales[i] = Byte(p + i) & 63;
    minima[i] = Byte(p + 4 + i) & 63;
    scales[4 + i] =
        static_cast<uint8_t>((Byte(p + 8 + i) & 15) | (Byte(p + i) >> 6) << 4);
    minima[4 + i] = static_cast<uint8_t>(Byte(p + 8 + i) >> 4 |
                                         (Byte(p + 4 + i) >> 6) << 4);
  }
}

// x = (d s) q - (dmin m), s and m for each 32 values.
void Q45K(bool five, const char* p, float* out) {
  const float d = Half(p), dmin = Half(p + 2);
  uint8_t scales[8], minima[8];
  SixBits(p + 4, scales, minima);
  const char* high = p + 16;  // of Q5_K
  const char* low = p + (five ? 48 : 16);
  for (size_t g = 0; g < 8; ++g) {
    const float scale = d * static_cast<float>(scales[g]);
    const float minimum = dmin * static_cast<float>(minima[g]);
    const char* nibbles = low + (g / 2) * 32;
    for (size_t i = 0; i < 32; ++i) {
      unsigned q = g % 2 ? Byte(nibbles + i) >> 4 : Byte(nibbles + i) & 15;
      if (five) q |= (Byte(high + i) >> g & 1u) << 4;
      out[g * 32 + i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

// x = (d s) q - (dmin m), s and m of four bits for each 16 values.
void Q2K(const char* p, float* out) {
  const float d = Half(p + 80), dmin = Half(p + 82);
  for (size_t g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(Byte(p + g) & 15);
    const float minimum = dmin * static_cast<float>(Byte(p + g) >> 4);
    const char* codes = p + 16 + (g / 8) * 32 + (g % 2) * 16;
    const size_t shift = g % 8 / 2 * 2;
    for (size_t i = 0; i < 16; ++i) {
      const unsigned q = Byte(codes + i) >> shift & 3;
      out[g * 16 + i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

// x = (d (s - 32)) (q - 4 where the mask's bit is not set).
void Q3K(const char* p, float* out) {
  const float d = Half(p + 108);
  const char* packed = p + 96;
  for (size_t g = 0; g < 16; ++g) {
    const int low = g < 8 ? Byte(packed + g) & 15 : Byte(packed + g - 8) >> 4;
    const int high = Byte(packed + 8 + g % 4) >> (g / 4 * 2) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    const size_t half = g % 2 * 16;
    const char* codes = p + 32 + (g / 8) * 32 + half;
    const size_t shift = g % 8 / 2 * 2, bit = g / 2;
    for (size_t i = 0; i < 16; ++i) {
      const int q = Byte(codes + i) >> shift & 3;
      const int set = Byte(p + half + i) >> bit & 1;
      out[g * 16 + i] = scale * static_cast<float>(set ? q : q - 4);
    }
  }
}

// Codes of one block of a type with a grid, and its scales.
void Codes(GgufType type, const char* p, uint8_t* codes, float* scales) {
  switch (type) {
    case GgufType::kQ4_0:
      *scales = Half(p);
      return Nibbles(p + 2, codes);
    case GgufType::kQ5_0:
      *scales = Half(p);
      Nibbles(p + 6, codes);
      return AddFifthBits(p + 2, codes);
    case GgufType::kQ8_0:
      *scales = Half(p);
      for (size_t i = 0; i < kSmall; ++i) {
        codes[i] = static_cast<uint8_t>(Byte(p + 2 + i) ^ 0x80);
      }
      return;
    default:
      break;
  }
  // Q6_K: 128 bytes of low nibbles, 64 of high pairs, 16 scales, d.
  const float d = Half(p + 208);
  for (size_t g = 0; g < 16; ++g) {
    scales[g] = d * static_cast<float>(static_cast<int8_t>(Byte(p + 192 + g)));
  }
  for (size_t i = 0; i < kLarge; ++i) {
    const size_t half = i / 128, in = i % 128;
    const unsigned low = Byte(p + half * 64 + in % 64) >> (in / 64 * 4) & 15;
    const unsigned high =
        Byte(p + 128 + half * 32 + in % 32) >> (in / 32 * 2) & 3;
    codes[i] = static_cast<uint8_t>(low | high << 4);
  }
}

void Block(GgufType type, const char* p, float* out) {
  switch (type) {
    case GgufType::kQ4_1:
      return WithMinimum(false, p, out);
    case GgufType::kQ5_1:
      return WithMinimum(true, p, out);
    case GgufType::kQ2_K:
      return Q2K(p, out);
    case GgufType::kQ3_K:
      return Q3K(p, out);
    case GgufType::kQ4_K:
      return Q45K(false, p, out);
    case GgufType::kQ5_K:
      return Q45K(true, p, out);
    default:
      break;
  }
  const GgufGrid grid = GridOf(type);
  uint8_t codes[kLarge];
  float scales[16];
  Codes(type, p, codes, scales);
  for (size_t i = 0; i < GgufBlockValues(type); ++i) {
    out[i] = scales[i / grid.block] *
             static_cast<float>(static_cast<int>(codes[i]) - grid.zero);
  }
}

}  // namespace

void DequantizeGguf(GgufType type, const char* bytes, size_t count,
                    float* out) {
  switch (type) {
    case GgufType::kF32:
      std::memcpy(out, bytes, count * sizeof(float));
      return;
    case GgufType::kF16:
      for (size_t i = 0; i < count; ++i) out[i] = Half(bytes + 2 * i);
      return;
    case GgufType::kBF16:
      for (size_t i = 0; i < count; ++i) {
        out[i] = FloatFromBF16(static_cast<uint16_t>(Word(bytes + 2 * i, 2)));
      }
      return;
    default:
      break;
  }
  const size_t values = GgufBlockValues(type), size = GgufBlockBytes(type);
  for (size_t i = 0; i < count / values; ++i) {
    Block(type, bytes + i * size, out + i * values);
  }
}

GgufGrid GridOf(GgufType type) {
  switch (type) {
    case GgufType::kQ4_0:
      return {4, 32, 8};
    case GgufType::kQ5_0:
      return {5, 32, 16};
    case GgufType::kQ8_0:
      return {8, 32, 128};
    case GgufType::kQ6_K:
      return {6, 16, 32};
    default:
      return {};
  }
}

void GgufCodes(GgufType type, const char* bytes, size_t count, uint8_t* codes,
               float* scales) {
  const size_t values = GgufBlockValues(type), size = GgufBlockBytes(type);
  const size_t groups = values / GridOf(type).block;
  for (size_t i = 0; i < count / values; ++i) {
    Codes(type, bytes + i * size, codes + i * values, scales + i * groups);
  }
}

}  // namespace slm
