// SPDX-License-Identifier: MIT
#include "loader/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "loader/fields.h"
#include "loader/json.h"
#include "loader/json_fields.h"
#include "runtime/core/file.h"

namespace slm {
namespace {

struct TypeRow {
  SafeType type;
  const char* name;
  size_t bytes;
};

// Indexed by SafeType.
constexpr TypeRow kTypes[] = {
    {SafeType::kBool, "BOOL", 1},      {SafeType::kU8, "U8", 1},
    {SafeType::kI8, "I8", 1},          {SafeType::kF8E5M2, "F8_E5M2", 1},
    {SafeType::kF8E4M3, "F8_E4M3", 1}, {SafeType::kI16, "I16", 2},
    {SafeType::kU16, "U16", 2},        {SafeType::kF16, "F16", 2},
    {SafeType::kBF16, "BF16", 2},      {SafeType::kI32, "I32", 4},
    {SafeType::kU32, "U32", 4},        {SafeType::kF32, "F32", 4},
    {SafeType::kF64, "F64", 8},        {SafeType::kI64, "I64", 8},
    {SafeType::kU64, "U64", 8},
};

std::optional<SafeType> TypeOf(std::string_view name) {
  for (const TypeRow& row : kTypes) {
    if (name == row.name) return row.type;
  }
  return std::nullopt;
}

// Length of the header. The format allows 100 MB; the largest real ones have
// some hundred KB, and kMaxConfigBytes holds about 60,000 tensors.
Result<size_t> HeaderBytes(std::string_view file) {
  uint64_t length = 0;
  if (file.size() < sizeof length) {
    return Invalid(
        "%zu bytes are no safetensors file; download is probably "
        "incomplete",
        file.size());
  }
  for (size_t i = 0; i < sizeof length; ++i) {  // little-endian everywhere
    length |= uint64_t{static_cast<uint8_t>(file[i])} << (8 * i);
  }
  if (length > kMaxConfigBytes) {
    return Invalid("header has %llu bytes, supported: up to %zu",
                   static_cast<unsigned long long>(length), kMaxConfigBytes);
  }
  if (length > file.size() - sizeof length) {
    return Invalid(
        "header needs %llu bytes, file has %zu; download is "
        "probably incomplete",
        static_cast<unsigned long long>(length), file.size() - sizeof length);
  }
  return static_cast<size_t>(length);
}

Result<Shape> ReadShape(const JsonValue& tensor) {
  SLM_ASSIGN_OR_RETURN(const JsonValue* list, ArrayField(tensor, "shape"));
  std::vector<int64_t> dims;
  for (const JsonValue& item : list->Items()) {
    if (!item.IsInt()) return WrongField("shape", &item, "integers");
    dims.push_back(item.Int());
  }
  const std::optional<Shape> shape = Shape::Make(dims);
  if (!shape) return Invalid("\"shape\" is negative or too large");
  return *shape;
}

struct Extent {
  size_t begin = 0, end = 0;
  std::string_view name;
};

// Bytes of one tensor, relative to the end of the header.
Result<Extent> ReadExtent(const JsonValue& tensor, const SafeTensor& read,
                          size_t data_bytes) {
  SLM_ASSIGN_OR_RETURN(const JsonValue* list,
                       ArrayField(tensor, "data_offsets"));
  const auto items = list->Items();
  if (items.size() != 2 || !items[0].IsInt() || !items[1].IsInt() ||
      items[0].Int() < 0 || items[1].Int() < items[0].Int()) {
    return Invalid("\"data_offsets\" is not a pair [begin, end]");
  }
  const Extent extent{static_cast<size_t>(items[0].Int()),
                      static_cast<size_t>(items[1].Int()),
                      {}};
  if (extent.end > data_bytes) {
    return Invalid(
        "needs bytes %zu..%zu of the data, file has %zu; download "
        "is probably incomplete",
        extent.begin, extent.end, data_bytes);
  }
  const std::optional<size_t> needed =
      CheckedMul(read.shape.Count(), SafeTypeBytes(read.type));
  if (!needed || *needed != extent.end - extent.begin) {
    return Invalid("%s %s needs %zu bytes, data_offsets hold %zu",
                   SafeTypeName(read.type), read.shape.ToString().c_str(),
                   needed.value_or(SIZE_MAX), extent.end - extent.begin);
  }
  return extent;
}

Result<SafeTensor> ReadTensor(const JsonValue& value, std::string_view data,
                              Extent* extent) {
  if (!value.IsObject()) {
    return Invalid("is %s, expected object", value.TypeName());
  }
  SafeTensor tensor;
  SLM_ASSIGN_OR_RETURN(const std::string_view dtype,
                       StringField(value, "dtype"));
  const std::optional<SafeType> type = TypeOf(dtype);
  if (!type) {
    return Invalid("dtype \"%s\" is not supported", Printable(dtype).c_str());
  }
  tensor.type = *type;
  SLM_ASSIGN_OR_RETURN(tensor.shape, ReadShape(value));
  SLM_ASSIGN_OR_RETURN(*extent, ReadExtent(value, tensor, data.size()));
  tensor.bytes = data.substr(extent->begin, extent->end - extent->begin);
  return tensor;
}

// The tensors must fill the data without holes and overlaps.
Status CheckExtents(std::vector<Extent> extents, size_t data_bytes) {
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) {
              return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
            });
  size_t at = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != at) {
      return Invalid(
          "tensor \"%s\" begins at byte %zu, the one before ends at "
          "%zu: tensors %s",
          Printable(extent.name).c_str(), extent.begin, at,
          extent.begin < at ? "overlap" : "leave a hole");
    }
    at = extent.end;
  }
  if (at != data_bytes) {
    return Invalid("tensors end at byte %zu of the data, file has %zu", at,
                   data_bytes);
  }
  return OkStatus();
}

bool EndsWith(std::string_view text, std::string_view tail) {
  return text.size() >= tail.size() &&
         text.substr(text.size() - tail.size()) == tail;
}

// What lies in a folder that has no weights of ours.
Status NoWeights(const std::string& folder, const std::string& single) {
  const std::string shown = Printable(folder, 400);
  for (const std::string& name : ListFolder(folder)) {
    for (const char* tail :
         {".bin", ".bin.index.json", ".pt", ".pth", ".ckpt", ".pkl"}) {
      if (EndsWith(name, tail)) {
        return Invalid(
            "\"%s\": %s is a Python pickle, which can run code when "
            "it is read; save the model with safe_serialization "
            "(safetensors)",
            shown.c_str(), Printable(name).c_str());
      }
    }
  }
  for (const std::string& name : ListFolder(folder)) {
    for (const char* tail : {".gguf", ".safetensors", ".onnx"}) {
      if (EndsWith(name, tail)) {
        return Invalid(
            "\"%s\": no %s and no %s.index.json (found: %s, which is not "
            "supported as a source)",
            shown.c_str(), single.c_str(), single.c_str(),
            Printable(name).c_str());
      }
    }
  }
  return Error(ErrorKind::kNotFound, "\"%s\": no %s and no %s.index.json",
               shown.c_str(), single.c_str(), single.c_str());
}

}  // namespace

const char* SafeTypeName(SafeType type) {
  return kTypes[static_cast<size_t>(type)].name;
}

size_t SafeTypeBytes(SafeType type) {
  return kTypes[static_cast<size_t>(type)].bytes;
}

const SafeTensor* SafeTensors::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void SafeTensors::Release(const SafeTensor& tensor, size_t first,
                          size_t count) const {
  maps_[tensor.file].Release(tensor.bytes.substr(first, count));
}

Status SafeTensors::AddFile(const std::string& folder,
                            const std::string& name) {
  const auto add = [&]() -> Status {
    SLM_ASSIGN_OR_RETURN(const std::string path, JoinInside(folder, name));
    SLM_ASSIGN_OR_RETURN(MappedFile map, MappedFile::Open(path));
    const std::string_view file = map.view();
    SLM_ASSIGN_OR_RETURN(const size_t header, HeaderBytes(file));
    SLM_ASSIGN_OR_RETURN(
        const JsonDocument document,
        JsonDocument::Parse(std::string(file.substr(8, header))));
    if (!document.root().IsObject()) {
      return Invalid("header is %s, expected object",
                     document.root().TypeName());
    }
    const std::string_view data = file.substr(8 + header);
    std::vector<Extent> extents;
    for (const JsonMember& member : document.root().Members()) {
      if (member.key == "__metadata__") continue;
      const std::string shown = Printable(member.key);
      Extent extent;
      Result<SafeTensor> tensor = ReadTensor(member.value, data, &extent);
      if (!tensor.ok()) return tensor.status().In("tensor \"" + shown + "\"");
      tensor->file = static_cast<uint32_t>(maps_.size());
      extent.name = member.key;
      extents.push_back(extent);
      if (!tensors_.emplace(member.key, *tensor).second) {
        return Invalid("tensor \"%s\" is there twice", shown.c_str());
      }
    }
    SLM_RETURN_IF_ERROR(CheckExtents(std::move(extents), data.size()));
    total_bytes_ += data.size();
    maps_.push_back(std::move(map));
    names_.push_back(name);
    return OkStatus();
  };
  const Status status = add();
  return status.ok() ? status : status.In(Printable(name, 400));
}

Status SafeTensors::AddShards(const std::string& folder,
                              const std::string& index) {
  SLM_ASSIGN_OR_RETURN(const JsonDocument document,
                       LoadJsonObject(folder + "/" + index));
  const Result<const JsonValue*> map =
      ObjectField(document.root(), "weight_map");
  if (!map.ok()) return map.status().In(index);
  std::set<std::string, std::less<>> shards;
  for (const JsonMember& member : (*map)->Members()) {
    if (!member.value.IsString()) {
      return Invalid("%s: weight_map: \"%s\" is %s, expected a file name",
                     index.c_str(), Printable(member.key).c_str(),
                     member.value.TypeName());
    }
    if (!EndsWith(member.value.String(), ".safetensors")) {
      return Invalid(
          "%s: weight_map: \"%s\" lies in \"%s\", which is no "
          "safetensors file",
          index.c_str(), Printable(member.key).c_str(),
          Printable(member.value.String()).c_str());
    }
    shards.emplace(member.value.String());
  }
  if (shards.empty()) return Invalid("%s: weight_map is empty", index.c_str());
  for (const std::string& shard : shards) {
    SLM_RETURN_IF_ERROR(AddFile(folder, shard));
  }
  for (const JsonMember& member : (*map)->Members()) {
    const SafeTensor* tensor = Find(member.key);
    if (!tensor || names_[tensor->file] != member.value.String()) {
      return Invalid("%s: tensor \"%s\" is not in %s", index.c_str(),
                     Printable(member.key).c_str(),
                     Printable(member.value.String()).c_str());
    }
  }
  return OkStatus();
}

Result<SafeTensors> SafeTensors::Open(const std::string& folder,
                                      const std::string& stem) {
  SafeTensors weights;
  const std::string single = stem + ".safetensors";
  const std::string index = single + ".index.json";
  // transformers takes the single file where both are there.
  if (IsFile(folder + "/" + single)) {
    SLM_RETURN_IF_ERROR(weights.AddFile(folder, single));
  } else if (IsFile(folder + "/" + index)) {
    SLM_RETURN_IF_ERROR(weights.AddShards(folder, index));
  } else {
    return NoWeights(folder, single);
  }
  return weights;
}

}  // namespace slm
