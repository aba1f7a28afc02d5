// SPDX-License-Identifier: MIT
#include "runtime/text/bigint.h"

#include <cstdlib>
#include <limits>
#include <utility>

#include "runtime/core/result.h"

namespace slm::jinja {
namespace {

constexpr uint32_t kBase = 1'000'000'000;

int CompareMagnitude(const BigInt& a, const BigInt& b) {
  if (a.digits.size() != b.digits.size()) {
    return a.digits.size() < b.digits.size() ? -1 : 1;
  }
  for (size_t i = a.digits.size(); i-- > 0;) {
    if (a.digits[i] != b.digits[i]) return a.digits[i] < b.digits[i] ? -1 : 1;
  }
  return 0;
}

void Trim(BigInt* a) {
  while (!a->digits.empty() && a->digits.back() == 0) a->digits.pop_back();
  if (a->digits.empty()) a->negative = false;
}

std::vector<uint32_t> AddMagnitude(const BigInt& a, const BigInt& b) {
  std::vector<uint32_t> sum;
  uint32_t carry = 0;
  for (size_t i = 0; i < a.digits.size() || i < b.digits.size() || carry; ++i) {
    if (i < a.digits.size()) carry += a.digits[i];
    if (i < b.digits.size()) carry += b.digits[i];
    sum.push_back(carry % kBase);
    carry /= kBase;
  }
  return sum;
}

// |a| - |b| for |a| >= |b|.
std::vector<uint32_t> SubtractMagnitude(const BigInt& a, const BigInt& b) {
  std::vector<uint32_t> difference;
  int64_t borrow = 0;
  for (size_t i = 0; i < a.digits.size(); ++i) {
    int64_t digit = static_cast<int64_t>(a.digits[i]) - borrow;
    if (i < b.digits.size()) digit -= b.digits[i];
    borrow = digit < 0;
    if (digit < 0) digit += kBase;
    difference.push_back(static_cast<uint32_t>(digit));
  }
  return difference;
}

}  // namespace

BigInt BigInt::From(int64_t i) {
  BigInt big;
  big.negative = i < 0;
  uint64_t magnitude = static_cast<uint64_t>(i);
  if (i < 0) magnitude = 0 - magnitude;
  for (; magnitude; magnitude /= kBase) {
    big.digits.push_back(static_cast<uint32_t>(magnitude % kBase));
  }
  return big;
}

bool BigInt::FitsInt64(int64_t* out) const {
  if (digits.size() > 3) return false;
  uint64_t magnitude = 0;
  for (size_t i = digits.size(); i-- > 0;) {
    if (__builtin_mul_overflow(magnitude, uint64_t{kBase}, &magnitude) ||
        __builtin_add_overflow(magnitude, uint64_t{digits[i]}, &magnitude)) {
      return false;
    }
  }
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  if (magnitude > kMax + (negative ? 1 : 0)) return false;
  *out = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
  return true;
}

double BigInt::ToDouble() const {
  return std::strtod(ToString().c_str(), nullptr);
}

std::string BigInt::ToString() const {
  if (digits.empty()) return "0";
  std::string text = negative ? "-" : "";
  text += Format("%u", digits.back());
  for (size_t i = digits.size() - 1; i-- > 0;)
    text += Format("%09u", digits[i]);
  return text;
}

int Compare(const BigInt& a, const BigInt& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  return a.negative ? -CompareMagnitude(a, b) : CompareMagnitude(a, b);
}

BigInt Add(const BigInt& a, const BigInt& b) {
  BigInt sum;
  if (a.negative == b.negative) {
    sum.digits = AddMagnitude(a, b);
    sum.negative = a.negative;
  } else if (CompareMagnitude(a, b) >= 0) {
    sum.digits = SubtractMagnitude(a, b);
    sum.negative = a.negative;
  } else {
    sum.digits = SubtractMagnitude(b, a);
    sum.negative = b.negative;
  }
  Trim(&sum);
  return sum;
}

BigInt Negate(BigInt a) {
  a.negative = !a.negative && !a.digits.empty();
  return a;
}

BigInt Multiply(const BigInt& a, const BigInt& b) {
  BigInt product;
  product.negative = a.negative != b.negative;
  product.digits.assign(a.digits.size() + b.digits.size(), 0);
  for (size_t i = 0; i < a.digits.size(); ++i) {
    uint64_t carry = 0;
    for (size_t j = 0; j < b.digits.size() || carry; ++j) {
      carry += product.digits[i + j];
      if (j < b.digits.size()) carry += uint64_t{a.digits[i]} * b.digits[j];
      product.digits[i + j] = static_cast<uint32_t>(carry % kBase);
      carry /= kBase;
    }
  }
  Trim(&product);
  return product;
}

Value ValueOf(BigInt number) {
  int64_t small = 0;
  if (number.FitsInt64(&small)) return Value::Int(small);
  auto* object = new BigIntObject;
  object->number = std::move(number);
  return Value::Of(Value::Type::kBigInt, object);
}

BigInt BigIntOf(const Value& value) {
  if (value.type() == Value::Type::kBigInt) {
    return value.As<BigIntObject>()->number;
  }
  return BigInt::From(value.AsInt());
}

}  // namespace slm::jinja
