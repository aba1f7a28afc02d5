// SPDX-License-Identifier: MIT
#include "loader/onnx_wire.h"

#include <cstdint>
#include <optional>

namespace slm {
namespace {

// Shorter raw_data (scalars, axes) is not worth an indirection.
constexpr size_t kInlineLimit = 256;
constexpr int kMaxGraphDepth = 16;

enum class Kind { kModel, kGraph, kNode, kAttribute, kTensor };

struct Child {
  Kind parent;
  uint32_t field;
  Kind kind;
};

// Field numbers of onnx.proto on the ways that lead to TensorProto.raw_data.
constexpr Child kChildren[] = {
    {Kind::kModel, 7, Kind::kGraph},      {Kind::kGraph, 1, Kind::kNode},
    {Kind::kGraph, 5, Kind::kTensor},     {Kind::kNode, 5, Kind::kAttribute},
    {Kind::kAttribute, 5, Kind::kTensor}, {Kind::kAttribute, 6, Kind::kGraph},
};
constexpr uint32_t kTensorRawData = 9;
constexpr uint32_t kTensorExternalData = 13;
constexpr uint32_t kTensorDataLocation = 14;

std::optional<Kind> ChildKind(Kind parent, uint32_t field) {
  for (const Child& c : kChildren) {
    if (c.parent == parent && c.field == field) return c.kind;
  }
  return std::nullopt;
}

void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    *out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out += static_cast<char>(value);
}

void AppendBytes(uint32_t field, std::string_view bytes, std::string* out) {
  AppendVarint(field << 3 | 2, out);
  AppendVarint(bytes.size(), out);
  *out += bytes;
}

void AppendEntry(std::string_view key, uint64_t value, std::string* out) {
  std::string entry;
  AppendBytes(1, key, &entry);
  AppendBytes(2, std::to_string(value), &entry);
  AppendBytes(kTensorExternalData, entry, out);
}

class Slimmer {
 public:
  explicit Slimmer(std::string_view model) : model_(model) {}

  // Rewrites the message in model_[begin, end); false if it is damaged.
  bool Message(Kind kind, size_t begin, size_t end, int depth,
               std::string* out) {
    size_t at = begin;
    while (at < end) {
      const size_t start = at;
      uint64_t tag, value;
      if (!Varint(&at, end, &tag)) return false;
      const uint32_t field = static_cast<uint32_t>(tag >> 3);
      switch (tag & 7) {
        case 0:
          if (!Varint(&at, end, &value)) return false;
          break;
        case 1:
          if (end - at < 8) return false;
          at += 8;
          break;
        case 5:
          if (end - at < 4) return false;
          at += 4;
          break;
        case 2:
          if (!Varint(&at, end, &value) || value > end - at) return false;
          if (Replaced(kind, field, at, static_cast<size_t>(value), depth,
                       out)) {
            at += static_cast<size_t>(value);
            continue;
          }
          if (failed_) return false;
          at += static_cast<size_t>(value);
          break;
        default:
          return false;  // groups: proto2 relics, not in ONNX
      }
      *out += model_.substr(start, at - start);
    }
    return true;
  }

  bool too_deep() const { return too_deep_; }

 private:
  bool Varint(size_t* at, size_t end, uint64_t* value) const {
    *value = 0;
    for (int shift = 0; shift < 64 && *at < end; shift += 7) {
      const uint8_t byte = static_cast<uint8_t>(model_[(*at)++]);
      *value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  // Writes a rewritten form of a length-delimited field; false if the caller
  // shall copy it as it is.
  bool Replaced(Kind kind, uint32_t field, size_t at, size_t size, int depth,
                std::string* out) {
    if (kind == Kind::kTensor && field == kTensorRawData &&
        size > kInlineLimit) {
      AppendEntry(kInlineOffset, at, out);
      AppendEntry(kInlineLength, size, out);
      AppendVarint(kTensorDataLocation << 3, out);
      AppendVarint(1, out);
      return true;
    }
    const std::optional<Kind> child = ChildKind(kind, field);
    if (!child) return false;
    const int child_depth = depth + (*child == Kind::kGraph);
    if (child_depth > kMaxGraphDepth) {
      failed_ = too_deep_ = true;
      return false;
    }
    std::string inner;
    if (!Message(*child, at, at + size, child_depth, &inner)) {
      failed_ = true;
      return false;
    }
    AppendBytes(field, inner, out);
    return true;
  }

  std::string_view model_;
  bool failed_ = false;
  bool too_deep_ = false;
};

}  // namespace

Result<std::string> SlimModel(std::string_view model) {
  std::string slim;
  Slimmer slimmer(model);
  if (!slimmer.Message(Kind::kModel, 0, model.size(), 0, &slim)) {
    if (slimmer.too_deep()) {
      return Invalid("subgraphs are nested deeper than %d", kMaxGraphDepth);
    }
    return Invalid("not a whole ONNX file: damaged or cut off; the download "
                   "is probably incomplete");
  }
  return slim;
}

}  // namespace slm
