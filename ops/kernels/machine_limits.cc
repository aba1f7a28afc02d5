// SPDX-License-Identifier: MIT
#include "ops/kernels/machine_limits.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/core/amx.h"
#include "runtime/core/clock.h"
#include "runtime/core/cpu.h"
#include "runtime/core/memory.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/machine_limits.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "quant/dot-inl.h"
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

using DU64 = hn::ScalableTag<uint64_t>;

// sum of x [n], all but a rest of it; eight vectors in flight hide the latency
// of the additions. They lie side by side or, in_turn, in eight pages: see
// quant/lines_ahead-inl.h.
uint64_t SumWords(const uint64_t* x, size_t n, bool in_turn) {
  const DU64 d;
  const size_t lanes = hn::Lanes(d);
  const size_t apart = in_turn ? 4096 / sizeof *x : lanes;
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  auto s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  for (; n >= 8 * apart; n -= 8 * apart, x += 8 * apart) {
    for (size_t i = 0; i < apart; i += lanes) {
      s0 = hn::Add(s0, hn::LoadU(d, x + i));
      s1 = hn::Add(s1, hn::LoadU(d, x + i + apart));
      s2 = hn::Add(s2, hn::LoadU(d, x + i + 2 * apart));
      s3 = hn::Add(s3, hn::LoadU(d, x + i + 3 * apart));
      s4 = hn::Add(s4, hn::LoadU(d, x + i + 4 * apart));
      s5 = hn::Add(s5, hn::LoadU(d, x + i + 5 * apart));
      s6 = hn::Add(s6, hn::LoadU(d, x + i + 6 * apart));
      s7 = hn::Add(s7, hn::LoadU(d, x + i + 7 * apart));
    }
  }
  s0 = hn::Add(hn::Add(s0, s1), hn::Add(s2, s3));
  s4 = hn::Add(hn::Add(s4, s5), hn::Add(s6, s7));
  return hn::ReduceSum(d, hn::Add(s0, s4));
}

// Rounds of multiply-adds that no compiler can take out of the loop or make one
// of; *result is any number below 64 and becomes their sum. They return the
// number of byte products. The products are those of the kernels (Dot).

// sum_j += u * a_i in pairs, with another u each round: what fits 16 registers
// without a spill, and 17 instructions for 8 products of vectors.
size_t MultiplyPairs(size_t rounds, int64_t* result) {
  const DI16 d;
  const auto a = [&](int i) HWY_ATTR {
    return hn::BitCast(DU32(),
                       hn::Set(DI8(), static_cast<int8_t>(*result + i)));
  };
  const VU32 a0 = a(0), a1 = a(1), a2 = a(2), a3 = a(3);
  const VU32 a4 = a(4), a5 = a(5), a6 = a(6), a7 = a(7), step = a(8);
  VU32 u = step;
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  for (size_t i = 0; i < rounds; ++i) {
    s0 = hn::Add(s0, Pairs(u, a0));
    s1 = hn::Add(s1, Pairs(u, a1));
    s2 = hn::Add(s2, Pairs(u, a2));
    s3 = hn::Add(s3, Pairs(u, a3));
    s0 = hn::Add(s0, Pairs(u, a4));
    s1 = hn::Add(s1, Pairs(u, a5));
    s2 = hn::Add(s2, Pairs(u, a6));
    s3 = hn::Add(s3, Pairs(u, a7));
    u = hn::Add(u, step);
  }
  *result = hn::GetLane(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)));
  return rounds * 8 * 4 * kLanes;
}

// s_i += s_i * a: twelve independent sums keep two instructions a cycle with a
// latency of five to six busy.
template <Dot kDot>
size_t MultiplyQuads(size_t rounds, int64_t* result) {
  const auto s = [&](int i) HWY_ATTR {
    return hn::Set(DI32(), static_cast<int32_t>(*result) + i);
  };
  VI32 s0 = s(0), s1 = s(1), s2 = s(2), s3 = s(3), s4 = s(4), s5 = s(5);
  VI32 s6 = s(6), s7 = s(7), s8 = s(8), s9 = s(9), s10 = s(10), s11 = s(11);
  const VU32 a = hn::Set(DU32(), 0x03030303u);
  const auto step = [&](VI32 sum) HWY_ATTR {
    return Dot4<kDot>(hn::BitCast(DU32(), sum), a, sum);
  };
  for (size_t i = 0; i < rounds; ++i) {
    s0 = step(s0);
    s1 = step(s1);
    s2 = step(s2);
    s3 = step(s3);
    s4 = step(s4);
    s5 = step(s5);
    s6 = step(s6);
    s7 = step(s7);
    s8 = step(s8);
    s9 = step(s9);
    s10 = step(s10);
    s11 = step(s11);
  }
  s0 = hn::Add(hn::Add(s0, s1), hn::Add(s2, s3));
  s4 = hn::Add(hn::Add(s4, s5), hn::Add(s6, s7));
  s8 = hn::Add(hn::Add(s8, s9), hn::Add(s10, s11));
  *result = hn::GetLane(hn::Add(s0, hn::Add(s4, s8)));
  return rounds * 12 * 4 * kLanes;
}

size_t MultiplyBytes(size_t rounds, int64_t* result) {
  if constexpr (kNativeDot == Dot::kPairs) {
    return MultiplyPairs(rounds, result);
  } else {
    return MultiplyQuads<kNativeDot>(rounds, result);
  }
}

// For UseAvxVnni; other targets than AVX2 are never asked.
size_t MultiplyBytesVex(size_t rounds, int64_t* result) {
#if HWY_TARGET == HWY_AVX2
  return MultiplyQuads<Dot::kVexU8I8>(rounds, result);
#else
  return MultiplyBytes(rounds, result);
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {

HWY_EXPORT(SumWords);
HWY_EXPORT(MultiplyBytes);
HWY_EXPORT(MultiplyBytesVex);

namespace {

// As MultiplyBytes; for UseAmx. Sums of four tiles: a product begins every 16
// cycles and takes 52.
size_t MultiplyTiles(size_t rounds, int64_t* result) {
#if SLM_HAVE_AMX
  const size_t turns = rounds / 10;  // which take ten times as long
  alignas(64) uint8_t bytes[kAmxRows * kAmxRowBytes];
  std::memset(bytes, static_cast<int>(*result), sizeof bytes);
  AmxConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    config.SetTile(tile, kAmxRows, kAmxRowBytes);
  }
  AmxConfigure(config);
  AmxZero<0>();
  AmxZero<1>();
  AmxZero<2>();
  AmxZero<3>();
  AmxLoad<4>(bytes, kAmxRowBytes);
  AmxLoad<5>(bytes, kAmxRowBytes);
  AmxLoad<6>(bytes, kAmxRowBytes);
  AmxLoad<7>(bytes, kAmxRowBytes);
  for (size_t i = 0; i < turns; ++i) {
    AmxMultiply<0, 4, 6, false>();
    AmxMultiply<1, 4, 7, false>();
    AmxMultiply<2, 5, 6, false>();
    AmxMultiply<3, 5, 7, false>();
  }
  AmxStore<3>(bytes, kAmxRowBytes);
  AmxRelease();
  *result = bytes[0];
  return turns * 4 * kAmxRows * (kAmxRowBytes / 4) * kAmxRowBytes;
#else
  (void)rounds, (void)result;
  return 0;
#endif
}

// Other programs only ever slow a pass down, so the best of passes counts;
// a tenth of a second meets some undisturbed ones.
constexpr double kSecondsPerLimit = 0.1;
constexpr size_t kMostPasses = 50;

// Seconds of the fastest call of `pass`.
template <typename Pass>
double Fastest(const Pass& pass) {
  const double begin = MonotonicSeconds();
  double best = 1e9;
  for (size_t i = 0; i < kMostPasses; ++i) {
    const double start = MonotonicSeconds();
    if (i > 1 && start - begin > kSecondsPerLimit) break;
    pass();
    best = std::min(best, MonotonicSeconds() - start);
  }
  return std::max(best, 1e-9);
}

}  // namespace

Result<double> MeasureReadBandwidth(ThreadPool& pool, size_t buffer_bytes) {
  const size_t words = buffer_bytes / sizeof(uint64_t);
  SLM_ASSIGN_OR_RETURN(
      const AlignedBuffer buffer,
      AlignedBuffer::Allocate(words * sizeof(uint64_t), "read bandwidth"));
  auto* const data = static_cast<uint64_t*>(buffer.data());
  // Pages that were never written are all the same page of zeros.
  ParallelFor(pool, words, 4096, [&](size_t begin, size_t end, size_t) {
    std::memset(data + begin, 1, (end - begin) * sizeof(uint64_t));
  });
  uint64_t sum = 0;
  std::vector<uint64_t> sums(pool.size());
  const auto fastest = [&](bool in_turn) {
    return Fastest([&] {
      ParallelFor(pool, words, 4096, [&](size_t begin, size_t end, size_t t) {
        sums[t] =
            HWY_DYNAMIC_DISPATCH(SumWords)(data + begin, end - begin, in_turn);
      });
      for (const uint64_t s : sums) sum += s;
    });
  };
  const double seconds = std::min(fastest(false), fastest(true));
  hwy::PreventElision(sum);
  return static_cast<double>(words * sizeof(uint64_t)) / seconds;
}

double MeasureInt8Peak(ThreadPool& pool) {
  // About 2 ms: a pool's start and end do not show, and a slice of time that
  // another program takes spoils few passes.
  constexpr size_t kRounds = 1 << 20;
  const auto multiply = UseAmx()       ? MultiplyTiles
                        : UseAvxVnni() ? HWY_DYNAMIC_POINTER(MultiplyBytesVex)
                                       : HWY_DYNAMIC_POINTER(MultiplyBytes);
  std::vector<int64_t> sums(pool.size());
  std::vector<size_t> products(pool.size());
  const double seconds = Fastest([&] {
    ParallelFor(pool, pool.size(), 1, [&](size_t, size_t, size_t t) {
      sums[t] &= 63;
      products[t] = multiply(kRounds, &sums[t]);
    });
  });
  int64_t sum = 0;
  for (const int64_t s : sums) sum += s;
  hwy::PreventElision(sum);
  return 2.0 * static_cast<double>(products[0]) *
         static_cast<double>(pool.size()) / seconds;
}

}  // namespace slm
#endif  // HWY_ONCE
