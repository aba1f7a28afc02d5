// SPDX-License-Identifier: MIT
#include "runtime/text/value.h"

#include <algorithm>

#include "runtime/text/bigint.h"

namespace slm::jinja {
namespace {

using Type = Value::Type;

// Above this many members a dict is indexed.
constexpr size_t kIndexFrom = 8;

double NumberOf(const Value& value) {
  if (value.IsFloat()) return value.AsFloat();
  if (value.IsIntegral()) return static_cast<double>(value.AsInt());
  return value.As<BigIntObject>()->number.ToDouble();
}

bool EqualNumbers(const Value& a, const Value& b) {
  if (a.IsIntegral() && b.IsIntegral()) return a.AsInt() == b.AsInt();
  if (a.IsFloat() || b.IsFloat()) return NumberOf(a) == NumberOf(b);
  return Compare(BigIntOf(a), BigIntOf(b)) == 0;
}

bool EqualDicts(const DictObject& a, const DictObject& b) {
  if (a.members.size() != b.members.size()) return false;
  for (const auto& [key, value] : a.members) {
    const Value* other = b.Find(key);
    if (!other || !Equal(value, *other)) return false;
  }
  return true;
}

bool EqualItems(const ListObject& a, const ListObject& b) {
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(),
                    b.items.end(), Equal);
}

bool EqualRanges(const RangeObject& a, const RangeObject& b) {
  if (a.size() != b.size()) return false;
  return a.size() == 0 ||
         (a.start == b.start && (a.size() == 1 || a.step == b.step));
}

}  // namespace

Value Value::Float(double d) {
  Value value(Type::kFloat, 0);
  value.float_ = d;
  return value;
}

Value Value::String(std::string text) {
  auto* object = new StringObject;
  object->text = std::move(text);
  return Of(Type::kString, object);
}

Value Value::UserString(std::string text) {
  auto* object = new StringObject;
  if (!text.empty()) object->marks.push_back({0, text.size()});
  object->text = std::move(text);
  return Of(Type::kString, object);
}

Value Value::List(std::vector<Value> items) {
  return MakeSequence(Type::kList, "list", std::move(items));
}

Value Value::Tuple(std::vector<Value> items) {
  return MakeSequence(Type::kTuple, "tuple", std::move(items));
}

Value Value::Dict(std::vector<std::pair<std::string, Value>> members) {
  auto* dict = new DictObject;
  for (auto& [key, value] : members) {
    dict->Set(String(std::move(key)), std::move(value));
  }
  return Of(Type::kDict, dict);
}

const Value* DictObject::Find(std::string_view key) const {
  if (!index_.empty()) {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &members[found->second].second;
  }
  for (const auto& [name, value] : members) {
    if (name.IsString() && name.Text() == key) return &value;
  }
  return nullptr;
}

const Value* DictObject::Find(const Value& key) const {
  if (key.IsString()) return Find(key.Text());
  for (const auto& [name, value] : members) {
    if (Equal(name, key)) return &value;
  }
  return nullptr;
}

void DictObject::Set(Value key, Value value) {
  depth = std::max({depth, 1 + DepthOf(key), 1 + DepthOf(value)});
  if (const Value* old = Find(key)) {
    *const_cast<Value*>(old) = std::move(value);
    return;
  }
  members.emplace_back(std::move(key), std::move(value));
  if (members.size() == kIndexFrom) {
    for (size_t i = 0; i < members.size(); ++i) {
      const Value& name = members[i].first;
      if (name.IsString()) index_.emplace(name.Text(), i);
    }
  } else if (members.size() > kIndexFrom && members.back().first.IsString()) {
    index_.emplace(members.back().first.Text(), members.size() - 1);
  }
}

int64_t RangeObject::size() const {
  // Unsigned: stop - start may exceed int64.
  const uint64_t span = step > 0 ? static_cast<uint64_t>(stop) - start
                                 : static_cast<uint64_t>(start) - stop;
  if (step > 0 ? start >= stop : start <= stop) return 0;
  const uint64_t stride =
      step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  return static_cast<int64_t>((span - 1) / stride + 1);
}

uint32_t DepthOf(const Value& value) {
  switch (value.type()) {
    case Type::kList:
    case Type::kTuple:
    case Type::kView:
    case Type::kIterator:
      return value.AsList().depth;
    case Type::kDict:
      return value.AsDict().depth;
    default:
      return 0;
  }
}

Value MakeSequence(Type type, const char* name, std::vector<Value> items) {
  auto* list = new ListObject;
  list->name = name;
  for (const Value& item : items) {
    list->depth = std::max(list->depth, 1 + DepthOf(item));
  }
  list->items = std::move(items);
  return Value::Of(type, list);
}

const char* TypeName(const Value& value) {
  switch (value.type()) {
    case Type::kUndefined:
      return "Undefined";
    case Type::kNone:
      return "NoneType";
    case Type::kBool:
      return "bool";
    case Type::kInt:
    case Type::kBigInt:
      return "int";
    case Type::kFloat:
      return "float";
    case Type::kString:
      return value.AsString().markup ? "Markup" : "str";
    case Type::kList:
    case Type::kTuple:
    case Type::kView:
    case Type::kIterator:
      return value.AsList().name;
    case Type::kDict:
      return "dict";
    case Type::kRange:
      return "range";
    case Type::kNamespace:
      return "Namespace";
    case Type::kMacro:
      return "Macro";
    case Type::kLoop:
      return "LoopContext";
    case Type::kCallable:
      return "function";
  }
  return "object";
}

bool Equal(const Value& a, const Value& b) {
  if (a.IsNumber() && b.IsNumber()) return EqualNumbers(a, b);
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case Type::kUndefined:
    case Type::kNone:
      return true;
    case Type::kString:
      return a.Text() == b.Text();
    case Type::kList:
    case Type::kTuple:
      return EqualItems(a.AsList(), b.AsList());
    case Type::kView:
      return a.AsList().name == b.AsList().name &&
             EqualItems(a.AsList(), b.AsList());
    case Type::kDict:
      return EqualDicts(a.AsDict(), b.AsDict());
    case Type::kRange:
      return EqualRanges(*a.As<RangeObject>(), *b.As<RangeObject>());
    default:
      return a.object() == b.object();
  }
}

bool Truthy(const Value& value) {
  switch (value.type()) {
    case Type::kUndefined:
    case Type::kNone:
      return false;
    case Type::kBool:
    case Type::kInt:
      return value.AsInt() != 0;
    case Type::kFloat:
      return value.AsFloat() != 0;
    case Type::kString:
      return !value.Text().empty();
    case Type::kList:
    case Type::kTuple:
    case Type::kView:
      return !value.AsList().items.empty();
    case Type::kDict:
      return !value.AsDict().members.empty();
    case Type::kRange:
      return value.As<RangeObject>()->size() != 0;
    default:
      return true;
  }
}

}  // namespace slm::jinja
