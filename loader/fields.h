// SPDX-License-Identifier: MIT
// Reading a JSON object by a table: each row says where a value stands, what it
// may be and where it goes. One walker then does for all configuration files
// what is easily forgotten in one of them: types, ranges, nulls, unknown keys.
#ifndef SLM_LOADER_FIELDS_H_
#define SLM_LOADER_FIELDS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "loader/json.h"
#include "loader/search_config.h"
#include "runtime/core/log.h"
#include "runtime/core/result.h"

namespace slm {

// Configuration files have some KiB, the largest tokenizer_config.json about
// 1 MiB. Eight MiB of "[0,0,..." take 250 MB while they become a tree, half of
// what a bad file may cost.
inline constexpr size_t kMaxConfigBytes = size_t{8} << 20;

// The file as JSON with an object at its root; the message names the file.
Result<JsonDocument> LoadJsonObject(const std::string& path);

// A known key whose value means nothing to this runtime.
struct Ignored {};
// Known, but its value changes what the model was meant to do: a warning.
struct Unsupported {
  std::string_view why;
  double neutral = -1e300;  // the number that changes nothing: no warning
};
// Strings under keys that the file chooses.
using StringMap = std::map<std::string, std::string, std::less<>>;
// One integer or a list of them: eos_token_id.
struct IntOrList {
  std::vector<int64_t>* values;
};
// A string, or an object with a string "content": tokens.
struct TokenText {
  std::optional<std::string>* text;
};
using FieldFunction =
    std::function<Status(const JsonValue& value, const std::string& path)>;

using FieldTarget =
    std::variant<Ignored, Unsupported, bool*, std::optional<bool>*, int64_t*,
                 std::optional<int64_t>*, double*, std::string*,
                 std::vector<int64_t>*, std::vector<std::string>*, IntOrList,
                 TokenText, StringMap*, Setting<bool>*, Setting<int64_t>*,
                 Setting<double>*, FieldFunction>;

struct Field {
  // Keys from the root, joined by dots. A last key "*" stands for all others of
  // that object; its target is a StringMap.
  std::string path;
  FieldTarget target;
  // Both inclusive; for numbers and for the numbers of lists.
  double min = -1e300;
  double max = 1e300;
};

struct FieldReader {
  std::string file;  // for messages
  std::vector<Field> fields;
  LogSink log;
  // Settings are written with this source.
  ConfigSource source = ConfigSource::kDefault;
  // Warn about keys without a row. Files of Hugging Face hold hundreds that do
  // not concern a runtime; genai_config.json should hold none.
  bool warn_unknown = false;
  // Warn about null where a value belongs. Python writes None for "not set".
  bool warn_null = false;
};

// Reads `root`, an object, into the targets. Nulls count as absent. The first
// value of a wrong type or outside of its range fails with
//   FILE: KEY.PATH = VALUE, expected ...
Status ReadFields(const JsonValue& root, const FieldReader& reader);

// The value at keys joined by dots, or nullptr.
const JsonValue* FindPath(const JsonValue& root, std::string_view path);

// A short form of the value for messages: 12, "text", an object.
std::string ShowJson(const JsonValue& value);

}  // namespace slm

#endif  // SLM_LOADER_FIELDS_H_
