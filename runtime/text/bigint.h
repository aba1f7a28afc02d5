// SPDX-License-Identifier: MIT
// Integers beyond 64 bits, as far as templates meet them: + - * **, comparing
// and printing. Division of such numbers is refused by the evaluator.
#ifndef SLM_RUNTIME_TEXT_BIGINT_H_
#define SLM_RUNTIME_TEXT_BIGINT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/text/value.h"

namespace slm::jinja {

struct BigInt {
  bool negative = false;
  std::vector<uint32_t> digits;  // base 10^9, lowest first, no leading zeros

  static BigInt From(int64_t i);
  bool FitsInt64(int64_t* out) const;
  double ToDouble() const;
  std::string ToString() const;
};

struct BigIntObject : Object {
  BigInt number;
};

// Python refuses to print more than 4300 digits; this is a little more, and
// also the largest size that arithmetic makes.
inline constexpr size_t kMaxBigDigits = 480;  // times nine decimal digits

int Compare(const BigInt& a, const BigInt& b);
BigInt Add(const BigInt& a, const BigInt& b);
BigInt Negate(BigInt a);
BigInt Multiply(const BigInt& a, const BigInt& b);

// kInt where it fits, else kBigInt.
Value ValueOf(BigInt number);
// Of a kInt, kBool or kBigInt.
BigInt BigIntOf(const Value& value);

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_BIGINT_H_
