// SPDX-License-Identifier: MIT
#include "loader/fields.h"

#include <cmath>
#include <utility>

#include "runtime/core/file.h"

namespace slm {
namespace {

// A hostile file must not fill the log.
constexpr int kMaxWarnings = 20;
// Lists in configurations are token ids and layers.
constexpr size_t kMaxList = 65536;
// Integers beyond are not exact as doubles, which is what the real runtime
// reads all numbers as.
constexpr double kMaxExact = 9007199254740992.0;

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

std::string Bound(double value) { return Format("%.15g", value); }

class Walker {
 public:
  explicit Walker(const FieldReader& reader) : reader_(reader) {}

  // Recurses only where a row has a longer path, so no deeper than the table.
  Status Object(const JsonValue& object, const std::string& prefix) {
    for (const JsonMember& member : object.Members()) {
      const std::string path = prefix + std::string(member.key);
      SLM_RETURN_IF_ERROR(Member(member, prefix, path));
    }
    return OkStatus();
  }

 private:
  Status Member(const JsonMember& member, const std::string& prefix,
                const std::string& path) {
    const Field* rest = nullptr;
    bool inside = false;
    // A key with a dot is one key, never a path of the table.
    const bool plain = member.key.find('.') == std::string_view::npos;
    for (const Field& field : reader_.fields) {
      if (plain && field.path == path) return Row(field, member.value, path);
      if (plain && field.path.size() > path.size() &&
          field.path[path.size()] == '.' && StartsWith(field.path, path)) {
        inside = true;
      }
      if (field.path.size() == prefix.size() + 1 && field.path.back() == '*' &&
          StartsWith(field.path, prefix)) {
        rest = &field;
      }
    }
    if (inside) return Nested(member.value, path);
    if (rest) return Entry(*rest, member, path);
    if (reader_.warn_unknown) Warn("unknown key " + Printable(path));
    return OkStatus();
  }

  Status Nested(const JsonValue& value, const std::string& path) {
    if (value.IsNull()) return Null(path);
    if (!value.IsObject()) return Wrong(path, value, "an object");
    return Object(value, path + ".");
  }

  Status Entry(const Field& field, const JsonMember& member,
               const std::string& path) {
    auto* map = std::get<StringMap*>(field.target);
    if (member.value.IsNull()) return Null(path);
    if (!member.value.IsString()) return Wrong(path, member.value, "a string");
    (*map)[std::string(member.key)] = std::string(member.value.String());
    return OkStatus();
  }

  Status Row(const Field& field, const JsonValue& value,
             const std::string& path) {
    if (std::holds_alternative<Ignored>(field.target)) return OkStatus();
    if (value.IsNull()) return Null(path);
    return std::visit(
        [&](const auto& target) { return Read(field, value, path, target); },
        field.target);
  }

  Status Null(const std::string& path) {
    if (reader_.warn_null) {
      Warn(Printable(path) + " is null: taken as absent");
    }
    return OkStatus();
  }

  Status Read(const Field&, const JsonValue&, const std::string&, Ignored) {
    return OkStatus();
  }
  Status Read(const Field&, const JsonValue& value, const std::string& path,
              const Unsupported& target) {
    if (value.IsNumber() && value.Double() == target.neutral) {
      return OkStatus();
    }
    Warn(path + " = " + ShowJson(value) +
         " is not honoured: " + std::string(target.why));
    return OkStatus();
  }
  Status Read(const Field&, const JsonValue& value, const std::string& path,
              bool* target) {
    if (!value.IsBool()) return Wrong(path, value, "true or false");
    *target = value.Bool();
    return OkStatus();
  }
  Status Read(const Field& field, const JsonValue& value,
              const std::string& path, int64_t* target) {
    // 50.0 is 50, as in the real runtime; 1.5 is not.
    if (!value.IsNumber() || value.Double() != std::floor(value.Double())) {
      return Wrong(path, value, "an integer");
    }
    SLM_RETURN_IF_ERROR(Range(field, value, path));
    if (std::abs(value.Double()) > kMaxExact) {
      return Wrong(path, value, "a number below 2^53");
    }
    *target = static_cast<int64_t>(value.Double());
    return OkStatus();
  }
  Status Read(const Field& field, const JsonValue& value,
              const std::string& path, double* target) {
    if (!value.IsNumber()) return Wrong(path, value, "a number");
    SLM_RETURN_IF_ERROR(Range(field, value, path));
    *target = value.Double();
    return OkStatus();
  }
  Status Read(const Field&, const JsonValue& value, const std::string& path,
              std::string* target) {
    if (!value.IsString()) return Wrong(path, value, "a string");
    *target = std::string(value.String());
    return OkStatus();
  }
  template <typename T>
  Status Read(const Field& field, const JsonValue& value,
              const std::string& path, std::optional<T>* target) {
    T read{};
    SLM_RETURN_IF_ERROR(Read(field, value, path, &read));
    *target = std::move(read);
    return OkStatus();
  }
  template <typename T>
  Status Read(const Field& field, const JsonValue& value,
              const std::string& path, Setting<T>* target) {
    T read{};
    SLM_RETURN_IF_ERROR(Read(field, value, path, &read));
    target->Set(read, reader_.source);
    return OkStatus();
  }
  template <typename T>
  Status Read(const Field& field, const JsonValue& value,
              const std::string& path, std::vector<T>* target) {
    if (!value.IsArray()) return Wrong(path, value, "a list");
    if (value.Items().size() > kMaxList) {
      return Invalid("%s: %s has %zu items, at most %zu are read",
                     File().c_str(), Printable(path).c_str(),
                     value.Items().size(), kMaxList);
    }
    std::vector<T> items;
    for (const JsonValue& item : value.Items()) {
      items.emplace_back();
      SLM_RETURN_IF_ERROR(Read(field, item,
                               path + Format("[%zu]", items.size() - 1),
                               &items.back()));
    }
    *target = std::move(items);
    return OkStatus();
  }
  Status Read(const Field& field, const JsonValue& value,
              const std::string& path, const IntOrList& target) {
    if (value.IsArray()) return Read(field, value, path, target.values);
    int64_t one = 0;
    SLM_RETURN_IF_ERROR(Read(field, value, path, &one));
    *target.values = {one};
    return OkStatus();
  }
  Status Read(const Field&, const JsonValue& value, const std::string& path,
              const TokenText& target) {
    const JsonValue* content =
        value.IsObject() ? value.Find("content") : &value;
    if (!content || !content->IsString()) {
      return Wrong(path, value, "a string or {\"content\": a string}");
    }
    *target.text = std::string(content->String());
    return OkStatus();
  }
  Status Read(const Field&, const JsonValue& value, const std::string& path,
              StringMap* target) {
    if (!value.IsObject()) return Wrong(path, value, "an object");
    for (const JsonMember& member : value.Members()) {
      if (!member.value.IsString()) {
        return Wrong(path + "." + std::string(member.key), member.value,
                     "a string");
      }
      (*target)[std::string(member.key)] = std::string(member.value.String());
    }
    return OkStatus();
  }
  Status Read(const Field&, const JsonValue& value, const std::string& path,
              const FieldFunction& function) {
    return function(value, path).In(File());
  }

  Status Range(const Field& field, const JsonValue& value,
               const std::string& path) {
    const double number = value.Double();
    if (number >= field.min && number <= field.max) return OkStatus();
    return Invalid("%s: %s = %s, expected %s to %s", File().c_str(),
                   Printable(path).c_str(), ShowJson(value).c_str(),
                   Bound(field.min).c_str(), Bound(field.max).c_str());
  }

  Status Wrong(const std::string& path, const JsonValue& value,
               const char* expected) {
    return Invalid("%s: %s = %s, expected %s", File().c_str(),
                   Printable(path).c_str(), ShowJson(value).c_str(), expected);
  }

  void Warn(const std::string& what) {
    ++warnings_;
    if (warnings_ <= kMaxWarnings) {
      Log(reader_.log, LogLevel::kWarn, File() + ": " + what);
    } else if (warnings_ == kMaxWarnings + 1) {
      Log(reader_.log, LogLevel::kWarn,
          File() + ": more warnings of this kind are left out");
    }
  }

  std::string File() const { return Printable(reader_.file, 400); }

  const FieldReader& reader_;
  int warnings_ = 0;
};

}  // namespace

Result<JsonDocument> LoadJsonObject(const std::string& path) {
  SLM_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMaxConfigBytes));
  // A byte order mark is common on Windows.
  if (StartsWith(text, "\xEF\xBB\xBF")) text.erase(0, 3);
  Result<JsonDocument> document = JsonDocument::Parse(std::move(text));
  const std::string shown = Printable(path, 400);
  if (!document.ok()) {
    return document.status().In(shown + ": broken JSON");
  }
  if (!document->root().IsObject()) {
    return Invalid("%s: the root is %s, expected an object", shown.c_str(),
                   ShowJson(document->root()).c_str());
  }
  return document;
}

Status ReadFields(const JsonValue& root, const FieldReader& reader) {
  SLM_CHECK(root.IsObject());
  return Walker(reader).Object(root, "");
}

const JsonValue* FindPath(const JsonValue& root, std::string_view path) {
  const JsonValue* value = &root;
  while (value && !path.empty()) {
    const size_t dot = path.find('.');
    value = value->Find(path.substr(0, dot));
    path = dot == std::string_view::npos ? "" : path.substr(dot + 1);
  }
  return value;
}

std::string ShowJson(const JsonValue& value) {
  switch (value.type()) {
    case JsonValue::Type::kNull:
      return "null";
    case JsonValue::Type::kBool:
      return value.Bool() ? "true" : "false";
    case JsonValue::Type::kInt:
      return Format("%lld", static_cast<long long>(value.Int()));
    case JsonValue::Type::kDouble:
      return Format("%.15g", value.Double());
    case JsonValue::Type::kString:
      return '"' + Printable(value.String(), 60) + '"';
    case JsonValue::Type::kArray:
      return Format("a list of %zu items", value.Items().size());
    case JsonValue::Type::kObject:
      return "an object";
  }
  return "";
}

}  // namespace slm
