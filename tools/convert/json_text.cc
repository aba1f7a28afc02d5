// SPDX-License-Identifier: MIT
#include "tools/convert/json_text.h"

#include <charconv>

namespace slm::convert {

void JsonText::NextItem() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (depth_ == 0) return;
  if (!first_) text_ += ',';
  first_ = false;
  text_ += '\n';
  text_.append(static_cast<size_t>(depth_ * indent_), ' ');
}

void JsonText::Begin(char bracket) {
  NextItem();
  text_ += bracket;
  ++depth_;
  first_ = true;
}

void JsonText::End(char bracket) {
  --depth_;
  if (!first_) {
    text_ += '\n';
    text_.append(static_cast<size_t>(depth_ * indent_), ' ');
  }
  text_ += bracket;
  first_ = false;
  if (depth_ == 0) text_ += '\n';
}

void JsonText::Key(std::string_view key) {
  NextItem();
  AppendJsonString(key, &text_);
  text_ += ": ";
  after_key_ = true;
}

void JsonText::String(std::string_view value) {
  NextItem();
  AppendJsonString(value, &text_);
}

void JsonText::Int(int64_t value) {
  NextItem();
  text_ += std::to_string(value);
}

void JsonText::Double(double value) {
  NextItem();
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  const std::string_view shown(digits, static_cast<size_t>(end - digits));
  text_ += shown;
  if (shown.find_first_of(".e") == std::string_view::npos) text_ += ".0";
}

void JsonText::Bool(bool value) {
  NextItem();
  text_ += value ? "true" : "false";
}

void JsonText::Null() {
  NextItem();
  text_ += "null";
}

// The parser limits the depth to 1000.
void JsonText::Value(const JsonValue& value) {
  switch (value.type()) {
    case JsonValue::Type::kNull:
      return Null();
    case JsonValue::Type::kBool:
      return Bool(value.Bool());
    case JsonValue::Type::kInt:
      return Int(value.Int());
    case JsonValue::Type::kDouble:
      return Double(value.Double());
    case JsonValue::Type::kString:
      return String(value.String());
    case JsonValue::Type::kArray:
      Begin('[');
      for (const JsonValue& item : value.Items()) Value(item);
      return End(']');
    case JsonValue::Type::kObject:
      Begin('{');
      for (const JsonMember& member : value.Members()) {
        Key(member.key);
        Value(member.value);
      }
      return End('}');
  }
}

}  // namespace slm::convert
