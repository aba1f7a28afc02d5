// SPDX-License-Identifier: MIT
#include "tools/convert/gguf_source.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "loader/gguf_blocks.h"
#include "runtime/core/shape.h"
#include "tools/convert/decode.h"

namespace slm::convert {
namespace {

// A tensor under its new name.
struct Entry {
  const GgufTensor* tensor = nullptr;
  // Above 0: the rows of each head of so many are interleaved halves.
  int64_t head_rows = 0;
};

class GgufSource : public TensorSource {
 public:
  GgufSource(std::shared_ptr<const Gguf> file, const GgufFamily& family,
             int64_t heads, int64_t kv_heads)
      : file_(std::move(file)) {
    mixed_types_ = true;
    files_ = file_->files();
    total_bytes_ = file_->total_bytes();
    for (const auto& [name, tensor] : file_->tensors()) {
      const std::string known = GgufTensorName(family, name);
      if (known.empty()) continue;
      Add(known, tensor);
      const bool query = known.find("self_attn.q_proj.") != std::string::npos;
      const bool key = known.find("self_attn.k_proj.") != std::string::npos;
      const int64_t count = query ? heads : key ? kv_heads : 0;
      if (family.permuted && count > 0 && tensor.shape[0] % (2 * count) == 0) {
        entries_[known].head_rows = tensor.shape[0] / count;
      }
    }
  }

  void ReadRows(std::string_view name, int64_t first, int64_t rows,
                float* out) const override {
    const Entry& entry = entries_.find(name)->second;
    const size_t k = Columns(*entry.tensor);
    for (int64_t r = 0; r < rows; ++r) {
      ReadRow(entry.tensor->type, Row(entry, first + r), k,
              out + static_cast<size_t>(r) * k);
    }
  }

  void ReadCodes(std::string_view name, int64_t first, int64_t rows,
                 const QuantizeOptions& as,
                 const QuantizedRows& out) const override {
    const Entry& entry = entries_.find(name)->second;
    const size_t k = Columns(*entry.tensor);
    const GgufGrid grid = GridOf(entry.tensor->type);
    const size_t code_row = as.CodeRowBytes(k), blocks = as.Blocks(k);
    std::vector<uint8_t> codes(k);
    std::vector<float> scales(k / grid.block);
    const int middle = 1 << (as.bits - 1);
    if (!as.symmetric) {
      std::memset(out.zero_points, as.bits == 4 ? 0x88 : 0x80,
                  static_cast<size_t>(rows) * as.ZeroPointRowBytes(k));
    }
    for (int64_t r = 0; r < rows; ++r) {
      const auto at = static_cast<size_t>(r);
      GgufCodes(entry.tensor->type, Row(entry, first + r), k, codes.data(),
                scales.data());
      for (size_t b = 0; b < blocks; ++b) {
        out.scales[at * blocks + b] = scales[b * as.block_size / grid.block];
      }
      Pack(codes, middle - grid.zero, as.bits, out.codes + at * code_row);
    }
  }

  // Rows of a head lie apart from each other by the head's at most.
  void Release(std::string_view name, int64_t first,
               int64_t rows) const override {
    const Entry& entry = entries_.find(name)->second;
    const size_t row = RowBytes(*entry.tensor);
    file_->Release(*entry.tensor, static_cast<size_t>(first) * row,
                   static_cast<size_t>(rows) * row);
  }

  bool SameBytes(std::string_view a, std::string_view b) const override {
    const auto one = entries_.find(a), two = entries_.find(b);
    return one != entries_.end() && two != entries_.end() &&
           one->second.tensor->type == two->second.tensor->type &&
           one->second.tensor->shape == two->second.tensor->shape &&
           one->second.tensor->bytes == two->second.tensor->bytes;
  }

 private:
  void Add(const std::string& name, const GgufTensor& tensor) {
    entries_[name].tensor = &tensor;
    TensorInfo& info = tensors_[name];
    info.shape = tensor.shape;
    info.type = GgufTypeName(tensor.type);
    info.quantized = GgufBlockValues(tensor.type) > 1;
    // All of those without a grid have 2 to 5 bits.
    if (info.quantized) info.bits = 4;
    const GgufGrid grid = GridOf(tensor.type);
    // A vector is read value by value.
    info.readable =
        tensor.shape.rank() == 2 ||
        (tensor.shape.rank() == 1 && GgufBlockValues(tensor.type) == 1);
    if (grid.bits > 0 && tensor.shape.rank() == 2) {
      QuantGrid kept;
      kept.bits = grid.bits <= 4 ? 4 : 8;
      kept.block_size = grid.block;
      info.grid = kept;
    }
  }

  static size_t Columns(const GgufTensor& tensor) {
    return tensor.shape.rank() == 2 ? static_cast<size_t>(tensor.shape[1]) : 1;
  }
  static size_t RowBytes(const GgufTensor& tensor) {
    return Columns(tensor) / GgufBlockValues(tensor.type) *
           GgufBlockBytes(tensor.type);
  }
  static void ReadRow(GgufType type, const char* bytes, size_t k, float* out) {
    switch (type) {
      case GgufType::kF16:  // by SIMD
        return Decode(SafeType::kF16, bytes, k, out);
      case GgufType::kBF16:
        return Decode(SafeType::kBF16, bytes, k, out);
      default:
        return DequantizeGguf(type, bytes, k, out);
    }
  }
  // llama.cpp has a head's rows 0, d/2, 1, d/2 + 1, ... of transformers' d.
  static const char* Row(const Entry& entry, int64_t row) {
    if (const int64_t d = entry.head_rows; d > 1) {
      const int64_t in = row % d, half = d / 2;
      row += (in < half ? 2 * in : 2 * (in - half) + 1) - in;
    }
    return entry.tensor->bytes.data() +
           static_cast<size_t>(row) * RowBytes(*entry.tensor);
  }
  // The low half of a byte is the first of its two codes.
  static void Pack(const std::vector<uint8_t>& codes, int shift, int bits,
                   uint8_t* out) {
    const auto moved = [&](size_t i) {
      return static_cast<uint8_t>(int{codes[i]} + shift);
    };
    if (bits == 8) {
      for (size_t i = 0; i < codes.size(); ++i) out[i] = moved(i);
      return;
    }
    for (size_t i = 0; i < codes.size(); i += 2) {
      out[i / 2] = static_cast<uint8_t>(moved(i) | moved(i + 1) << 4);
    }
  }

  std::shared_ptr<const Gguf> file_;
  std::map<std::string, Entry, std::less<>> entries_;
};

// Of head_count and head_count_kv, which GgufConfigText has checked.
int64_t HeadsOf(const Gguf& gguf, const GgufFamily& family, const char* key,
                int64_t absent) {
  const GgufValue* value =
      gguf.Value(std::string(family.name) + ".attention." + key);
  if (!value) return absent;
  const std::vector<int64_t> list = value->Ints();
  return list.empty() ? value->integer : list[0];
}

Result<GgufModel> Open(const std::string& path) {
  GgufModel model;
  SLM_ASSIGN_OR_RETURN(Gguf opened, Gguf::Open(path));
  const auto gguf = std::make_shared<const Gguf>(std::move(opened));
  SLM_ASSIGN_OR_RETURN(const GgufFamily* family, FindGgufFamily(*gguf));
  SLM_ASSIGN_OR_RETURN(model.tokenizer, ReadGgufTokenizer(*gguf, *family));
  SLM_ASSIGN_OR_RETURN(
      model.config,
      GgufConfigText(*gguf, *family, model.tokenizer.ids, &model.notes));
  SLM_ASSIGN_OR_RETURN(model.generation, GgufGenerationText(*gguf));
  model.plus_one = family->plus_one;
  model.notes.insert(model.notes.end(), model.tokenizer.notes.begin(),
                     model.tokenizer.notes.end());
  const int64_t heads = HeadsOf(*gguf, *family, "head_count", 0);
  model.tensors = std::make_unique<GgufSource>(
      gguf, *family, heads, HeadsOf(*gguf, *family, "head_count_kv", heads));
  return model;
}

}  // namespace

Result<GgufModel> OpenGguf(const std::string& path) {
  Result<GgufModel> model = Open(path);
  if (model.ok()) return model;
  const Status status = model.status();
  // A file that is split names its part itself.
  const std::string name = Printable(path.substr(path.find_last_of('/') + 1));
  return status.message().find(".gguf") != std::string::npos ? status
                                                             : status.In(name);
}

}  // namespace slm::convert
