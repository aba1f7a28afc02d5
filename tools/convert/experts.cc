// SPDX-License-Identifier: MIT
#include "tools/convert/experts.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "runtime/core/half.h"
#include "tools/convert/decode.h"

namespace slm::convert {
namespace {

constexpr int64_t kMxBlock = 32;

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() &&
         text.substr(text.size() - end.size()) == end;
}

// Values [k, n] of an expert: rows of the view are their columns.
void ReadTurned(const ExpertView& view, int64_t expert, int64_t first,
                int64_t rows, float* out) {
  const auto count = static_cast<size_t>(rows);
  const auto k = static_cast<size_t>(view.k);
  const size_t bytes = SafeTypeBytes(view.values->type);
  std::vector<float> strip(count);
  for (size_t c = 0; c < k; ++c) {
    const size_t at =
        (static_cast<size_t>(expert) * k + c) * static_cast<size_t>(view.n) +
        static_cast<size_t>(first);
    Decode(view.values->type, view.values->bytes.data() + at * bytes, count,
           strip.data());
    for (size_t r = 0; r < count; ++r) out[r * k + c] = strip[r];
  }
}

// A byte holds the values of columns 2 i (low) and 2 i + 1 (high).
void ReadMxRow(const ExpertView& view, int64_t row, float* out) {
  static constexpr float kE2M1[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  const auto blocks = static_cast<size_t>(view.k / kMxBlock);
  const size_t first = static_cast<size_t>(row) * blocks;
  for (size_t b = 0; b < blocks; ++b) {
    const auto exponent = static_cast<uint8_t>(view.scales->bytes[first + b]);
    // 255 is not a number; the caller says so.
    const float scale =
        exponent == 255 ? NAN : std::ldexp(1.0f, exponent - 127);
    for (size_t i = 0; i < kMxBlock / 2; ++i) {
      const auto pair = static_cast<uint8_t>(
          view.values->bytes[(first + b) * (kMxBlock / 2) + i]);
      for (const int code : {pair & 15, pair >> 4}) {
        const float value = kE2M1[code & 7] * scale;
        *out++ = code & 8 ? -value : value;
      }
    }
  }
}

void QuantizeRow(const QuantizeOptions& q, const float* w, size_t k,
                 uint8_t* codes, float* scales) {
  const int zero = 1 << (q.bits - 1);
  for (size_t b = 0; b < q.Blocks(k); ++b) {
    const size_t begin = b * q.block_size;
    const size_t end = std::min(k, begin + q.block_size);
    float most = 0;
    for (size_t i = begin; i < end; ++i) most = std::max(most, std::abs(w[i]));
    const float scale = std::max(most / static_cast<float>(zero), 1e-8f);
    scales[b] = FloatFromF16(F16FromFloat(scale));
    for (size_t i = begin; i < end; ++i) {
      const float rounded = std::nearbyint(w[i] / scale);
      const int value = static_cast<int>(std::clamp(
          rounded, static_cast<float>(-zero), static_cast<float>(zero - 1)));
      const auto code = static_cast<uint8_t>(value + zero);
      if (q.bits == 8) {
        codes[i] = code;
      } else if (i % 2 == 0) {
        codes[i / 2] = code;
      } else {
        codes[i / 2] = static_cast<uint8_t>(codes[i / 2] | code << 4);
      }
    }
  }
}

}  // namespace

const char* ExpertView::type() const {
  return scales ? "MXFP4" : SafeTypeName(values->type);
}

void ExpertView::Read(int64_t first, int64_t rows, float* out) const {
  while (rows > 0) {
    const int64_t count = std::min(rows, n - first % n);
    if (scales) {
      for (int64_t r = 0; r < count; ++r) {
        ReadMxRow(*this, first + r, out + r * k);
      }
    } else {
      ReadTurned(*this, first / n, first % n, count, out);
    }
    first += count;
    rows -= count;
    out += count * k;
  }
}

void ExpertView::Release(const SafeTensors& file, int64_t first,
                         int64_t rows) const {
  if (scales) {
    const auto blocks = static_cast<size_t>(k / kMxBlock);
    const size_t at = static_cast<size_t>(first) * blocks;
    const size_t count = static_cast<size_t>(rows) * blocks;
    constexpr size_t kBytes = kMxBlock / 2;
    file.Release(*values, at * kBytes, count * kBytes);
    file.Release(*scales, at, count);
    return;
  }
  const size_t expert =
      static_cast<size_t>(n * k) * SafeTypeBytes(values->type);
  const auto begin = static_cast<size_t>(first / n);
  const auto end = static_cast<size_t>((first + rows) / n);
  file.Release(*values, begin * expert, (end - begin) * expert);
}

ExpertViews FindExperts(const SafeTensors& file) {
  ExpertViews views;
  for (const auto& [name, tensor] : file.tensors()) {
    constexpr std::string_view kBlocks = "_blocks";
    const Shape& shape = tensor.shape;
    const bool packed = EndsWith(name, kBlocks);
    const std::string base =
        packed ? name.substr(0, name.size() - kBlocks.size()) : name;
    if (shape.Count() == 0 || (!EndsWith(base, ".mlp.experts.gate_up_proj") &&
                               !EndsWith(base, ".mlp.experts.down_proj"))) {
      continue;
    }
    ExpertView view;
    view.values = &tensor;
    view.parts = {name};
    view.experts = shape[0];
    if (!packed && shape.rank() == 3 && IsFloatType(tensor.type)) {
      view.k = shape[1];
      view.n = shape[2];
      views[base] = std::move(view);
      continue;
    }
    view.scales = file.Find(base + "_scales");
    view.parts.push_back(base + "_scales");
    if (packed && view.scales && tensor.type == SafeType::kU8 &&
        view.scales->type == SafeType::kU8 && shape.rank() == 4 &&
        shape[3] == kMxBlock / 2 &&
        view.scales->shape == Shape{shape[0], shape[1], shape[2]}) {
      view.n = shape[1];
      view.k = shape[2] * kMxBlock;
      views[base] = std::move(view);
    }
  }
  return views;
}

void QuantizeExperts(const QuantizeOptions& q, bool whole_rows, const float* w,
                     size_t rows, size_t k, ThreadPool& threads,
                     const QuantizedRows& out) {
  const bool builder =
      whole_rows || (q.algorithm == QuantAlgorithm::kDefault && q.symmetric);
  if (!builder) return QuantizeRows(q, w, rows, k, nullptr, threads, out);
  ParallelFor(threads, rows, std::max<size_t>(1, (size_t{1} << 14) / k),
              [&](size_t begin, size_t end, size_t) {
                for (size_t r = begin; r < end; ++r) {
                  QuantizeRow(q, w + r * k, k,
                              out.codes + r * q.CodeRowBytes(k),
                              out.scales + r * q.Blocks(k));
                }
              });
}

}  // namespace slm::convert
