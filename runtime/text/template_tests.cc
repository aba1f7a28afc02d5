// SPDX-License-Identifier: MIT
// Tests: what stands after `is`.
#include "runtime/text/template_builtins.h"
#include "runtime/text/template_ops.h"
#include "runtime/text/template_print.h"
#include "runtime/text/template_strings.h"

namespace slm::jinja {
namespace {

using Type = Value::Type;

Value IsType(Call& call, Type type) {
  return Value::Bool(call.self.type() == type);
}
Value Defined(Call& call) { return Value::Bool(!call.self.IsUndefined()); }
Value Undefined(Call& call) { return IsType(call, Type::kUndefined); }
Value None(Call& call) { return IsType(call, Type::kNone); }
Value Boolean(Call& call) { return IsType(call, Type::kBool); }
Value Float(Call& call) { return IsType(call, Type::kFloat); }
Value String(Call& call) { return IsType(call, Type::kString); }
Value Mapping(Call& call) { return IsType(call, Type::kDict); }
Value True(Call& call) {
  return Value::Bool(call.self.IsBool() && call.self.AsBool());
}
Value False(Call& call) {
  return Value::Bool(call.self.IsBool() && !call.self.AsBool());
}
Value Integer(Call& call) {
  return Value::Bool(call.self.IsInt() || call.self.type() == Type::kBigInt);
}
Value Number(Call& call) { return Value::Bool(call.self.IsNumber()); }
Value Sequence(Call& call) {
  // Python: has a length and can be indexed.
  return Value::Bool(HasLength(call.self) && call.self.type() != Type::kView);
}
Value Iterable(Call& call) {
  return Value::Bool(IsIterable(call.self) || call.self.type() == Type::kLoop);
}
Value Callable(Call& call) {
  // Undefined has __call__, which fails.
  return Value::Bool(
      call.self.type() == Type::kCallable || call.self.type() == Type::kMacro ||
      call.self.type() == Type::kLoop || call.self.IsUndefined());
}
Value Escaped(Call& call) {
  return Value::Bool(call.self.IsString() && call.self.AsString().markup);
}

bool Remainder(Call& call, const Value& divisor, int64_t* out) {
  const Value rest = Binary(call.rt, Kind::kModulo, call.self, divisor);
  if (rest.IsFloat()) {
    *out = rest.AsFloat() == 0 ? 0 : rest.AsFloat() == 1 ? 1 : 2;
  } else {
    *out = rest.IsIntegral() ? rest.AsInt() : 2;
  }
  return !call.rt.failed();
}
Value Odd(Call& call) {
  int64_t rest = 0;
  Remainder(call, Value::Int(2), &rest);
  return Value::Bool(rest == 1);
}
Value Even(Call& call) {
  int64_t rest = 0;
  Remainder(call, Value::Int(2), &rest);
  return Value::Bool(rest == 0);
}
Value DivisibleBy(Call& call) {
  int64_t rest = 0;
  Remainder(call, call[0], &rest);
  return Value::Bool(rest == 0);
}

Value IsLowerText(Call& call) {
  const Value text = Str(call.rt, call.self);
  if (call.rt.failed()) return {};
  return RunBuiltin(call.rt, *FindMethod(text, "islower"), text, {}, {});
}
Value IsUpperText(Call& call) {
  const Value text = Str(call.rt, call.self);
  if (call.rt.failed()) return {};
  return RunBuiltin(call.rt, *FindMethod(text, "isupper"), text, {}, {});
}

Value CompareAs(Call& call, Comparison op) {
  return Value::Bool(CompareValues(call.rt, op, call.self, call[0]));
}
Value Eq(Call& call) { return CompareAs(call, Comparison::kEqual); }
Value Ne(Call& call) { return CompareAs(call, Comparison::kNotEqual); }
Value Lt(Call& call) { return CompareAs(call, Comparison::kLess); }
Value Le(Call& call) { return CompareAs(call, Comparison::kLessEqual); }
Value Gt(Call& call) { return CompareAs(call, Comparison::kGreater); }
Value Ge(Call& call) { return CompareAs(call, Comparison::kGreaterEqual); }
Value In(Call& call) { return CompareAs(call, Comparison::kIn); }

Value SameAs(Call& call) {
  const Value &a = call.self, &b = call[0];
  if (a.type() != b.type()) return Value::Bool(false);
  // Python shares small integers and equal short strings.
  if (!a.object() || a.IsString()) return Value::Bool(Equal(a, b));
  return Value::Bool(a.object() == b.object());
}
// Names are looked up in a dict, so they must be hashable.
Value IsFilter(Call& call) {
  if (!CheckHashable(call.rt, call.self)) return {};
  return Value::Bool(call.self.IsString() &&
                     FindFilter(call.self.Text(), /*extended=*/false));
}
Value IsTest(Call& call) {
  if (!CheckHashable(call.rt, call.self)) return {};
  return Value::Bool(call.self.IsString() && FindTest(call.self.Text()));
}

constexpr Builtin kTests[] = {
    {"!=", "other", Ne},
    {"<", "other", Lt},
    {"<=", "other", Le},
    {"==", "other", Eq},
    {">", "other", Gt},
    {">=", "other", Ge},
    {"boolean", "", Boolean},
    {"callable", "", Callable},
    {"defined", "", Defined},
    {"divisibleby", "num", DivisibleBy},
    {"eq", "other", Eq},
    {"equalto", "other", Eq},
    {"escaped", "", Escaped},
    {"even", "", Even},
    {"false", "", False},
    {"filter", "", IsFilter},
    {"float", "", Float},
    {"ge", "other", Ge},
    {"greaterthan", "other", Gt},
    {"gt", "other", Gt},
    {"in", "seq", In},
    {"integer", "", Integer},
    {"iterable", "", Iterable},
    {"le", "other", Le},
    {"lessthan", "other", Lt},
    {"lower", "", IsLowerText},
    {"lt", "other", Lt},
    {"mapping", "", Mapping},
    {"ne", "other", Ne},
    {"none", "", None},
    {"number", "", Number},
    {"odd", "", Odd},
    {"sameas", "other", SameAs},
    {"sequence", "", Sequence},
    {"string", "", String},
    {"test", "", IsTest},
    {"true", "", True},
    {"undefined", "", Undefined},
    {"upper", "", IsUpperText},
};

}  // namespace

const Builtin* FindTest(std::string_view name) { return FindIn(kTests, name); }

}  // namespace slm::jinja
