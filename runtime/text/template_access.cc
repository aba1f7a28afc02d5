// SPDX-License-Identifier: MIT
// Attributes, subscripts and slices.
#include <algorithm>
#include <limits>

#include "runtime/core/utf8.h"
#include "runtime/text/template_builtins.h"
#include "runtime/text/template_eval.h"
#include "runtime/text/template_filters.h"
#include "runtime/text/template_ops.h"
#include "runtime/text/template_print.h"
#include "runtime/text/template_strings.h"

namespace slm::jinja {
namespace {

using Type = Value::Type;

// What the immutable sandbox does not let templates call.
constexpr std::string_view kListMutators[] = {
    "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};
constexpr std::string_view kDictMutators[] = {"clear", "pop", "popitem",
                                              "setdefault", "update"};

bool IsMutator(const Value& object, std::string_view name) {
  const auto in = [name](const auto& table) {
    return std::find(std::begin(table), std::end(table), name) !=
           std::end(table);
  };
  return (object.IsList() && in(kListMutators)) ||
         (object.IsDict() && in(kDictMutators));
}

// jinja2's object_type_repr.
std::string DescribeType(const Value& value) {
  if (value.IsNone()) return "None";
  return std::string(TypeName(value)) + " object";
}

Value MissingAttribute(Runtime& rt, const Value& object,
                       std::string_view name) {
  return rt.Undefined("'" + DescribeType(object) + "' has no attribute '" +
                      std::string(name) + "'");
}

Value BoundMethod(const Builtin& method, const Value& self) {
  auto* object = new CallableObject;
  object->builtin = &method;
  object->self = self;
  return Value::Of(Type::kCallable, object);
}

// The parts of Python's numbers.
bool NumberAttribute(const Value& number, std::string_view name, Value* out) {
  const Value self = number.IsBool() ? Value::Int(number.AsInt()) : number;
  const bool is_float = number.IsFloat();
  if (name == "real" || (name == "numerator" && !is_float)) {
    *out = self;
  } else if (name == "imag") {
    *out = is_float ? Value::Float(0) : Value::Int(0);
  } else if (name == "denominator" && !is_float) {
    *out = Value::Int(1);
  } else {
    return false;
  }
  return true;
}

// An attribute of the object itself (Python's getattr). False if it has none.
bool OwnAttribute(Runtime& rt, const Value& object, std::string_view name,
                  Value* out) {
  switch (object.type()) {
    case Type::kNamespace: {
      const Value* found = object.As<NamespaceObject>()->Find(name);
      if (found) *out = *found;
      return found != nullptr;
    }
    case Type::kLoop:
      return LoopAttribute(rt, object, name, out);
    case Type::kCallable:
      return CyclerAttribute(rt, object, name, out);
    case Type::kMacro:
      if (name != "name") return false;
      *out = Value::String(object.As<MacroObject>()->name());
      return true;
    case Type::kTuple:
      // The only named tuples are groupby's.
      if (std::string_view(TypeName(object)) == "_GroupTuple" &&
          (name == "grouper" || name == "list")) {
        *out = object.AsList().items[name == "list"];
        return true;
      }
      break;
    default:
      break;
  }
  if (object.IsNumber() && NumberAttribute(object, name, out)) return true;
  if (IsMutator(object, name)) {
    *out = rt.Undefined("access to attribute '" + std::string(name) + "' of '" +
                            TypeName(object) + "' object is unsafe.",
                        "SecurityError");
    return true;
  }
  const Builtin* method = FindMethod(object, name);
  if (method && rt.Charge(sizeof(CallableObject))) {
    *out = BoundMethod(*method, object);
  }
  return method != nullptr;
}

// Python's adjusted indices of a slice over `length` items.
struct SliceRange {
  int64_t start, step;
  size_t count;
};

bool SliceIndex(Runtime& rt, const Value& value, int64_t absent, int64_t* out) {
  *out = absent;
  if (value.IsNone()) return true;
  if (value.IsIntegral()) {
    *out = value.AsInt();
    return true;
  }
  rt.TypeError("slice indices must be integers or None");
  return false;
}

bool ResolveSlice(Runtime& rt, const Value& start, const Value& stop,
                  const Value& step, size_t size, SliceRange* out) {
  const int64_t length = static_cast<int64_t>(size);
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  if (!SliceIndex(rt, step, 1, &out->step)) return false;
  if (out->step == 0) {
    rt.Fail("ValueError", "slice step cannot be zero");
    return false;
  }
  // So that the additions below cannot overflow.
  out->step = std::max(out->step, -std::numeric_limits<int64_t>::max());
  const bool down = out->step < 0;
  const int64_t low = down ? -1 : 0, high = down ? length - 1 : length;
  const auto resolve = [&](const Value& v, int64_t absent, int64_t* at) {
    if (!SliceIndex(rt, v, kMin, at)) return false;
    if (v.IsNone()) {
      *at = absent;
    } else {
      if (*at < 0) *at += length;
      *at = std::clamp(*at, low, high);
    }
    return true;
  };
  int64_t end = 0;
  if (!resolve(start, down ? high : low, &out->start)) return false;
  if (!resolve(stop, down ? low : high, &end)) return false;
  const int64_t span = down ? out->start - end : end - out->start;
  const int64_t stride = down ? -out->step : out->step;
  out->count = span > 0 ? static_cast<size_t>((span - 1) / stride + 1) : 0;
  return true;
}

Value SliceString(Runtime& rt, const StringObject& s, const SliceRange& range,
                  size_t chars) {
  const std::string_view text = s.text;
  if (range.step == 1) {
    const size_t first = static_cast<size_t>(range.start);
    const size_t begin = ByteOfChar(text, first);
    const size_t size = ByteOfChar(text.substr(begin), range.count);
    return rt.String(Substring(s, begin, begin + size));
  }
  std::vector<size_t> offsets;  // of the characters, and the end
  offsets.reserve(chars + 1);
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
      offsets.push_back(i);
    }
  }
  offsets.push_back(text.size());
  StringBuilder out;
  int64_t at = range.start;
  for (size_t i = 0; i < range.count; ++i) {
    const size_t index = static_cast<size_t>(at);
    out.Append(s, offsets[index], offsets[index + 1]);
    if (i + 1 < range.count) at += range.step;
  }
  return rt.String(out.Take(s.markup));
}

// The item at an integer index; null if out of range.
bool ItemAt(Runtime& rt, const Value& object, int64_t index, Value* out) {
  size_t length = 0;
  if (!Length(rt, object, &length)) return false;
  if (index < 0) index += static_cast<int64_t>(length);
  if (index < 0 || index >= static_cast<int64_t>(length)) return false;
  const size_t at = static_cast<size_t>(index);
  if (object.IsString()) {
    const StringObject& s = object.AsString();
    const size_t begin = ByteOfChar(s.text, at);
    const size_t size = DecodeUtf8(std::string_view(s.text).substr(begin)).size;
    *out = rt.String(Substring(s, begin, begin + size));
  } else if (object.type() == Type::kRange) {
    const auto& range = *object.As<RangeObject>();
    *out = Value::Int(range.start + index * range.step);
  } else {
    *out = object.AsList().items[at];
  }
  return true;
}

bool IsIndexable(const Value& object) {
  return object.IsString() || object.IsList() || object.IsTuple() ||
         object.type() == Type::kRange;
}

}  // namespace

Value GetAttribute(Runtime& rt, const Value& object, std::string_view name) {
  if (object.IsUndefined()) {
    // Python asks undefined for these, so it must not fail.
    if (name.size() > 3 && name.starts_with("__") && name.ends_with("__")) {
      return MissingAttribute(rt, object, name);
    }
    return rt.FailUndefined(object);
  }
  Value found;
  if (OwnAttribute(rt, object, name, &found)) return found;
  if (object.IsDict()) {
    if (const Value* value = object.AsDict().Find(name)) return *value;
  }
  return MissingAttribute(rt, object, name);
}

Value GetItem(Runtime& rt, const Value& object, const Value& key) {
  if (object.IsUndefined()) return rt.FailUndefined(object);
  if (object.IsDict()) {
    if (const Value* found = object.AsDict().Find(key)) return *found;
  }
  Value found;
  if (IsIndexable(object) && key.IsIntegral() &&
      ItemAt(rt, object, key.AsInt(), &found)) {
    return found;
  }
  if (rt.failed()) return {};
  if (key.IsString()) {
    if (OwnAttribute(rt, object, key.Text(), &found)) return found;
    return MissingAttribute(rt, object, key.Text());
  }
  return rt.Undefined(DescribeType(object) + " has no element " +
                      ReprForMessage(rt, key));
}

Value Slice(Runtime& rt, const Value& object, const Value& start,
            const Value& stop, const Value& step) {
  if (object.IsUndefined()) return rt.FailUndefined(object);
  if (!IsIndexable(object)) {
    // A slice goes past jinja2's lookup, which would give undefined.
    return rt.TypeError(
        Format("'%s' object is not subscriptable", TypeName(object)));
  }
  size_t length = 0;
  SliceRange range;
  if (!Length(rt, object, &length)) return {};
  if (!ResolveSlice(rt, start, stop, step, length, &range)) return {};
  if (object.IsString()) {
    return SliceString(rt, object.AsString(), range, length);
  }
  if (object.type() == Type::kRange) {
    const auto& from = *object.As<RangeObject>();
    auto* out = new RangeObject;
    if (range.count > 0) {
      out->start = from.start + range.start * from.step;
      // With two items or more the product is a distance inside of `from`.
      out->step = range.count > 1 ? from.step * range.step : 1;
      int64_t span = 0;
      if (__builtin_mul_overflow(static_cast<int64_t>(range.count), out->step,
                                 &span) ||
          __builtin_add_overflow(out->start, span, &out->stop)) {
        out->stop = out->step > 0 ? std::numeric_limits<int64_t>::max()
                                  : std::numeric_limits<int64_t>::min();
      }
    }
    return Value::Of(Type::kRange, out);
  }
  const std::vector<Value>& items = object.AsList().items;
  std::vector<Value> out;
  out.reserve(range.count);
  int64_t at = range.start;
  for (size_t i = 0; i < range.count; ++i) {
    out.push_back(items[static_cast<size_t>(at)]);
    if (i + 1 < range.count) at += range.step;
  }
  rt.Step(out.size());
  return rt.Sequence(object.type(), TypeName(object), std::move(out));
}

}  // namespace slm::jinja
