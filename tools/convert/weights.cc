// SPDX-License-Identifier: MIT
#include "tools/convert/weights.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <string_view>

#include "ops/kernels/convert.h"
#include "quant/round_together.h"
#include "runtime/core/shape.h"
#include "tools/convert/input_moments.h"
#include "tools/convert/experts.h"
#include "tools/convert/weight_reader.h"

namespace slm::convert {
namespace {

// Float32 values of a panel. Two are alive at a time with what is made of them.
constexpr size_t kPanelValues = size_t{4} << 20;

DType FloatsOf(const Weight& weight, DType graph) {
  return weight.floats.value_or(weight.quantized() ? DType::kF32 : graph);
}

class Writer {
 public:
  Writer(const TensorSource& source, const AdapterSet& adapters,
         const DecoderSpec& spec, const GraphOptions& options,
         ThreadPool& threads, const WriteProgress& progress, FileWriter* file,
         const Calibration* calibration)
      : reader_(source, adapters, threads),
        spec_(spec),
        options_(options),
        threads_(threads),
        progress_(progress),
        file_(file),
        calibration_(calibration) {}

  Status Write(const Weight& weight,
               const std::vector<OnnxInitializer>& parts) {
    reader_.Begin(weight);
    floats_ = FloatsOf(weight, options_.io());
    switch (weight.kind) {
      case WeightKind::kVector:
      case WeightKind::kTable:
      case WeightKind::kTaps:
      case WeightKind::kExperts:
        SLM_RETURN_IF_ERROR(WriteRows(weight, parts[0].offset));
        break;
      case WeightKind::kMatrix:
        SLM_RETURN_IF_ERROR(WriteTransposed(weight, parts[0].offset));
        break;
      case WeightKind::kQuantized:
      case WeightKind::kQuantizedTable:
      case WeightKind::kQuantizedExperts:
        SLM_RETURN_IF_ERROR(WriteQuantized(weight, parts));
        break;
      case WeightKind::kQuantizedTurned:
        SLM_RETURN_IF_ERROR(WriteQuantizedTurned(weight, parts));
        break;
      case WeightKind::kRopeCos:
      case WeightKind::kRopeSin:
        return WriteRope(weight, parts[0].offset);
    }
    return OkStatus();
  }

 private:
  // Rows of `columns` values that fit a panel, at least one.
  static int64_t PanelRows(int64_t columns, int64_t rows) {
    const auto fit = static_cast<int64_t>(kPanelValues) / columns;
    return std::clamp<int64_t>(fit, 1, rows);
  }

  Status Put(uint64_t offset, const void* data, size_t size) {
    SLM_RETURN_IF_ERROR(file_->WriteAt(offset, data, size));
    done_ += size;
    return OkStatus();
  }
  Status PutFloats(uint64_t offset, const float* values, size_t count) {
    if (floats_ == DType::kF32) {
      return Put(offset, values, count * sizeof(float));
    }
    halves_.resize(count);
    HalvesFromFloats(floats_, values, count, halves_.data());
    return Put(offset, halves_.data(), count * sizeof(uint16_t));
  }
  Status Report() { return progress_.report(done_); }

  Status WriteRows(const Weight& weight, uint64_t offset) {
    const size_t width = BytesFor(floats_, 1);
    const int64_t step = PanelRows(weight.k, weight.n);
    for (int64_t r = 0; r < weight.n; r += step) {
      const int64_t rows = std::min(step, weight.n - r);
      const auto count = static_cast<size_t>(rows * weight.k);
      panel_.resize(count);
      SLM_RETURN_IF_ERROR(reader_.Read(weight, r, rows, panel_.data()));
      reader_.Release(weight, r, rows);
      SLM_RETURN_IF_ERROR(
          PutFloats(offset + static_cast<uint64_t>(r * weight.k) * width,
                    panel_.data(), count));
      SLM_RETURN_IF_ERROR(Report());
    }
    return OkStatus();
  }

  // Columns of the source are rows of the file: each panel of rows becomes a
  // strip of all of them, and the source is read once.
  Status WriteTransposed(const Weight& weight, uint64_t offset) {
    const size_t width = BytesFor(floats_, 1);
    const int64_t step = PanelRows(weight.k, weight.n);
    for (int64_t r = 0; r < weight.n; r += step) {
      const int64_t rows = std::min(step, weight.n - r);
      const auto count = static_cast<size_t>(rows * weight.k);
      panel_.resize(count);
      turned_.resize(count);
      SLM_RETURN_IF_ERROR(reader_.Read(weight, r, rows, panel_.data()));
      reader_.Release(weight, r, rows);
      Transpose(static_cast<size_t>(rows), static_cast<size_t>(weight.k));
      for (int64_t c = 0; c < weight.k; ++c) {
        SLM_RETURN_IF_ERROR(
            PutFloats(offset + static_cast<uint64_t>(c * weight.n + r) * width,
                      turned_.data() + c * rows, static_cast<size_t>(rows)));
      }
      SLM_RETURN_IF_ERROR(Report());
    }
    return OkStatus();
  }

  // turned_ [columns, rows] = panel_ [rows, columns], in squares that fit the
  // first cache.
  void Transpose(size_t rows, size_t columns) {
    constexpr size_t kSquare = 32;
    ParallelFor(threads_, columns, kSquare,
                [&](size_t begin, size_t end, size_t) {
                  for (size_t r0 = 0; r0 < rows; r0 += kSquare) {
                    const size_t r1 = std::min(rows, r0 + kSquare);
                    for (size_t c = begin; c < end; ++c) {
                      for (size_t r = r0; r < r1; ++r) {
                        turned_[c * rows + r] = panel_[r * columns + c];
                      }
                    }
                  }
                });
  }

  // Rows [r, r + rows) into codes_, scales_ and zeros_, as QuantizeRows packs.
  Status QuantizePanel(const Weight& weight, int64_t r, int64_t rows) {
    const QuantizeOptions& q = weight.quantize;
    const auto k = static_cast<size_t>(weight.k);
    const auto count = static_cast<size_t>(rows);
    codes_.resize(count * q.CodeRowBytes(k));
    scales_.resize(count * q.Blocks(k));
    zeros_.resize(q.symmetric ? 0 : count * q.ZeroPointRowBytes(k));
    const QuantizedRows out{codes_.data(), scales_.data(), zeros_.data()};
    if (weight.kept) {
      SLM_RETURN_IF_ERROR(reader_.ReadKept(weight, r, rows, out));
    } else if (calibration_ && calibration_->codes.Has(weight.name)) {
      calibration_->codes.Read(weight, r, rows, out);
      return OkStatus();
    } else {
      panel_.resize(count * k);
      SLM_RETURN_IF_ERROR(reader_.Read(weight, r, rows, panel_.data()));
      const std::vector<float> importance = Importance(weight);
      const float* weighed = importance.empty() ? nullptr : importance.data();
      if (weight.kind == WeightKind::kQuantizedExperts) {
        QuantizeExperts(q, weight.whole_rows, panel_.data(), count, k, threads_,
                        out);
      } else {
        QuantizeRows(q, panel_.data(), count, k, weighed, threads_, out);
        if (weighed && q.algorithm == QuantAlgorithm::kSearch) {
          RoundTogether(q, panel_.data(), count, k,
                        calibration_->imatrix.moments.at(weight.name).data(),
                        threads_, out);
        }
      }
    }
    reader_.Release(weight, r, rows);
    return OkStatus();
  }

  // Errors of a tied table matter to the embedding, too, which no statistics
  // weigh: weighing them for the head alone gave 2 % more KL divergence.
  std::vector<float> Importance(const Weight& weight) const {
    const bool tied = spec_.tied && weight.name == kHeadWeight;
    return calibration_ && IsCalibrated(weight) && !tied
               ? ImportanceOf(calibration_->imatrix, weight.name)
               : std::vector<float>();
  }

  Status WriteQuantized(const Weight& weight,
                        const std::vector<OnnxInitializer>& parts) {
    const QuantizeOptions& q = weight.quantize;
    const auto k = static_cast<size_t>(weight.k);
    const bool table = weight.kind == WeightKind::kQuantizedTable;
    uint64_t at[3] = {};  // in each part
    for (size_t p = 0; p < parts.size(); ++p) at[p] = parts[p].offset;
    // An even number of rows of a table ends with a whole byte.
    int64_t step = PanelRows(weight.k, weight.n);
    if (table && step > 1) step -= step % 2;
    for (int64_t r = 0; r < weight.n; r += step) {
      const int64_t rows = std::min(step, weight.n - r);
      SLM_RETURN_IF_ERROR(QuantizePanel(weight, r, rows));
      if (table) {
        Flatten(q, static_cast<size_t>(rows), k, q.symmetric, &codes_);
        if (!q.symmetric) {
          Flatten(q, static_cast<size_t>(rows), q.Blocks(k), false, &zeros_);
        }
      }
      SLM_RETURN_IF_ERROR(Append(&at[0], codes_.data(), codes_.size()));
      SLM_RETURN_IF_ERROR(PutFloats(at[1], scales_.data(), scales_.size()));
      at[1] += BytesFor(floats_, scales_.size());
      if (!q.symmetric) {
        SLM_RETURN_IF_ERROR(Append(&at[2], zeros_.data(), zeros_.size()));
      }
      SLM_RETURN_IF_ERROR(Report());
    }
    return OkStatus();
  }
  Status Append(uint64_t* at, const void* data, size_t size) {
    SLM_RETURN_IF_ERROR(Put(*at, data, size));
    *at += size;
    return OkStatus();
  }

  // `rows` rows of `count` codes, each row in whole bytes or blocks, without
  // what is behind the last column, as ONNX packs a tensor. 4 bits without zero
  // points are signed there.
  static void Flatten(const QuantizeOptions& q, size_t rows, size_t count,
                      bool is_signed, std::vector<uint8_t>* codes) {
    const size_t row_bytes = codes->size() / rows;
    std::vector<uint8_t> flat((rows * count * static_cast<size_t>(q.bits) + 7) /
                              8);
    for (size_t r = 0; r < rows; ++r) {
      const uint8_t* row = codes->data() + r * row_bytes;
      if (q.bits == 8) {
        std::memcpy(flat.data() + r * count, row, count);
        continue;
      }
      for (size_t i = 0; i < count; ++i) {
        SetNibble(r * count + i, NibbleAt(row, i, is_signed), &flat);
      }
    }
    codes->swap(flat);
  }
  static uint8_t NibbleAt(const uint8_t* row, size_t i, bool is_signed) {
    const int code = row[i / 2] >> (i % 2 * 4) & 0xF;
    return static_cast<uint8_t>(is_signed ? code ^ 8 : code);
  }
  static void SetNibble(size_t i, uint8_t code, std::vector<uint8_t>* flat) {
    (*flat)[i / 2] |= static_cast<uint8_t>(code << (i % 2 * 4));
  }

  // Columns of [k, n] are rows of the source, and a byte holds two columns: the
  // packed whole is made in memory.
  Status WriteQuantizedTurned(const Weight& weight,
                              const std::vector<OnnxInitializer>& parts) {
    const QuantizeOptions& q = weight.quantize;
    const auto k = static_cast<size_t>(weight.k);
    const auto n = static_cast<size_t>(weight.n);
    const size_t blocks = q.Blocks(k);
    const size_t zero_row = q.ZeroPointRowBytes(k);
    std::vector<uint8_t> codes(parts[0].length), zeros;
    std::vector<float> scales(blocks * n);
    if (!q.symmetric) zeros.resize(parts[2].length);
    const int64_t step = PanelRows(weight.k, weight.n);
    for (int64_t r = 0; r < weight.n; r += step) {
      const int64_t rows = std::min(step, weight.n - r);
      SLM_RETURN_IF_ERROR(QuantizePanel(weight, r, rows));
      for (size_t c = 0; c < static_cast<size_t>(rows); ++c) {
        const size_t column = static_cast<size_t>(r) + c;
        const uint8_t* row = codes_.data() + c * q.CodeRowBytes(k);
        for (size_t i = 0; i < k; ++i) {
          SetNibble(i * n + column, NibbleAt(row, i, q.symmetric), &codes);
        }
        for (size_t b = 0; b < blocks; ++b) {
          scales[b * n + column] = scales_[c * blocks + b];
          if (q.symmetric) continue;
          SetNibble(b * n + column,
                    NibbleAt(zeros_.data() + c * zero_row, b, false), &zeros);
        }
      }
    }
    SLM_RETURN_IF_ERROR(Put(parts[0].offset, codes.data(), codes.size()));
    SLM_RETURN_IF_ERROR(
        PutFloats(parts[1].offset, scales.data(), scales.size()));
    if (!q.symmetric) {
      SLM_RETURN_IF_ERROR(Put(parts[2].offset, zeros.data(), zeros.size()));
    }
    return Report();
  }

  Status WriteRope(const Weight& weight, uint64_t offset) {
    const RopeTable& table =
        spec_.ropes[static_cast<size_t>(weight.rope)].table;
    const bool cosine = weight.kind == WeightKind::kRopeCos;
    const size_t width = BytesFor(floats_, 1);
    const int64_t step = PanelRows(weight.k, weight.n);
    for (int64_t r = 0; r < weight.n; r += step) {
      const std::vector<float> values =
          table.Rows(cosine, r, std::min(step, weight.n - r));
      SLM_RETURN_IF_ERROR(
          PutFloats(offset + static_cast<uint64_t>(r * weight.k) * width,
                    values.data(), values.size()));
      SLM_RETURN_IF_ERROR(Report());
    }
    return OkStatus();
  }

  WeightReader reader_;
  const DecoderSpec& spec_;
  const GraphOptions& options_;
  ThreadPool& threads_;
  const WriteProgress& progress_;
  FileWriter* file_;
  const Calibration* calibration_;
  uint64_t done_ = 0;
  DType floats_ = DType::kF32;  // of the weight at hand
  std::vector<float> panel_, turned_, scales_;
  std::vector<uint16_t> halves_;
  std::vector<uint8_t> codes_, zeros_;
};

OnnxInitializer PartOf(std::string name, DType dtype,
                       std::vector<int64_t> dims) {
  size_t count = 1;
  for (const int64_t dim : dims) count *= static_cast<size_t>(dim);
  const uint64_t bytes = BytesFor(dtype, count);
  return OnnxInitializer{std::move(name), dtype, std::move(dims), 0, bytes};
}

std::vector<OnnxInitializer> ExpertParts(const Weight& weight) {
  const QuantizeOptions& q = weight.quantize;
  const auto k = static_cast<size_t>(weight.k);
  const int64_t rows = weight.n / weight.experts;
  const std::string& name = weight.name;
  std::vector<int64_t> scales = {weight.experts, rows,
                                 static_cast<int64_t>(q.Blocks(k))};
  if (weight.whole_rows) scales.pop_back();
  std::vector<OnnxInitializer> parts = {
      PartOf(name + ".qweight", DType::kU8,
             {weight.experts, rows, static_cast<int64_t>(q.CodeRowBytes(k))}),
      PartOf(name + ".scales", DType::kF32, std::move(scales))};
  if (!q.symmetric) {
    parts.push_back(PartOf(
        name + ".zero_points", DType::kU8,
        {weight.experts, rows, static_cast<int64_t>(q.ZeroPointRowBytes(k))}));
  }
  return parts;
}

std::vector<OnnxInitializer> PartsOf(const Weight& weight, DType graph) {
  const DType io = FloatsOf(weight, graph);
  const auto& part = PartOf;
  const QuantizeOptions& q = weight.quantize;
  const auto k = static_cast<size_t>(weight.k);
  switch (weight.kind) {
    case WeightKind::kVector:
      return {part(weight.name, io, {weight.n})};
    case WeightKind::kTable:
    case WeightKind::kRopeCos:
    case WeightKind::kRopeSin:
      return {part(weight.name, io, {weight.n, weight.k})};
    case WeightKind::kMatrix:
      return {part(weight.name, io, {weight.k, weight.n})};
    case WeightKind::kTaps:
      return {part(weight.name, io, {weight.n, 1, weight.k})};
    case WeightKind::kExperts:
      return {part(weight.name + ".weight", io,
                   {weight.experts, weight.n / weight.experts, weight.k})};
    case WeightKind::kQuantizedExperts:
      return ExpertParts(weight);
    case WeightKind::kQuantized:
    case WeightKind::kQuantizedTable:
    case WeightKind::kQuantizedTurned:
      break;
  }
  const QuantizedNames names = NamesOf(weight);
  const auto blocks = static_cast<int64_t>(q.Blocks(k));
  const DType four = q.symmetric ? DType::kI4 : DType::kU4;
  const DType dtype = q.bits == 4 ? four : DType::kU8;
  std::vector<OnnxInitializer> parts;
  if (weight.kind == WeightKind::kQuantizedTurned) {
    parts = {part(names.codes, dtype, {weight.k, weight.n}),
             part(names.scales, io, {blocks, weight.n}),
             part(names.zero_points, dtype, {blocks, weight.n})};
  } else if (weight.kind == WeightKind::kQuantizedTable) {
    parts = {part(names.codes, dtype, {weight.n, weight.k}),
             part(names.scales, io, {weight.n, blocks}),
             part(names.zero_points, dtype, {weight.n, blocks})};
  } else {
    const auto block_bytes = static_cast<int64_t>(q.CodeRowBytes(k)) / blocks;
    const auto zero_bytes = static_cast<int64_t>(q.ZeroPointRowBytes(k));
    parts = {part(names.codes, DType::kU8, {weight.n, blocks, block_bytes}),
             part(names.scales, io, {weight.n, blocks}),
             part(names.zero_points, DType::kU8, {weight.n, zero_bytes})};
  }
  if (q.symmetric) parts.pop_back();
  return parts;
}

// A tensor that is there and that a graph does not need.
bool MayBeLeftOut(const TensorSource& source, const DecoderSpec& spec,
                  const std::string& name) {
  constexpr std::string_view kFrequencies = "rotary_emb.inv_freq";
  const std::string_view view = name;
  if (view.size() >= kFrequencies.size() &&
      view.substr(view.size() - kFrequencies.size()) == kFrequencies) {
    return true;  // computed from the config; old files have it
  }
  // Old GPTQ files have biases of 0 everywhere.
  constexpr std::string_view kBias = ".bias";
  const TensorInfo& tensor = *source.Find(name);
  if (view.size() >= kBias.size() &&
      view.substr(view.size() - kBias.size()) == kBias && tensor.readable &&
      tensor.shape.rank() == 1) {
    std::vector<float> values(tensor.shape.Count());
    source.ReadRows(name, 0, tensor.shape[0], values.data());
    return std::all_of(values.begin(), values.end(),
                       [](float v) { return v == 0; });
  }
  // Of a tied model that says so twice.
  return spec.tied && name == "lm_head.weight" &&
         source.SameBytes(name, "model.embed_tokens.weight");
}

}  // namespace

Status CheckSources(const TensorSource& source, const DecoderSpec& spec,
                    const std::vector<Weight>& weights) {
  std::set<std::string_view> used;
  for (const Weight& weight : weights) {
    for (const SourceRows& rows : weight.sources) {
      const TensorInfo* tensor = source.Find(rows.tensor);
      const std::string shown = Printable(rows.tensor);
      if (!tensor) return Invalid("tensor \"%s\" is missing", shown.c_str());
      const Shape expected = weight.kind == WeightKind::kVector
                                 ? Shape{rows.rows}
                                 : Shape{rows.rows, weight.k};
      if (!(tensor->shape == expected)) {
        return Invalid("tensor \"%s\" is %s, the config makes it %s",
                       shown.c_str(), tensor->shape.ToString().c_str(),
                       expected.ToString().c_str());
      }
      if (!tensor->readable) {
        return Invalid("tensor \"%s\": %s weights are not supported",
                       shown.c_str(), tensor->type);
      }
      used.insert(rows.tensor);
    }
  }
  for (const auto& [name, tensor] : source.tensors()) {
    if (!used.count(name) && !MayBeLeftOut(source, spec, name)) {
      return Invalid("tensor \"%s\" has no place in a %s of this config",
                     Printable(name).c_str(), spec.hf_class.c_str());
    }
  }
  return OkStatus();
}

DataLayout LayOut(const std::vector<Weight>& weights,
                  const GraphOptions& options) {
  DataLayout layout;
  layout.parts.resize(weights.size());
  for (const bool quantized : {false, true}) {
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i].quantized() != quantized) continue;
      layout.parts[i] = PartsOf(weights[i], options.io());
      for (OnnxInitializer& part : layout.parts[i]) {
        constexpr uint64_t kLarge = uint64_t{1} << 20;
        constexpr uint64_t kAlign = uint64_t{1} << 16;
        if (part.length > kLarge) layout.bytes = RoundUp(layout.bytes, kAlign);
        part.offset = layout.bytes;
        layout.bytes += part.length;
      }
    }
  }
  return layout;
}

std::vector<OnnxInitializer> DataLayout::Initializers() const {
  std::vector<OnnxInitializer> all;
  for (const auto& of_weight : parts) {
    all.insert(all.end(), of_weight.begin(), of_weight.end());
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const OnnxInitializer& a, const OnnxInitializer& b) {
                     return a.offset < b.offset;
                   });
  return all;
}

Status WriteWeights(const TensorSource& source, const AdapterSet& adapters,
                    const DecoderSpec& spec, const std::vector<Weight>& weights,
                    const GraphOptions& options, const DataLayout& layout,
                    ThreadPool& threads, const WriteProgress& progress,
                    FileWriter* file, const Calibration* calibration) {
  Writer writer(source, adapters, spec, options, threads, progress, file,
                calibration);
  for (size_t i = 0; i < weights.size(); ++i) {
    SLM_RETURN_IF_ERROR(writer.Write(weights[i], layout.parts[i]));
  }
  return OkStatus();
}

}  // namespace slm::convert
