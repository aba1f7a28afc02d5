// SPDX-License-Identifier: MIT
#include "runtime/text/template_runtime.h"

namespace slm::jinja {

Value Runtime::Fail(const char* kind, std::string message) {
  if (!failed_) {
    failed_ = true;
    error_.kind = kind;
    error_.message = std::move(message);
  }
  return Value();
}

Value Runtime::FailUndefined(const Value& undefined) {
  if (!undefined.object()) return Fail("UndefinedError", "value is undefined");
  const auto* why = undefined.As<UndefinedObject>();
  return Fail(why->kind, why->message);
}

void Runtime::OverSteps() {
  Fail("limit", Format("rendering takes more than %llu steps",
                       static_cast<unsigned long long>(limits_.max_steps)));
}

void Runtime::OverMemory() {
  Fail("limit",
       Format("rendering takes more than %zu bytes", limits_.max_memory));
}

Value Runtime::Sequence(Value::Type type, const char* name,
                        std::vector<Value> items) {
  if (!Charge(sizeof(ListObject) + items.size() * sizeof(Value))) return {};
  Value value = MakeSequence(type, name, std::move(items));
  if (value.AsList().depth > kMaxValueDepth) {
    return Fail("limit", "a value nests too deeply");
  }
  return value;
}

Value Runtime::Dict(Ref<DictObject> dict) {
  if (!Charge(sizeof(DictObject) + dict->members.size() * 4 * sizeof(Value))) {
    return {};
  }
  if (dict->depth > kMaxValueDepth) {
    return Fail("limit", "a value nests too deeply");
  }
  dict->Retain();
  return Value::Of(Value::Type::kDict, dict.get());
}

Value Runtime::String(Value string) {
  Charge(sizeof(StringObject) + string.Text().size() +
         string.AsString().marks.size() * sizeof(TextSpan));
  return string;
}

Value Runtime::Undefined(std::string message, const char* kind) {
  if (!Charge(sizeof(UndefinedObject))) return {};
  auto* object = new UndefinedObject;
  object->message = std::move(message);
  object->kind = kind;
  return Value::Of(Value::Type::kUndefined, object);
}

const Value* NamespaceObject::Find(std::string_view name) const {
  for (const auto& [key, value] : members) {
    if (key == name) return &value;
  }
  return nullptr;
}

void NamespaceObject::Set(const std::string& name, Value value) {
  for (auto& [key, old] : members) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  members.emplace_back(name, std::move(value));
}

}  // namespace slm::jinja
