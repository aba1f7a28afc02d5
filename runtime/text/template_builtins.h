// SPDX-License-Identifier: MIT
// Filters, tests, methods and functions: sorted tables of rows.
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_BUILTINS_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_BUILTINS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/template_runtime.h"
#include "runtime/text/value.h"

namespace slm::jinja {

using Keywords = std::vector<std::pair<std::string, Value>>;

// A call of a builtin. `args` is by position; after Bind, arguments are found
// by the position of their parameter.
struct Call {
  Runtime& rt;
  const Builtin& builtin;
  Value self;  // what the filter, test or method is applied to
  std::vector<Value> args;
  Keywords keywords;
  CallableObject* callable = nullptr;  // of cyclers and joiners

  // Was parameter i given (and not None where `none_is_absent`)?
  bool Has(size_t i, bool none_is_absent = false) const {
    return i < given.size() && given[i] &&
           !(none_is_absent && args[i].IsNone());
  }
  const Value& operator[](size_t i) const { return args[i]; }
  // Converted arguments; a wrong type fails.
  int64_t Int(size_t i, int64_t absent);
  bool Bool(size_t i, bool absent) const;
  // Fills `args` in the order of the builtin's parameters.
  bool Bind();

  std::vector<bool> given;
};

struct Builtin {
  const char* name;
  // Names of the parameters; '?' behind one: optional. "*": any arguments,
  // left as they are. "/" in front: by position only.
  const char* parameters;
  Value (*run)(Call& call);  // null: Python has it, this does not
};

// nullptr if there is none.
const Builtin* FindFilter(std::string_view name, bool extended);
const Builtin* FindTest(std::string_view name);
const Builtin* FindFunction(std::string_view name);
// A method of the value's type.
const Builtin* FindMethod(const Value& self, std::string_view name);

// Binds the arguments and runs it.
Value RunBuiltin(Runtime& rt, const Builtin& builtin, Value self,
                 std::vector<Value> args, Keywords keywords,
                 CallableObject* callable = nullptr);

// Finds `name` in a table that is sorted by name.
template <size_t n>
const Builtin* FindIn(const Builtin (&table)[n], std::string_view name) {
  for (const Builtin& row : table) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_BUILTINS_H_
