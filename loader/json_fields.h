// SPDX-License-Identifier: MIT
// Typed access to the members of a JSON object whose absence or wrong type is
// a failure with the member's name.
#ifndef SLM_LOADER_JSON_FIELDS_H_
#define SLM_LOADER_JSON_FIELDS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "loader/json.h"
#include "runtime/core/result.h"

namespace slm {

// The member, or nullptr if it is absent or null.
inline const JsonValue* FindField(const JsonValue& object,
                                  std::string_view name) {
  const JsonValue* value = object.Find(name);
  return value == nullptr || value->IsNull() ? nullptr : value;
}

inline Status WrongField(std::string_view name, const JsonValue* value,
                         const char* wanted) {
  return Invalid("\"%s\" is %s, expected %s", Printable(name).c_str(),
                 value == nullptr ? "missing" : value->TypeName(), wanted);
}

inline Result<std::string_view> StringField(const JsonValue& object,
                                            std::string_view name) {
  const JsonValue* value = object.Find(name);
  if (value == nullptr || !value->IsString()) {
    return WrongField(name, value, "string");
  }
  return value->String();
}

inline Result<bool> BoolField(const JsonValue& object, std::string_view name) {
  const JsonValue* value = object.Find(name);
  if (value == nullptr || !value->IsBool()) {
    return WrongField(name, value, "boolean");
  }
  return value->Bool();
}

// Absent or null gives the fallback.
inline Result<bool> BoolField(const JsonValue& object, std::string_view name,
                              bool fallback) {
  return FindField(object, name) == nullptr ? Result<bool>(fallback)
                                            : BoolField(object, name);
}

// A whole number from 0 to `most`.
inline Result<int64_t> CountField(const JsonValue& object,
                                  std::string_view name, int64_t most) {
  const JsonValue* value = object.Find(name);
  if (value == nullptr || !value->IsInt()) {
    return WrongField(name, value, "integer");
  }
  if (value->Int() < 0 || value->Int() > most) {
    return Invalid(
        "\"%s\" is %lld, supported: 0..%lld", Printable(name).c_str(),
        static_cast<long long>(value->Int()), static_cast<long long>(most));
  }
  return value->Int();
}

inline Result<const JsonValue*> ArrayField(const JsonValue& object,
                                           std::string_view name) {
  const JsonValue* value = object.Find(name);
  if (value == nullptr || !value->IsArray()) {
    return WrongField(name, value, "array");
  }
  return value;
}

inline Result<const JsonValue*> ObjectField(const JsonValue& object,
                                            std::string_view name) {
  const JsonValue* value = object.Find(name);
  if (value == nullptr || !value->IsObject()) {
    return WrongField(name, value, "object");
  }
  return value;
}

}  // namespace slm

#endif  // SLM_LOADER_JSON_FIELDS_H_
