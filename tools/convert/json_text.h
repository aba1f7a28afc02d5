// SPDX-License-Identifier: MIT
// JSON files as Python's json.dump(indent=4) writes them: indented, keys in the
// order they come.
#ifndef SLM_TOOLS_CONVERT_JSON_TEXT_H_
#define SLM_TOOLS_CONVERT_JSON_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "loader/json.h"

namespace slm::convert {

class JsonText {
 public:
  explicit JsonText(int indent = 4) : indent_(indent) {}

  void BeginObject() { Begin('{'); }
  void BeginObject(std::string_view key) {
    Key(key);
    Begin('{');
  }
  void BeginArray(std::string_view key) {
    Key(key);
    Begin('[');
  }
  void EndObject() { End('}'); }
  void EndArray() { End(']'); }

  // The name of what comes next; not inside arrays.
  void Key(std::string_view key);
  void String(std::string_view value);
  void Int(int64_t value);
  void Double(double value);  // the shortest text that reads back: 1.0
  void Bool(bool value);
  void Null();
  void Value(const JsonValue& value);

  void String(std::string_view key, std::string_view value) {
    Key(key);
    String(value);
  }
  void Int(std::string_view key, int64_t value) {
    Key(key);
    Int(value);
  }
  void Double(std::string_view key, double value) {
    Key(key);
    Double(value);
  }
  void Bool(std::string_view key, bool value) {
    Key(key);
    Bool(value);
  }

  const std::string& text() const { return text_; }

 private:
  void Begin(char bracket);
  void End(char bracket);
  void NextItem();

  int indent_;
  int depth_ = 0;
  bool first_ = true;  // nothing in the innermost bracket yet
  bool after_key_ = false;
  std::string text_;
};

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_JSON_TEXT_H_
