// SPDX-License-Identifier: MIT
// JSON documents, read into a compact immutable tree. RapidJSON does the
// parsing (iterative: nesting cannot overflow the stack); it is seen by
// json.cc only.
#ifndef SLM_LOADER_JSON_H_
#define SLM_LOADER_JSON_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace slm {

struct JsonMember;

// A node of a JsonDocument, valid as long as the document. Accessors of the
// wrong type are programmer errors; ask the type first.
class JsonValue {
 public:
  enum class Type : uint8_t {
    kNull, kBool, kInt, kDouble, kString, kArray, kObject
  };

  Type type() const { return type_; }
  const char* TypeName() const;
  bool IsNull() const { return type_ == Type::kNull; }
  bool IsBool() const { return type_ == Type::kBool; }
  bool IsInt() const { return type_ == Type::kInt; }
  bool IsNumber() const { return IsInt() || type_ == Type::kDouble; }
  bool IsString() const { return type_ == Type::kString; }
  bool IsArray() const { return type_ == Type::kArray; }
  bool IsObject() const { return type_ == Type::kObject; }

  bool Bool() const { SLM_CHECK(IsBool()); return int_ != 0; }
  // Written without fraction and exponent, and within int64.
  int64_t Int() const { SLM_CHECK(IsInt()); return int_; }
  double Double() const {
    SLM_CHECK(IsNumber());
    return IsInt() ? static_cast<double>(int_) : double_;
  }
  std::string_view String() const {
    SLM_CHECK(IsString());
    return {string_, size_};
  }
  std::span<const JsonValue> Items() const {
    SLM_CHECK(IsArray());
    return {items_, size_};
  }
  // In the order of the file; duplicate keys are kept.
  std::span<const JsonMember> Members() const;
  // The last member of that name, as Python's json has it; nullptr if there is
  // none or if this is no object.
  const JsonValue* Find(std::string_view key) const;

 private:
  friend class JsonBuilder;
  Type type_ = Type::kNull;
  uint32_t size_ = 0;
  union {
    int64_t int_ = 0;
    double double_;
    const char* string_;
    const JsonValue* items_;
    const JsonMember* members_;
  };
};

struct JsonMember {
  std::string_view key;
  JsonValue value;
};

inline std::span<const JsonMember> JsonValue::Members() const {
  SLM_CHECK(IsObject());
  return {members_, size_};
}

class JsonDocument {
 public:
  // Fails with kInvalid and line and column. Nesting is limited to 1000
  // levels, text to 4 GiB. Invalid UTF-8 in strings is refused.
  static Result<JsonDocument> Parse(std::string text);
  // ReadFile + Parse; the message names the file.
  static Result<JsonDocument> Load(const std::string& path);

  const JsonValue& root() const { return *root_; }

 private:
  friend class JsonBuilder;
  // Strings point into `text_` (parsed in place), nodes into `blocks_`.
  std::unique_ptr<std::string> text_;
  std::vector<std::unique_ptr<JsonMember[]>> blocks_;
  std::vector<std::unique_ptr<JsonValue[]>> value_blocks_;
  std::unique_ptr<JsonValue> root_;
};

// Appends "text" with quotes and escapes (RFC 8259); invalid UTF-8 becomes
// U+FFFD, other characters stay as they are, but for those that some readers
// take for the end of a line (U+0085, U+2028, U+2029).
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace slm

#endif  // SLM_LOADER_JSON_H_
