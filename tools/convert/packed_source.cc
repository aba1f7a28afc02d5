// SPDX-License-Identifier: MIT
#include "tools/convert/packed_source.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <map>
#include <utility>

#include "tools/convert/decode.h"
#include "tools/convert/packed_matrix.h"
#include "tools/convert/safetensor_source.h"

namespace slm::convert {
namespace {

// Wider than any model's, and products of two with 64 bits do not overflow.
constexpr int64_t kMostDim = int64_t{1} << 28;

// Scales of a float8 matrix: w = f8 * scale of its block.
struct Float8Scales {
  const SafeTensor* scales = nullptr;
  int64_t k = 0, block_rows = 0, block_columns = 0;
};

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() > end.size() &&
         text.substr(text.size() - end.size()) == end;
}

bool IsWord(SafeType type) {
  return type == SafeType::kI32 || type == SafeType::kU32;
}

class PackedSource : public SafeTensorSource {
 public:
  explicit PackedSource(SafeTensors tensors)
      : SafeTensorSource(std::move(tensors)) {}

  Status Read(const PackConfig& config);

  void ReadRows(std::string_view name, int64_t first, int64_t rows,
                float* out) const override;
  void ReadCodes(std::string_view name, int64_t first, int64_t rows,
                 const QuantizeOptions& as,
                 const QuantizedRows& out) const override;
  void Release(std::string_view name, int64_t first,
               int64_t rows) const override;

 private:
  // The tensor, one of those that make up a matrix; null if there is none.
  const SafeTensor* Take(const std::string& name);
  Result<const SafeTensor*> TakeNeeded(const std::string& name);
  Status AddMatrix(const PackConfig& config, const std::string& module);
  Status AddGptq(const PackConfig& config, const std::string& module,
                 PackedMatrix* m);
  Status AddAwq(const PackConfig& config, const std::string& module,
                PackedMatrix* m);
  Status AddOlive(const PackConfig& config, const std::string& module,
                  PackedMatrix* m);
  Status AddCompressed(const PackConfig& config, const std::string& module,
                       PackedMatrix* m);
  Status AddBytes(const std::string& module, PackedMatrix* m);
  Status AddFloat8(const PackConfig& config, const std::string& module);

  std::map<std::string, PackedMatrix, std::less<>> matrices_;
  std::map<std::string, Float8Scales, std::less<>> float8_;
};

const SafeTensor* PackedSource::Take(const std::string& name) {
  const SafeTensor* tensor = file().Find(name);
  if (tensor) tensors_.erase(name);
  return tensor;
}

Result<const SafeTensor*> PackedSource::TakeNeeded(const std::string& name) {
  const SafeTensor* tensor = Take(name);
  if (tensor) return tensor;
  return Invalid("tensor \"%s\" is missing", Printable(name).c_str());
}

Status WrongShape(const std::string& name, const SafeTensor& tensor,
                  const Shape& expected) {
  return Invalid("tensor \"%s\" is %s %s, the others of its module make it %s",
                 Printable(name).c_str(), SafeTypeName(tensor.type),
                 tensor.shape.ToString().c_str(), expected.ToString().c_str());
}

Status CheckScales(const std::string& name, const SafeTensor& scales,
                   const Shape& expected) {
  if (scales.shape == expected && IsFloatType(scales.type)) return OkStatus();
  return WrongShape(name, scales, expected);
}

Status CheckWords(const std::string& name, const SafeTensor& words,
                  const Shape& expected) {
  if (words.shape == expected && IsWord(words.type)) return OkStatus();
  return WrongShape(name, words, expected);
}

// A matrix of codes: none of its sizes is 0 or absurd.
Status CheckCodes(const std::string& name, const SafeTensor& codes, bool type) {
  const Shape& s = codes.shape;
  if (type && s.rank() == 2 && s[0] > 0 && s[1] > 0 && s[0] <= kMostDim &&
      s[1] <= kMostDim) {
    return OkStatus();
  }
  return Invalid("tensor \"%s\": %s %s are no codes of this method",
                 Printable(name).c_str(), SafeTypeName(codes.type),
                 s.ToString().c_str());
}

// Groups of equal size that k columns make up.
Status SplitColumns(const std::string& name, PackedMatrix* m) {
  if (m->groups > 0 && m->k % m->groups == 0) {
    m->group_size = m->k / m->groups;
    return OkStatus();
  }
  return Invalid("tensor \"%s\": %lld groups do not divide %lld columns",
                 Printable(name).c_str(), static_cast<long long>(m->groups),
                 static_cast<long long>(m->k));
}

// group_of[k] as the tensor has it, or a group_size where that says the same.
Status ReadGroups(const std::string& name, const SafeTensor& tensor,
                  int64_t configured, bool reordered, PackedMatrix* m) {
  const bool wide = tensor.type == SafeType::kI64;
  if (!(tensor.shape == Shape{m->k}) || !(wide || IsWord(tensor.type))) {
    return WrongShape(name, tensor, Shape{m->k});
  }
  const auto k = static_cast<size_t>(m->k);
  std::vector<uint32_t> groups(k);
  bool zero = true;
  for (size_t i = 0; i < k; ++i) {
    int64_t group = 0;
    int32_t narrow = 0;
    if (wide) {
      std::memcpy(&group, tensor.bytes.data() + 8 * i, 8);
    } else {
      std::memcpy(&narrow, tensor.bytes.data() + 4 * i, 4);
      group = narrow;
    }
    if (group < 0 || group >= m->groups) {
      return Invalid("tensor \"%s\" holds group %lld, there are %lld",
                     Printable(name).c_str(), static_cast<long long>(group),
                     static_cast<long long>(m->groups));
    }
    groups[i] = static_cast<uint32_t>(group);
    zero = zero && group == 0;
  }
  // Zeros for "in order", as some files have it.
  if (zero && m->groups > 1 && !reordered) {
    m->group_size = configured;
    return OkStatus();
  }
  const auto next = std::find_if(groups.begin(), groups.end(),
                                 [](uint32_t g) { return g != 0; });
  m->group_size = std::max<int64_t>(1, next - groups.begin());
  for (size_t i = 0; i < k; ++i) {
    if (groups[i] != i / static_cast<size_t>(m->group_size)) {
      m->group_of = std::move(groups);
      break;
    }
  }
  return OkStatus();
}

Status PackedSource::AddGptq(const PackConfig& config,
                             const std::string& module, PackedMatrix* m) {
  const std::string codes = module + ".qweight", zeros = module + ".qzeros";
  const std::string scales = module + ".scales", order = module + ".g_idx";
  SLM_ASSIGN_OR_RETURN(m->codes, TakeNeeded(codes));
  SLM_ASSIGN_OR_RETURN(m->scales, TakeNeeded(scales));
  SLM_ASSIGN_OR_RETURN(m->zeros, TakeNeeded(zeros));
  SLM_RETURN_IF_ERROR(CheckCodes(codes, *m->codes, IsWord(m->codes->type)));
  const SafeTensor* g_idx = Take(order);
  m->layout = PackLayout::kGptq;
  m->n = m->codes->shape[1];
  // "dynamic" gives modules bits of their own; g_idx has K entries.
  const int64_t words = m->codes->shape[0];
  m->bits = config.bits;
  for (const int bits : {2, 3, 4, 8}) {
    if (g_idx && g_idx->shape == Shape{words * 32 / bits} &&
        words * 32 % bits == 0) {
      m->bits = bits;
    }
  }
  if (m->bits == 3) {
    return Invalid("tensor \"%s\": 3 bits are not supported: 2, 4 and 8 are",
                   Printable(codes).c_str());
  }
  const int64_t per = 32 / m->bits;
  m->k = words * per;
  m->groups = m->scales->shape.rank() == 2 ? m->scales->shape[0] : 0;
  SLM_RETURN_IF_ERROR(CheckScales(
      scales, *m->scales, Shape{std::max<int64_t>(m->groups, 1), m->n}));
  SLM_RETURN_IF_ERROR(
      CheckWords(zeros, *m->zeros, Shape{m->groups, (m->n + per - 1) / per}));
  m->zeros_less_one = config.zeros_less_one;
  const int64_t configured = config.group_size < 0 ? m->k : config.group_size;
  m->group_size = configured;
  if (g_idx) {
    SLM_RETURN_IF_ERROR(
        ReadGroups(order, *g_idx, configured, config.reordered, m));
  } else if (config.reordered && m->groups > 1) {
    return Invalid("tensor \"%s\" is missing, desc_act needs it",
                   Printable(order).c_str());
  }
  const int64_t needed = (m->k + m->group_size - 1) / m->group_size;
  if (m->group_of.empty() && needed != m->groups) {
    return Invalid("tensor \"%s\" has %lld groups, group_size makes it %lld",
                   Printable(scales).c_str(), static_cast<long long>(m->groups),
                   static_cast<long long>(needed));
  }
  return OkStatus();
}

Status PackedSource::AddAwq(const PackConfig& config, const std::string& module,
                            PackedMatrix* m) {
  const std::string codes = module + ".qweight", zeros = module + ".qzeros";
  const std::string scales = module + ".scales";
  SLM_ASSIGN_OR_RETURN(m->codes, TakeNeeded(codes));
  SLM_ASSIGN_OR_RETURN(m->scales, TakeNeeded(scales));
  SLM_ASSIGN_OR_RETURN(m->zeros, TakeNeeded(zeros));
  SLM_RETURN_IF_ERROR(CheckCodes(codes, *m->codes, IsWord(m->codes->type)));
  m->layout = PackLayout::kAwq;
  m->bits = 4;
  m->k = m->codes->shape[0];
  m->n = m->codes->shape[1] * 8;
  m->group_size = config.group_size < 0 ? m->k : config.group_size;
  m->groups = (m->k + m->group_size - 1) / m->group_size;
  SLM_RETURN_IF_ERROR(CheckScales(scales, *m->scales, Shape{m->groups, m->n}));
  return CheckWords(zeros, *m->zeros, Shape{m->groups, m->n / 8});
}

Status PackedSource::AddOlive(const PackConfig& config,
                              const std::string& module, PackedMatrix* m) {
  const std::string codes = module + ".qweight", zeros = module + ".qzeros";
  const std::string scales = module + ".scales";
  SLM_ASSIGN_OR_RETURN(m->codes, TakeNeeded(codes));
  SLM_ASSIGN_OR_RETURN(m->scales, TakeNeeded(scales));
  m->zeros = Take(zeros);
  SLM_RETURN_IF_ERROR(
      CheckCodes(codes, *m->codes, m->codes->type == SafeType::kU8));
  const auto own = config.bits_of.find(module);
  m->layout = PackLayout::kOlive;
  m->bits = own == config.bits_of.end() ? config.bits : own->second;
  const int64_t per = 8 / m->bits;
  m->n = m->codes->shape[0];
  m->k = m->codes->shape[1] * per;
  m->groups = m->scales->shape.rank() == 2 ? m->scales->shape[1] : 0;
  SLM_RETURN_IF_ERROR(CheckScales(
      scales, *m->scales, Shape{m->n, std::max<int64_t>(m->groups, 1)}));
  if (m->zeros) {
    const Shape expected{m->n, (m->groups + per - 1) / per};
    if (!(m->zeros->shape == expected) || m->zeros->type != SafeType::kU8) {
      return WrongShape(zeros, *m->zeros, expected);
    }
  }
  return SplitColumns(scales, m);
}

Status PackedSource::AddCompressed(const PackConfig& config,
                                   const std::string& module, PackedMatrix* m) {
  const std::string codes = module + ".weight_packed";
  const std::string scales = module + ".weight_scale";
  const std::string zeros = module + ".weight_zero_point";
  const std::string shape = module + ".weight_shape";
  const std::string order = module + ".weight_g_idx";
  SLM_ASSIGN_OR_RETURN(m->codes, TakeNeeded(codes));
  SLM_ASSIGN_OR_RETURN(m->scales, TakeNeeded(scales));
  SLM_ASSIGN_OR_RETURN(const SafeTensor* size, TakeNeeded(shape));
  m->zeros = Take(zeros);
  SLM_RETURN_IF_ERROR(CheckCodes(codes, *m->codes, IsWord(m->codes->type)));
  const bool wide = size->type == SafeType::kI64;
  if (!(size->shape == Shape{2}) || !(wide || IsWord(size->type))) {
    return WrongShape(shape, *size, Shape{2});
  }
  int64_t dims[2] = {0, 0};
  int32_t narrow[2] = {0, 0};
  std::memcpy(wide ? static_cast<void*>(dims) : narrow, size->bytes.data(),
              size->bytes.size());
  m->layout = PackLayout::kCompressed;
  m->bits = config.bits;
  const int64_t per = 32 / m->bits;
  m->n = wide ? dims[0] : narrow[0];
  m->k = wide ? dims[1] : narrow[1];
  if (m->n != m->codes->shape[0] || m->k <= 0 || m->k > kMostDim ||
      (m->k + per - 1) / per != m->codes->shape[1]) {
    return Invalid("tensor \"%s\" says [%lld, %lld], \"%s\" is %s of %d bits",
                   Printable(shape).c_str(), static_cast<long long>(m->n),
                   static_cast<long long>(m->k), Printable(codes).c_str(),
                   m->codes->shape.ToString().c_str(), m->bits);
  }
  m->groups = m->scales->shape.rank() == 2 ? m->scales->shape[1] : 0;
  SLM_RETURN_IF_ERROR(CheckScales(
      scales, *m->scales, Shape{m->n, std::max<int64_t>(m->groups, 1)}));
  if (m->zeros) {
    SLM_RETURN_IF_ERROR(
        CheckWords(zeros, *m->zeros, Shape{(m->n + per - 1) / per, m->groups}));
  }
  SLM_RETURN_IF_ERROR(SplitColumns(scales, m));
  if (const SafeTensor* g_idx = Take(order)) {
    return ReadGroups(order, *g_idx, m->group_size, config.reordered, m);
  }
  return OkStatus();
}

// Codes of fewer bits, too, are whole bytes.
Status PackedSource::AddBytes(const std::string& module, PackedMatrix* m) {
  const std::string codes = module + ".weight";
  const std::string scales = module + ".weight_scale";
  const std::string zeros = module + ".weight_zero_point";
  SLM_ASSIGN_OR_RETURN(m->codes, TakeNeeded(codes));
  SLM_ASSIGN_OR_RETURN(m->scales, TakeNeeded(scales));
  m->zeros = Take(zeros);
  Take(module + ".input_scale");  // of activations that are not rounded so
  Take(module + ".input_zero_point");
  SLM_RETURN_IF_ERROR(
      CheckCodes(codes, *m->codes, m->codes->type == SafeType::kI8));
  m->layout = PackLayout::kBytes;
  m->bits = 8;
  m->n = m->codes->shape[0];
  m->k = m->codes->shape[1];
  m->groups = m->scales->shape.rank() == 2 ? m->scales->shape[1] : 0;
  const Shape expected{m->n, std::max<int64_t>(m->groups, 1)};
  SLM_RETURN_IF_ERROR(CheckScales(scales, *m->scales, expected));
  if (m->zeros &&
      (!(m->zeros->shape == expected) || m->zeros->type != SafeType::kI8)) {
    return WrongShape(zeros, *m->zeros, expected);
  }
  return SplitColumns(scales, m);
}

Status PackedSource::AddMatrix(const PackConfig& config,
                               const std::string& module) {
  PackedMatrix m;
  switch (config.method) {
    case PackMethod::kGptq:
      SLM_RETURN_IF_ERROR(AddGptq(config, module, &m));
      break;
    case PackMethod::kAwq:
      SLM_RETURN_IF_ERROR(AddAwq(config, module, &m));
      break;
    case PackMethod::kOlive:
      SLM_RETURN_IF_ERROR(AddOlive(config, module, &m));
      break;
    case PackMethod::kCompressed:
      SLM_RETURN_IF_ERROR(AddCompressed(config, module, &m));
      break;
    case PackMethod::kBytes:
      SLM_RETURN_IF_ERROR(AddBytes(module, &m));
      break;
    case PackMethod::kFloat8:
      return AddFloat8(config, module);
  }
  const std::string name = module + ".weight";
  if (tensors_.count(name) > 0) {
    return Invalid("tensor \"%s\" is there twice: as floats and as codes",
                   Printable(name).c_str());
  }
  TensorInfo& info = tensors_[name];
  info.shape = Shape{m.n, m.k};
  info.type = config.name;
  info.rows_at_once = m.RowsAtOnce();
  info.quantized = true;
  m.SortColumns();
  if (const std::optional<size_t> block = m.BlockSize()) {
    info.grid =
        QuantGrid{std::max(m.bits, 4), *block, m.IsSymmetric(), m.order};
  }
  matrices_.emplace(name, std::move(m));
  return OkStatus();
}

// One scale for all, for each row, or for each block.
Status PackedSource::AddFloat8(const PackConfig& config,
                               const std::string& module) {
  const std::string name = module + ".weight";
  const SafeTensor& weight = *file().Find(name);
  const std::string inverse = module + ".weight_scale_inv";
  const std::string plain = module + ".weight_scale";
  const SafeTensor* scales = Take(inverse);
  const std::string used = scales ? inverse : plain;
  if (!scales) {
    SLM_ASSIGN_OR_RETURN(scales, TakeNeeded(plain));
  }
  SLM_RETURN_IF_ERROR(CheckCodes(name, weight, true));
  const int64_t n = weight.shape[0], k = weight.shape[1];
  const Shape& s = scales->shape;
  Float8Scales entry{scales, k, config.block_rows, config.block_columns};
  const Shape blocks =
      config.block_rows > 0
          ? Shape{(n + config.block_rows - 1) / config.block_rows,
                  (k + config.block_columns - 1) / config.block_columns}
          : Shape{n, 1};
  if (!IsFloatType(scales->type)) return WrongShape(used, *scales, blocks);
  if (s == blocks || (config.block_rows == 0 && s == Shape{n})) {
    if (config.block_rows == 0) {
      entry.block_rows = 1;
      entry.block_columns = k;
    }
  } else if (s.Count() == 1 && s.rank() <= 2) {
    entry.block_rows = n;
    entry.block_columns = k;
  } else {
    return WrongShape(used, *scales, blocks);
  }
  for (const char* end : {".input_scale", ".activation_scale"}) {
    Take(module + end);  // of activations that are not rounded here
  }
  float8_.emplace(name, entry);
  return OkStatus();
}

Status PackedSource::Read(const PackConfig& config) {
  std::vector<std::string> modules;
  std::string_view end = ".qweight";
  std::optional<SafeType> type;
  if (config.method == PackMethod::kCompressed) end = ".weight_packed";
  if (config.method == PackMethod::kFloat8) type = SafeType::kF8E4M3;
  if (config.method == PackMethod::kBytes) type = SafeType::kI8;
  if (type) end = ".weight";
  for (const auto& [name, tensor] : file().tensors()) {
    if (!EndsWith(name, end) || (type && tensor.type != *type)) continue;
    modules.push_back(name.substr(0, name.size() - end.size()));
  }
  for (const std::string& module : modules) {
    SLM_RETURN_IF_ERROR(AddMatrix(config, module));
  }
  if (modules.empty()) {
    return Invalid(
        "config.json says that the weights are %s, no tensor of such is there",
        config.name);
  }
  return OkStatus();
}

void PackedSource::ReadRows(std::string_view name, int64_t first, int64_t rows,
                            float* out) const {
  const auto found = matrices_.find(name);
  if (found != matrices_.end()) {
    found->second.ReadRows(first, rows, out);
    return;
  }
  SafeTensorSource::ReadRows(name, first, rows, out);
  const auto scaled = float8_.find(name);
  if (scaled == float8_.end()) return;
  const Float8Scales& f = scaled->second;
  const int64_t across = (f.k + f.block_columns - 1) / f.block_columns;
  const size_t width = SafeTypeBytes(f.scales->type);
  std::vector<float> scales(static_cast<size_t>(across));
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t line = (first + r) / f.block_rows * across;
    Decode(f.scales->type,
           f.scales->bytes.data() + static_cast<size_t>(line) * width,
           scales.size(), scales.data());
    for (int64_t c = 0; c < f.k; ++c) {
      out[r * f.k + c] *= scales[static_cast<size_t>(c / f.block_columns)];
    }
  }
}

void PackedSource::ReadCodes(std::string_view name, int64_t first, int64_t rows,
                             const QuantizeOptions& as,
                             const QuantizedRows& out) const {
  matrices_.find(name)->second.ReadCodes(first, rows, as, out);
}

void PackedSource::Release(std::string_view name, int64_t first,
                           int64_t rows) const {
  const auto found = matrices_.find(name);
  if (found == matrices_.end()) {
    SafeTensorSource::Release(name, first, rows);
    return;
  }
  // Rows share pages in some layouts: all at the end.
  const PackedMatrix& m = found->second;
  if (first + rows < m.n) return;
  for (const SafeTensor* part : {m.codes, m.scales, m.zeros}) {
    if (part) file().Release(*part, 0, part->bytes.size());
  }
}

}  // namespace

Result<std::unique_ptr<TensorSource>> OpenPackedSource(
    SafeTensors file, const PackConfig& config) {
  auto source = std::make_unique<PackedSource>(std::move(file));
  SLM_RETURN_IF_ERROR(source->Read(config));
  return std::unique_ptr<TensorSource>(std::move(source));
}

}  // namespace slm::convert
