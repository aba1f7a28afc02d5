// SPDX-License-Identifier: MIT
#include "loader/json.h"

#include <cstring>
#include <limits>

#define RAPIDJSON_HAS_STDSTRING 0
#include "rapidjson/error/en.h"
#include "rapidjson/reader.h"
#include "runtime/core/file.h"
#include "runtime/core/utf8.h"

namespace slm {
namespace {

constexpr size_t kMaxDepth = 1000;
constexpr size_t kBlock = 4096;  // nodes

}  // namespace

// Receives RapidJSON's events. Children of open arrays and objects wait on a
// stack of members (a key is empty in arrays) and move to a block when their
// parent closes.
class JsonBuilder {
 public:
  explicit JsonBuilder(JsonDocument* document) : document_(document) {}

  bool too_deep() const { return too_deep_; }

  bool Null() { return Add({}); }
  bool Bool(bool b) { return AddInt(JsonValue::Type::kBool, b); }
  bool Int(int i) { return AddInt(JsonValue::Type::kInt, i); }
  bool Uint(unsigned i) { return AddInt(JsonValue::Type::kInt, i); }
  bool Int64(int64_t i) { return AddInt(JsonValue::Type::kInt, i); }
  bool Uint64(uint64_t i) {
    if (i > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Double(static_cast<double>(i));
    }
    return AddInt(JsonValue::Type::kInt, static_cast<int64_t>(i));
  }
  bool Double(double d) {
    JsonValue value;
    value.type_ = JsonValue::Type::kDouble;
    value.double_ = d;
    return Add(value);
  }
  bool RawNumber(const char*, unsigned, bool) { return false; }
  bool String(const char* text, unsigned size, bool) {
    JsonValue value;
    value.type_ = JsonValue::Type::kString;
    value.string_ = text;
    value.size_ = size;
    return Add(value);
  }
  bool Key(const char* text, unsigned size, bool) {
    key_ = {text, size};
    return true;
  }
  bool StartObject() { return Open(); }
  bool StartArray() { return Open(); }
  bool EndObject(unsigned) {
    const size_t count = Close();
    JsonValue value;
    value.type_ = JsonValue::Type::kObject;
    value.size_ = static_cast<uint32_t>(count);
    JsonMember* members = NewMembers(count);
    const JsonMember* from = stack_.data() + stack_.size() - count;
    for (size_t i = 0; i < count; ++i) members[i] = from[i];
    value.members_ = members;
    stack_.resize(stack_.size() - count);
    return Reopen(value);
  }
  bool EndArray(unsigned) {
    const size_t count = Close();
    JsonValue value;
    value.type_ = JsonValue::Type::kArray;
    value.size_ = static_cast<uint32_t>(count);
    JsonValue* items = NewValues(count);
    const JsonMember* from = stack_.data() + stack_.size() - count;
    for (size_t i = 0; i < count; ++i) items[i] = from[i].value;
    value.items_ = items;
    stack_.resize(stack_.size() - count);
    return Reopen(value);
  }

 private:
  struct Frame {
    size_t begin;          // of its children on the stack
    std::string_view key;  // of the container itself
  };

  bool AddInt(JsonValue::Type type, int64_t i) {
    JsonValue value;
    value.type_ = type;
    value.int_ = i;
    return Add(value);
  }
  bool Add(const JsonValue& value) {
    if (frames_.empty()) {
      document_->root_ = std::make_unique<JsonValue>(value);
    } else {
      stack_.push_back({key_, value});
      key_ = {};
    }
    return true;
  }
  bool Open() {
    if (frames_.size() >= kMaxDepth) {
      too_deep_ = true;
      return false;
    }
    frames_.push_back({stack_.size(), key_});
    key_ = {};
    return true;
  }
  size_t Close() { return stack_.size() - frames_.back().begin; }
  bool Reopen(const JsonValue& value) {
    key_ = frames_.back().key;
    frames_.pop_back();
    return Add(value);
  }

  template <typename T>
  static T* Take(size_t count, std::vector<std::unique_ptr<T[]>>* blocks,
                 T** next, size_t* left) {
    if (count > *left) {
      const size_t size = count > kBlock ? count : kBlock;
      blocks->push_back(std::make_unique<T[]>(size));
      *next = blocks->back().get();
      *left = size;
    }
    T* taken = *next;
    *next += count;
    *left -= count;
    return taken;
  }
  JsonMember* NewMembers(size_t n) {
    return Take(n, &document_->blocks_, &next_member_, &members_left_);
  }
  JsonValue* NewValues(size_t n) {
    return Take(n, &document_->value_blocks_, &next_value_, &values_left_);
  }

  JsonDocument* document_;
  std::vector<JsonMember> stack_;
  std::vector<Frame> frames_;
  std::string_view key_;
  bool too_deep_ = false;
  JsonMember* next_member_ = nullptr;
  JsonValue* next_value_ = nullptr;
  size_t members_left_ = 0, values_left_ = 0;
};

const char* JsonValue::TypeName() const {
  static constexpr const char* kNames[] = {"null",   "boolean", "integer",
                                           "number", "string",  "array",
                                           "object"};
  return kNames[static_cast<size_t>(type_)];
}

const JsonValue* JsonValue::Find(std::string_view key) const {
  if (!IsObject()) return nullptr;
  for (size_t i = size_; i-- > 0;) {
    if (members_[i].key == key) return &members_[i].value;
  }
  return nullptr;
}

Result<JsonDocument> JsonDocument::Parse(std::string text) {
  if (text.size() >= std::numeric_limits<uint32_t>::max()) {
    return Invalid("JSON text of %zu bytes is too long", text.size());
  }
  JsonDocument document;
  document.text_ = std::make_unique<std::string>(std::move(text));
  // In-situ parsing rewrites the text, so count lines on a failure by hand:
  // RapidJSON changes only bytes inside strings, never newlines outside.
  rapidjson::GenericReader<rapidjson::UTF8<>, rapidjson::UTF8<>> reader;
  rapidjson::InsituStringStream stream(document.text_->data());
  JsonBuilder builder(&document);
  constexpr unsigned kFlags = rapidjson::kParseInsituFlag |
                              rapidjson::kParseIterativeFlag |
                              rapidjson::kParseFullPrecisionFlag |
                              rapidjson::kParseValidateEncodingFlag;
  const rapidjson::ParseResult result =
      reader.Parse<kFlags>(stream, builder);
  if (!result) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < result.Offset() && i < document.text_->size(); ++i) {
      ++column;
      if ((*document.text_)[i] == '\n') {
        ++line;
        column = 1;
      }
    }
    if (builder.too_deep()) {
      return Invalid("line %zu, column %zu: nested deeper than %zu levels",
                     line, column, kMaxDepth);
    }
    return Invalid("line %zu, column %zu: %s", line, column,
                   rapidjson::GetParseError_En(result.Code()));
  }
  return document;
}

Result<JsonDocument> JsonDocument::Load(const std::string& path) {
  SLM_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  // A byte order mark is common on Windows.
  if (text.compare(0, 3, "\xEF\xBB\xBF") == 0) text.erase(0, 3);
  Result<JsonDocument> document = Parse(std::move(text));
  if (!document.ok()) {
    return document.status().In(Printable(path, 400) + ": broken JSON");
  }
  return document;
}

void AppendJsonString(std::string_view text, std::string* out) {
  *out += '"';
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(i));
    if (!c.valid) {
      *out += "\xEF\xBF\xBD";
    } else if (c.code == '"' || c.code == '\\') {
      *out += '\\';
      *out += static_cast<char>(c.code);
    } else if (c.code == '\n') {
      *out += "\\n";
    } else if (c.code == '\r') {
      *out += "\\r";
    } else if (c.code == '\t') {
      *out += "\\t";
    } else if (c.code < 0x20 || c.code == 0x7F || c.code == 0x85 ||
               c.code == 0x2028 || c.code == 0x2029) {
      *out += Format("\\u%04x", c.code);
    } else {
      *out += text.substr(i, c.size);
    }
    i += c.size;
  }
  *out += '"';
}

}  // namespace slm
