// SPDX-License-Identifier: MIT
#include "tools/convert/size_plan.h"

#include <algorithm>
#include <map>

#include "runtime/core/dtype.h"
#include "runtime/core/result.h"

namespace slm::convert {
namespace {

// Panels of rows as floats and as codes, and the program: 38 to 58 MB were
// measured.
constexpr uint64_t kConversion = 64'000'000;

double Mega(uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

std::string FormatName(const Weight& weight, DType io) {
  const QuantizeOptions& q = weight.quantize;
  if (weight.quantized()) {
    const std::string name =
        (q.symmetric ? "int" : "uint") + std::to_string(q.bits);
    return weight.whole_rows
               ? name + ", whole rows"
               : name + ", blocks of " + std::to_string(q.block_size);
  }
  const char* type = Name(weight.floats.value_or(io));
  switch (weight.kind) {
    case WeightKind::kRopeCos:
    case WeightKind::kRopeSin:
      return std::string(type) + ", tables of angles";
    case WeightKind::kMatrix:
    case WeightKind::kTable:
    case WeightKind::kExperts:
      return std::string(type) + ", matrices and embeddings";
    default:
      return std::string(type) + ", norms and biases";
  }
}

}  // namespace

uint64_t CacheBytes(const DecoderSpec& spec, int64_t tokens, uint64_t width) {
  uint64_t bytes = 0;
  for (const LayerSpec& layer : spec.layers) {
    if (layer.convolution) continue;
    const int64_t kept =
        layer.window > 0 ? std::min(layer.window, tokens) : tokens;
    bytes += 2 * static_cast<uint64_t>(kept) *
             static_cast<uint64_t>(spec.kv_size()) * width;
  }
  return bytes;
}

std::vector<std::string> SizeLines(const DecoderSpec& spec,
                                   const std::vector<Weight>& weights,
                                   const DataLayout& layout, DType io) {
  struct Sum {
    size_t count = 0;
    uint64_t bytes = 0;
  };
  std::map<std::string, Sum> formats;
  uint64_t turned = 0;  // DequantizeLinear's are made whole in memory
  for (size_t i = 0; i < weights.size(); ++i) {
    Sum& sum = formats[FormatName(weights[i], io)];
    uint64_t bytes = 0;
    for (const OnnxInitializer& part : layout.parts[i]) bytes += part.length;
    ++sum.count;
    sum.bytes += bytes;
    if (weights[i].kind == WeightKind::kQuantizedTurned) {
      turned = std::max(turned, bytes);
    }
  }
  std::vector<std::string> lines;
  for (const auto& [name, sum] : formats) {
    lines.push_back(Format("%10.1f MB  %s (%zu)", Mega(sum.bytes), name.c_str(),
                           sum.count));
  }
  lines.push_back(
      Format("memory to convert: about %.0f MB, page cache and --imatrix apart",
             Mega(kConversion + turned)));
  const uint64_t width = BytesFor(io, 1);
  const int64_t few = std::min<int64_t>(4096, spec.context);
  if (spec.kv_size() > 0 && few > 0) {
    lines.push_back(Format(
        "memory to run: %.1f MB of weights, keys and values %.1f MB for %lld "
        "tokens, %.1f MB for all %lld, in %s",
        Mega(layout.bytes), Mega(CacheBytes(spec, few, width)),
        static_cast<long long>(few),
        Mega(CacheBytes(spec, spec.context, width)),
        static_cast<long long>(spec.context), Name(io)));
  }
  return lines;
}

}  // namespace slm::convert
