// SPDX-License-Identifier: MIT
#include "loader/json_value.h"

#include <utility>
#include <vector>

namespace slm {
namespace {

TemplateValue Text(std::string_view text, TextOrigin origin) {
  return origin == TextOrigin::kUser
             ? TemplateValue::UserString(std::string(text))
             : TemplateValue::String(std::string(text));
}

TemplateValue FromObject(const JsonValue& json, TextOrigin origin,
                         bool is_message) {
  auto* dict = new jinja::DictObject;
  for (const JsonMember& member : json.Members()) {
    const bool is_role = is_message && member.key == "role";
    dict->Set(
        Text(member.key, is_role ? TextOrigin::kTrusted : origin),
        ValueFromJson(member.value, is_role ? TextOrigin::kTrusted : origin));
  }
  return TemplateValue::Of(TemplateValue::Type::kDict, dict);
}

}  // namespace

// Recursion is bounded: json.cc limits the nesting to 1000 levels.
TemplateValue ValueFromJson(const JsonValue& json, TextOrigin origin) {
  switch (json.type()) {
    case JsonValue::Type::kNull:
      return TemplateValue::None();
    case JsonValue::Type::kBool:
      return TemplateValue::Bool(json.Bool());
    case JsonValue::Type::kInt:
      return TemplateValue::Int(json.Int());
    case JsonValue::Type::kDouble:
      return TemplateValue::Float(json.Double());
    case JsonValue::Type::kString:
      return Text(json.String(), origin);
    case JsonValue::Type::kObject:
      return FromObject(json, origin, /*is_message=*/false);
    case JsonValue::Type::kArray:
      break;
  }
  std::vector<TemplateValue> items;
  for (const JsonValue& item : json.Items()) {
    items.push_back(ValueFromJson(item, origin));
  }
  return TemplateValue::List(std::move(items));
}

TemplateValue MessagesFromJson(const JsonValue& json) {
  if (!json.IsArray()) return ValueFromJson(json, TextOrigin::kUser);
  std::vector<TemplateValue> messages;
  for (const JsonValue& message : json.Items()) {
    messages.push_back(message.IsObject()
                           ? FromObject(message, TextOrigin::kUser,
                                        /*is_message=*/true)
                           : ValueFromJson(message, TextOrigin::kUser));
  }
  return TemplateValue::List(std::move(messages));
}

}  // namespace slm
