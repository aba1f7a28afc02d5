// SPDX-License-Identifier: MIT
#include "runtime/candidates.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <utility>

#include "ops/kernels/topk.h"
#include "runtime/core/shape.h"

namespace slm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// 2374 blocks for 151936 logits: few enough to select among in some 10 us,
// many enough that the largest hundreds lie in different ones.
constexpr size_t kBlock = 64;

// From here on a radix sort is faster than std::sort: 151936 entries take 2 ms
// instead of 20.
constexpr size_t kRadixSize = 2048;
constexpr size_t kDigitBits = 11;
constexpr size_t kDigits = size_t{1} << kDigitBits;

// Ascending keys are descending scores; -0 has the key of 0. Not for NaN.
uint32_t DescendingKey(float score) {
  const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);
  return (bits >> 31) != 0 ? bits : ~bits & 0x7FFFFFFFu;
}

// Stable: entries ascending by id are then ordered as Better says.
void RadixSort(std::vector<Candidate>* entries, std::vector<Candidate>* swap) {
  swap->resize(entries->size());
  for (size_t shift = 0; shift < 32; shift += kDigitBits) {
    size_t at[kDigits] = {};
    const auto digit = [shift](const Candidate& c) {
      return DescendingKey(c.score) >> shift & (kDigits - 1);
    };
    for (const Candidate& c : *entries) ++at[digit(c)];
    size_t sum = 0;
    for (size_t& a : at) sum += std::exchange(a, sum);
    for (const Candidate& c : *entries) (*swap)[at[digit(c)]++] = c;
    entries->swap(*swap);
  }
}

}  // namespace

int32_t ArgMax(std::span<const float> scores) {
  return static_cast<int32_t>(FirstMaximum(scores));
}

void Candidates::Reset(std::span<const float> scores) {
  scores_ = scores;
  block_max_.resize(CeilDiv(scores.size(), kBlock));
  BlockMaxima(scores, kBlock, block_max_.data());
  max_ = block_max_.empty() ? -kInf : block_max_[FirstMaximum(block_max_)];
  entries_.clear();
  sorted_ = 0;
  floor_ = kInf;
}

std::span<const Candidate> Candidates::Top(size_t count) {
  count = std::min(count, scores_.size());
  if (count > sorted_) {
    if (count >= kRadixSize || count > entries_.size()) Gather(count);
    SortTo(count);
  }
  return {entries_.data(), sorted_};
}

// The count-th largest block maximum is a threshold that at least `count`
// entries reach, unless blocks hold no number at all. For counts near the
// number of blocks it is a poor one.
void Candidates::Gather(size_t count) {
  if (count >= kRadixSize || count > block_max_.size() / 4 * 3) {
    SortAll();
    return;
  }
  order_ = block_max_;
  const auto nth = order_.begin() + (count - 1);
  std::nth_element(order_.begin(), nth, order_.end(), std::greater<float>());
  if (*nth == -kInf) {
    SortAll();
  } else {
    GatherAtLeast(*nth);
  }
}

void Candidates::SortTo(size_t count) {
  if (count <= sorted_) return;
  const auto begin = entries_.begin() + sorted_;
  // A little more than asked for is sorted at once; a lot is split first.
  if (entries_.size() <= 2 * count) count = entries_.size();
  if (count < entries_.size()) {
    std::nth_element(begin, entries_.begin() + count, entries_.end(), Better);
  }
  std::sort(begin, entries_.begin() + count, Better);
  sorted_ = count;
}

void Candidates::GatherAtLeast(float threshold) {
  // On the first call nothing has been taken yet, not even an infinity.
  const float below = entries_.empty() ? kNan : floor_;
  uint32_t places[kBlock];
  for (size_t block = 0; block < block_max_.size(); ++block) {
    if (block_max_[block] < threshold) continue;
    const size_t begin = block * kBlock;
    const auto scores =
        scores_.subspan(begin, std::min(kBlock, scores_.size() - begin));
    const size_t count = PlacesBetween(scores, threshold, below, places);
    for (size_t i = 0; i < count; ++i) {
      entries_.push_back({scores[places[i]],
                          static_cast<int32_t>(begin + places[i])});
    }
  }
  floor_ = threshold;
}

// NaN comes in as -infinity, so that it can be ordered.
void Candidates::SortAll() {
  entries_.clear();
  for (size_t i = 0; i < scores_.size(); ++i) {
    const float score = scores_[i];
    entries_.push_back(
        {score == score ? score : -kInf, static_cast<int32_t>(i)});
  }
  if (entries_.size() < kRadixSize) {
    std::sort(entries_.begin(), entries_.end(), Better);
  } else {
    RadixSort(&entries_, &swap_);
  }
  sorted_ = entries_.size();
}

}  // namespace slm
