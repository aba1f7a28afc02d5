// SPDX-License-Identifier: MIT
#include "runtime/text/template_ops.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/utf8.h"
#include "runtime/text/bigint.h"
#include "runtime/text/template_builtins.h"
#include "runtime/text/template_print.h"
#include "runtime/text/template_strings.h"

namespace slm::jinja {
namespace {

using Type = Value::Type;

const char* Symbol(Kind op) {
  switch (op) {
    case Kind::kAdd:
      return "+";
    case Kind::kSubtract:
      return "-";
    case Kind::kMultiply:
      return "*";
    case Kind::kDivide:
      return "/";
    case Kind::kFloorDivide:
      return "//";
    case Kind::kModulo:
      return "%";
    default:
      return "** or pow()";
  }
}

Value Unsupported(Runtime& rt, Kind op, const Value& a, const Value& b) {
  return rt.TypeError(
      Format("unsupported operand type(s) for %s: '%s' and '%s'", Symbol(op),
             TypeName(a), TypeName(b)));
}

double ToDouble(const Value& value) {
  if (value.IsFloat()) return value.AsFloat();
  if (value.IsIntegral()) return static_cast<double>(value.AsInt());
  return value.As<BigIntObject>()->number.ToDouble();
}

Value TooLarge(Runtime& rt) {
  return rt.Fail("OverflowError", "the number is too large");
}

Value CheckedBig(Runtime& rt, BigInt number) {
  if (number.digits.size() > kMaxBigDigits) return TooLarge(rt);
  rt.Charge(number.digits.size() * sizeof(uint32_t));
  return ValueOf(std::move(number));
}

Value IntPower(Runtime& rt, const Value& base, const Value& exponent) {
  if (!exponent.IsIntegral()) return TooLarge(rt);
  int64_t n = exponent.AsInt();
  if (n < 0) {
    if (!Truthy(base)) {
      return rt.Fail("ZeroDivisionError",
                     "0.0 cannot be raised to a negative power");
    }
    return Value::Float(std::pow(ToDouble(base), static_cast<double>(n)));
  }
  BigInt square = BigIntOf(base), result = BigInt::From(1);
  for (; n > 0 && !rt.failed(); n >>= 1) {
    if (n & 1) result = Multiply(result, square);
    if (n > 1) square = Multiply(square, square);
    rt.Step(1 + square.digits.size() * square.digits.size() / 64);
    if (result.digits.size() > kMaxBigDigits ||
        square.digits.size() > 2 * kMaxBigDigits) {
      return TooLarge(rt);
    }
  }
  return CheckedBig(rt, std::move(result));
}

// Rounds towards minus infinity, as Python does.
Value IntDivide(Runtime& rt, Kind op, const Value& a, const Value& b) {
  if (!Truthy(b)) {
    return rt.Fail("ZeroDivisionError", "integer division or modulo by zero");
  }
  if (a.type() == Type::kBigInt || b.type() == Type::kBigInt) {
    return rt.Fail("unsupported",
                   "// and % of integers beyond 64 bits are not supported");
  }
  const int64_t x = a.AsInt(), y = b.AsInt();
  if (y == -1) {  // INT64_MIN / -1 has no int64
    return op == Kind::kModulo ? Value::Int(0)
                               : ValueOf(Negate(BigInt::From(x)));
  }
  int64_t quotient = x / y, rest = x % y;
  if (rest != 0 && (rest < 0) != (y < 0)) {
    --quotient;
    rest += y;
  }
  return Value::Int(op == Kind::kModulo ? rest : quotient);
}

Value IntBinary(Runtime& rt, Kind op, const Value& a, const Value& b) {
  const bool small = a.IsIntegral() && b.IsIntegral();
  int64_t result = 0;
  switch (op) {
    case Kind::kAdd:
      if (small && !__builtin_add_overflow(a.AsInt(), b.AsInt(), &result)) {
        return Value::Int(result);
      }
      return CheckedBig(rt, Add(BigIntOf(a), BigIntOf(b)));
    case Kind::kSubtract:
      if (small && !__builtin_sub_overflow(a.AsInt(), b.AsInt(), &result)) {
        return Value::Int(result);
      }
      return CheckedBig(rt, Add(BigIntOf(a), Negate(BigIntOf(b))));
    case Kind::kMultiply:
      if (small && !__builtin_mul_overflow(a.AsInt(), b.AsInt(), &result)) {
        return Value::Int(result);
      }
      rt.Step(1000);  // two numbers of kMaxBigDigits: 230 k multiplications
      return CheckedBig(rt, Multiply(BigIntOf(a), BigIntOf(b)));
    case Kind::kDivide:
      if (!Truthy(b)) {
        return rt.Fail("ZeroDivisionError", "division by zero");
      }
      // Wider than double where the machine has it: int64 / int64 is then
      // rounded once, as Python does.
      if (small) {
        return Value::Float(
            static_cast<double>(static_cast<long double>(a.AsInt()) /
                                static_cast<long double>(b.AsInt())));
      }
      return Value::Float(ToDouble(a) / ToDouble(b));
    case Kind::kPower:
      return IntPower(rt, a, b);
    default:
      return IntDivide(rt, op, a, b);
  }
}

double FloorModulo(double x, double y) {
  double rest = std::fmod(x, y);
  if (rest != 0 && (rest < 0) != (y < 0)) rest += y;
  return rest == 0 ? std::copysign(0.0, y) : rest;
}

Value FloatBinary(Runtime& rt, Kind op, double x, double y) {
  switch (op) {
    case Kind::kAdd:
      return Value::Float(x + y);
    case Kind::kSubtract:
      return Value::Float(x - y);
    case Kind::kMultiply:
      return Value::Float(x * y);
    case Kind::kPower:
      if (x == 0 && y < 0) {
        return rt.Fail("ZeroDivisionError",
                       "0.0 cannot be raised to a negative power");
      }
      if (x < 0 && y != std::floor(y)) {
        return rt.Fail("unsupported", "complex numbers are not supported");
      }
      return Value::Float(std::pow(x, y));
    default:
      break;
  }
  if (y == 0) return rt.Fail("ZeroDivisionError", "float division by zero");
  if (op == Kind::kDivide) return Value::Float(x / y);
  const double rest = FloorModulo(x, y);
  if (op == Kind::kModulo) return Value::Float(rest);
  const double quotient = std::round((x - rest) / y);
  return Value::Float(quotient == 0 ? std::copysign(0.0, x / y) : quotient);
}

Value Concatenate(Runtime& rt, const Value& a, const Value& b) {
  if (a.IsString()) {
    if (!b.IsString()) {
      return rt.TypeError(
          Format("can only concatenate str (not \"%s\") to str", TypeName(b)));
    }
    const bool markup = a.AsString().markup || b.AsString().markup;
    const Value left = markup ? Escape(rt, a) : a;
    const Value right = markup ? Escape(rt, b) : b;
    if (rt.failed()) return {};
    StringBuilder out;
    out.Append(left.AsString());
    out.Append(right.AsString());
    return rt.String(out.Take(markup));
  }
  if (a.type() != b.type()) {
    return rt.TypeError(Format("can only concatenate %s (not \"%s\") to %s",
                               TypeName(a), TypeName(b), TypeName(a)));
  }
  std::vector<Value> items = a.AsList().items;
  items.insert(items.end(), b.AsList().items.begin(), b.AsList().items.end());
  return rt.Sequence(a.type(), TypeName(a), std::move(items));
}

Value Repeat(Runtime& rt, const Value& sequence, const Value& times) {
  const int64_t wanted = times.AsInt();
  const size_t n = wanted > 0 ? static_cast<size_t>(wanted) : 0;
  const size_t size = sequence.IsString() ? sequence.Text().size()
                                          : sequence.AsList().items.size();
  const size_t limit = rt.limits().max_memory;
  if (size && n > limit / size) {
    return rt.Fail("limit", "a repeated value takes too much memory");
  }
  if (!rt.Charge(size * n)) return {};
  if (sequence.IsString()) {
    StringBuilder out;
    for (size_t i = 0; i < n; ++i) out.Append(sequence.AsString());
    return rt.String(out.Take(sequence.AsString().markup));
  }
  if (!rt.Charge(size * n * sizeof(Value))) return {};
  const std::vector<Value>& items = sequence.AsList().items;
  std::vector<Value> out;
  out.reserve(size * n);
  for (size_t i = 0; i < n; ++i) {
    out.insert(out.end(), items.begin(), items.end());
  }
  return rt.Sequence(sequence.type(), TypeName(sequence), std::move(out));
}

bool IsSequence(const Value& v) {
  return v.IsString() || v.IsList() || v.IsTuple();
}

// -1, 0, 1; 2 where a NaN takes part.
int CompareNumbers(const Value& a, const Value& b) {
  if (a.IsIntegral() && b.IsIntegral()) {
    return a.AsInt() < b.AsInt() ? -1 : a.AsInt() > b.AsInt();
  }
  if (a.IsFloat() || b.IsFloat()) {
    const double x = ToDouble(a), y = ToDouble(b);
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
  }
  return Compare(BigIntOf(a), BigIntOf(b));
}

const char* Symbol(Comparison op) {
  constexpr const char* kSymbols[] = {
      "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kSymbols[static_cast<size_t>(op)];
}

bool Holds(Comparison op, int order) {
  switch (op) {
    case Comparison::kLess:
      return order == -1;
    case Comparison::kLessEqual:
      return order == -1 || order == 0;
    case Comparison::kGreater:
      return order == 1;
    default:
      return order == 1 || order == 0;
  }
}

bool Ordered(Runtime& rt, Comparison op, const Value& a, const Value& b) {
  if (!rt.Step()) return false;
  if (a.IsUndefined() || b.IsUndefined()) {
    rt.FailUndefined(a.IsUndefined() ? a : b);
    return false;
  }
  if (a.IsNumber() && b.IsNumber()) return Holds(op, CompareNumbers(a, b));
  if (a.IsString() && b.IsString()) {
    const int order = a.Text().compare(b.Text());
    return Holds(op, order < 0 ? -1 : order > 0);
  }
  if (a.type() == b.type() && (a.IsList() || a.IsTuple())) {
    const std::vector<Value>& x = a.AsList().items;
    const std::vector<Value>& y = b.AsList().items;
    size_t i = 0;
    while (i < x.size() && i < y.size() && Equal(x[i], y[i])) ++i;
    if (i < x.size() && i < y.size()) return Ordered(rt, op, x[i], y[i]);
    return Holds(op, x.size() < y.size() ? -1 : x.size() > y.size());
  }
  rt.TypeError(Format("'%s' not supported between instances of '%s' and '%s'",
                      Symbol(op), TypeName(a), TypeName(b)));
  return false;
}

}  // namespace

Value Binary(Runtime& rt, Kind op, const Value& a, const Value& b) {
  if (op == Kind::kModulo && a.IsString()) {
    return PercentFormat(rt, a.AsString(), b);
  }
  if (a.IsUndefined() || b.IsUndefined()) {
    return rt.FailUndefined(a.IsUndefined() ? a : b);
  }
  if (a.IsNumber() && b.IsNumber()) {
    if (a.IsFloat() || b.IsFloat()) {
      return FloatBinary(rt, op, ToDouble(a), ToDouble(b));
    }
    return IntBinary(rt, op, a, b);
  }
  if (op == Kind::kAdd && IsSequence(a)) return Concatenate(rt, a, b);
  if (op == Kind::kMultiply) {
    if (IsSequence(a) && b.IsIntegral()) return Repeat(rt, a, b);
    if (IsSequence(b) && a.IsIntegral()) return Repeat(rt, b, a);
  }
  return Unsupported(rt, op, a, b);
}

Value Negate(Runtime& rt, const Value& a) {
  if (a.IsUndefined()) return rt.FailUndefined(a);
  if (a.IsFloat()) return Value::Float(-a.AsFloat());
  if (a.IsNumber()) return ValueOf(Negate(BigIntOf(a)));
  return rt.TypeError(
      Format("bad operand type for unary -: '%s'", TypeName(a)));
}

Value Plus(Runtime& rt, const Value& a) {
  if (a.IsUndefined()) return rt.FailUndefined(a);
  if (a.IsBool()) return Value::Int(a.AsInt());
  if (a.IsNumber()) return a;
  return rt.TypeError(
      Format("bad operand type for unary +: '%s'", TypeName(a)));
}

bool CompareValues(Runtime& rt, Comparison op, const Value& a, const Value& b) {
  switch (op) {
    case Comparison::kEqual:
    case Comparison::kNotEqual:
      if (a.IsString() && b.IsString()) rt.Step(a.Text().size() / 64);
      if (a.IsList() || a.IsTuple()) rt.Step(a.AsList().items.size());
      if (a.IsDict()) rt.Step(a.AsDict().members.size());
      return Equal(a, b) == (op == Comparison::kEqual);
    case Comparison::kIn:
      return Contains(rt, b, a);
    case Comparison::kNotIn:
      return !Contains(rt, b, a);
    default:
      return Ordered(rt, op, a, b);
  }
}

bool Contains(Runtime& rt, const Value& container, const Value& item) {
  switch (container.type()) {
    case Type::kString:
      if (!item.IsString()) {
        rt.TypeError(
            Format("'in <string>' requires string as left operand, not %s",
                   TypeName(item)));
        return false;
      }
      rt.Step(container.Text().size() / 64);
      return container.Text().find(item.Text()) != std::string_view::npos;
    case Type::kDict:
      if (!CheckHashable(rt, item)) return false;
      return container.AsDict().Find(item) != nullptr;
    case Type::kList:
    case Type::kTuple:
    case Type::kView: {
      const std::vector<Value>& items = container.AsList().items;
      rt.Step(items.size());
      return std::any_of(items.begin(), items.end(),
                         [&](const Value& v) { return Equal(v, item); });
    }
    default:
      break;
  }
  if (!IsIterable(container)) {
    rt.TypeError(
        Format("argument of type '%s' is not iterable", TypeName(container)));
    return false;
  }
  std::vector<Value> items;
  if (!Iterate(rt, container, &items)) return false;
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& v) { return Equal(v, item); });
}

bool CheckHashable(Runtime& rt, const Value& value) {
  if (value.IsList() || value.IsDict() || value.type() == Type::kView) {
    rt.TypeError(Format("unhashable type: '%s'", TypeName(value)));
    return false;
  }
  if (!value.IsTuple()) return true;
  const std::vector<Value>& items = value.AsList().items;
  return std::all_of(items.begin(), items.end(), [&rt](const Value& item) {
    return CheckHashable(rt, item);
  });
}

bool IsIterable(const Value& value) {
  switch (value.type()) {
    case Type::kUndefined:
    case Type::kString:
    case Type::kList:
    case Type::kTuple:
    case Type::kDict:
    case Type::kRange:
    case Type::kView:
    case Type::kIterator:
      return true;
    default:
      return false;
  }
}

bool Iterate(Runtime& rt, const Value& value, std::vector<Value>* items) {
  switch (value.type()) {
    case Type::kUndefined:
      return true;
    case Type::kString: {
      const StringObject& s = value.AsString();
      for (size_t i = 0; i < s.text.size();) {
        const size_t size = DecodeUtf8(std::string_view(s.text).substr(i)).size;
        StringBuilder character;  // of markup, too, as a plain string
        character.Append(s, i, i + size);
        items->push_back(rt.String(character.Take()));
        if (rt.failed()) return false;
        i += size;
      }
      break;
    }
    case Type::kList:
    case Type::kTuple:
    case Type::kView:
      items->insert(items->end(), value.AsList().items.begin(),
                    value.AsList().items.end());
      break;
    case Type::kIterator: {
      auto* list = value.As<ListObject>();
      items->insert(items->end(), list->items.begin() + list->next,
                    list->items.end());
      list->next = list->items.size();
      break;
    }
    case Type::kDict:
      for (const auto& member : value.AsDict().members) {
        items->push_back(member.first);
      }
      break;
    case Type::kRange: {
      const auto& range = *value.As<RangeObject>();
      const int64_t size = range.size();
      for (int64_t i = 0; i < size; ++i) {
        items->push_back(Value::Int(range.start + i * range.step));
      }
      break;
    }
    default:
      rt.TypeError(Format("'%s' object is not iterable", TypeName(value)));
      return false;
  }
  rt.Step(items->size());
  return rt.Charge(items->size() * sizeof(Value));
}

bool HasLength(const Value& value) {
  return IsIterable(value) && value.type() != Type::kIterator;
}

bool Length(Runtime& rt, const Value& value, size_t* length) {
  *length = 0;
  switch (value.type()) {
    case Type::kUndefined:
      return true;
    case Type::kString:
      *length = CountChars(value.Text());
      return rt.Step(value.Text().size() / 64);
    case Type::kList:
    case Type::kTuple:
    case Type::kView:
      *length = value.AsList().items.size();
      return true;
    case Type::kDict:
      *length = value.AsDict().members.size();
      return true;
    case Type::kRange:
      *length = static_cast<size_t>(value.As<RangeObject>()->size());
      return true;
    case Type::kLoop:
      rt.TypeError("len() of a loop is not supported; use loop.length");
      return false;
    default:
      rt.TypeError(Format("object of type '%s' has no len()", TypeName(value)));
      return false;
  }
}

bool MergeSort(Runtime& rt, bool reverse, const std::vector<Value>& keys,
               std::vector<size_t>* order) {
  const size_t n = keys.size();
  std::vector<size_t> from(n), to(n);  // positions in keys
  for (size_t i = 0; i < n; ++i) from[i] = i;
  // Like Python's: reverse keeps equal items in their order.
  const auto before = [&](size_t a, size_t b) {
    return reverse ? Ordered(rt, Comparison::kLess, keys[a], keys[b])
                   : Ordered(rt, Comparison::kLess, keys[b], keys[a]);
  };
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t begin = 0; begin < n; begin += 2 * width) {
      const size_t middle = std::min(begin + width, n);
      const size_t end = std::min(begin + 2 * width, n);
      size_t a = begin, b = middle;
      for (size_t i = begin; i < end; ++i) {
        const bool take_b =
            a == middle || (b < end && before(from[a], from[b]));
        to[i] = take_b ? from[b++] : from[a++];
        if (rt.failed()) return false;
      }
    }
    from.swap(to);
  }
  std::vector<size_t> sorted(n);
  for (size_t i = 0; i < n; ++i) sorted[i] = (*order)[from[i]];
  order->swap(sorted);
  return !rt.failed();
}

}  // namespace slm::jinja
