// SPDX-License-Identifier: MIT
#include "loader/onnx_tensor.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "loader/onnx_wire.h"
#include "runtime/core/file.h"

namespace slm {
namespace {

// Decimal digits only: "-4" and "1e9" are refused.
std::optional<size_t> ParseSize(std::string_view text) {
  size_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

Result<TensorView> ShapeOf(const onnx::TensorProto& proto) {
  const std::optional<DType> dtype = DTypeFromOnnx(proto.data_type());
  if (!dtype) {
    return Invalid("element type %d is not supported", proto.data_type());
  }
  const std::span<const int64_t> dims(
      proto.dims().data(), static_cast<size_t>(proto.dims_size()));
  const auto shape = Shape::Make(dims);
  if (!shape) {
    std::string text;
    for (int64_t d : dims.first(std::min<size_t>(dims.size(), 10))) {
      text += (text.empty() ? "" : ", ") + std::to_string(d);
    }
    return Invalid("impossible dims [%s]: negative, too many or too large",
                   text.c_str());
  }
  return TensorView{nullptr, *dtype, *shape};
}

// One field of TensorProto per group of types, by the schema's comments.
template <typename To, typename Field>
bool CopyField(const Field& field, const TensorView& view, size_t count) {
  if (static_cast<size_t>(field.size()) != count) return false;
  To* out = static_cast<To*>(view.data);
  for (size_t i = 0; i < count; ++i) {
    out[i] = static_cast<To>(field.Get(static_cast<int>(i)));
  }
  return true;
}

// Kernels count and compare bools as bytes 0 and 1; a file may hold any byte.
bool IsNormalBool(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) {
    return c == 0 || c == 1;
  });
}

void NormalizeBool(const TensorView& view) {
  uint8_t* bytes = static_cast<uint8_t*>(view.data);
  for (size_t i = 0; i < view.Bytes(); ++i) bytes[i] = bytes[i] != 0;
}

}  // namespace

Result<std::string_view> TensorReader::DataFile(const std::string& location) {
  const auto known = files_.find(location);
  if (known != files_.end()) return known->second;
  SLM_ASSIGN_OR_RETURN(const std::string path, JoinInside(folder_, location));
  SLM_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  storage_->files.push_back(std::move(file));
  const std::string_view view = storage_->files.back().view();
  files_.emplace(location, view);
  return view;
}

Result<TensorView> TensorReader::Place(std::string_view bytes, TensorView view,
                                       bool lives_on) {
  if (bytes.size() != view.Bytes()) {
    return Invalid("holds %zu bytes, expected %zu for %s %s", bytes.size(),
                   view.Bytes(), Name(view.dtype),
                   view.shape.ToString().c_str());
  }
  const bool as_it_is = data_ == Data::kAsItIs;
  const size_t align = std::max(1, Info(view.dtype).bits / 8);
  const bool aligned =
      as_it_is || reinterpret_cast<uintptr_t>(bytes.data()) % align == 0;
  const bool normal =
      as_it_is || view.dtype != DType::kBool || IsNormalBool(bytes);
  if (lives_on && aligned && normal) {
    view.data = const_cast<char*>(bytes.data());
    return view;
  }
  SLM_ASSIGN_OR_RETURN(view.data, storage_->Allocate(bytes.size(), "a tensor"));
  if (!bytes.empty()) std::memcpy(view.data, bytes.data(), bytes.size());
  if (!normal) NormalizeBool(view);
  return view;
}

Result<TensorView> TensorReader::External(const onnx::TensorProto& proto,
                                          TensorView view) {
  SLM_ASSIGN_OR_RETURN(const std::string_view bytes,
                       ExternalBytes(proto, view.Bytes()));
  return Place(bytes, view, /*lives_on=*/true);
}

Result<std::string_view> TensorReader::ExternalBytes(
    const onnx::TensorProto& proto, size_t default_size) {
  std::string location;
  std::optional<size_t> offset = 0, length;
  bool in_model = false;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset" || entry.key() == kInlineOffset) {
      offset = ParseSize(entry.value());
      if (!offset) {
        return Invalid("external offset \"%s\" is not a size",
                       Printable(entry.value()).c_str());
      }
    }
    if (entry.key() == "length" || entry.key() == kInlineLength) {
      length = ParseSize(entry.value());
      if (!length) {
        return Invalid("external length \"%s\" is not a size",
                       Printable(entry.value()).c_str());
      }
    }
    in_model |= entry.key() == kInlineOffset;
  }
  std::string_view file = model_;
  if (!in_model) {
    SLM_ASSIGN_OR_RETURN(file, DataFile(location));
  }
  const size_t size = length ? *length : default_size;
  const size_t end = CheckedAdd(*offset, size).value_or(SIZE_MAX);
  if (end > file.size()) {
    return Invalid(
        "needs bytes %zu..%zu of \"%s\", which has %zu; the download is "
        "probably incomplete",
        *offset, end, Printable(location).c_str(), file.size());
  }
  return file.substr(*offset, size);
}

Result<TensorView> TensorReader::Typed(const onnx::TensorProto& proto,
                                       TensorView view) {
  const size_t count = view.Count();
  // A hostile file may declare a huge shape without data: check before memory.
  const size_t have = static_cast<size_t>(
      proto.float_data_size() + proto.int32_data_size() +
      proto.int64_data_size() + proto.double_data_size() +
      proto.uint64_data_size());
  const size_t packed = view.dtype == DType::kI4 || view.dtype == DType::kU4
                            ? view.Bytes()
                            : count;
  if (have != packed) {
    return Invalid("holds %zu elements, expected %zu", have, packed);
  }
  SLM_ASSIGN_OR_RETURN(view.data, storage_->Allocate(view.Bytes(), "a tensor"));
  bool good = false;
  switch (view.dtype) {
    case DType::kF32: good = CopyField<float>(proto.float_data(), view, count);
      break;
    case DType::kF64: good = CopyField<double>(proto.double_data(), view, count);
      break;
    case DType::kI64: good = CopyField<int64_t>(proto.int64_data(), view, count);
      break;
    case DType::kU64:
      good = CopyField<uint64_t>(proto.uint64_data(), view, count);
      break;
    case DType::kU32:
      good = CopyField<uint32_t>(proto.uint64_data(), view, count);
      break;
    case DType::kI32: good = CopyField<int32_t>(proto.int32_data(), view, count);
      break;
    case DType::kF16: case DType::kBF16: case DType::kU16: case DType::kI16:
      good = CopyField<uint16_t>(proto.int32_data(), view, count);
      break;
    case DType::kBool:
      good = CopyField<bool>(proto.int32_data(), view, count);
      break;
    case DType::kI8: case DType::kU8: case DType::kI4: case DType::kU4:
      good = CopyField<uint8_t>(proto.int32_data(), view, packed);
      break;
  }
  if (!good) return Invalid("its data is in a field of another type");
  return view;
}

Result<TensorView> TensorReader::Read(const onnx::TensorProto& proto) {
  const auto read = [&]() -> Result<TensorView> {
    SLM_ASSIGN_OR_RETURN(const TensorView view, ShapeOf(proto));
    if (proto.has_segment()) return Invalid("segments are not supported");
    if (proto.data_location() == onnx::TensorProto::EXTERNAL) {
      return External(proto, view);
    }
    if (proto.has_raw_data()) {
      return Place(proto.raw_data(), view, /*lives_on=*/false);
    }
    return Typed(proto, view);
  };
  Result<TensorView> view = read();
  if (!view.ok()) {
    return view.status().In("tensor \"" + Printable(proto.name()) + "\"");
  }
  return view;
}

}  // namespace slm
