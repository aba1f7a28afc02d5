// SPDX-License-Identifier: MIT
// What a render carries: limits, the failure if there is one, and the date.
// Functions of the evaluator return Values; after a failure these are
// undefined and `failed()` is true, so callers may go on for a while but must
// not loop.
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_RUNTIME_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_RUNTIME_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/text/chat_template.h"
#include "runtime/text/template_error.h"
#include "runtime/text/value.h"

namespace slm::jinja {

struct Builtin;

// Depth of nested containers in a value; Python's own limit is near 1000.
inline constexpr uint32_t kMaxValueDepth = 500;

class Runtime {
 public:
  Runtime(const TemplateLimits& limits, const TemplateDate& now)
      : limits_(limits), now_(now) {}

  bool failed() const { return failed_; }
  TemplateError& error() { return error_; }
  const TemplateDate& now() const { return now_; }
  const TemplateLimits& limits() const { return limits_; }

  // The first failure counts. Returns undefined.
  Value Fail(const char* kind, std::string message);
  Value TypeError(std::string message) {
    return Fail("TypeError", std::move(message));
  }
  // Using an undefined value.
  Value FailUndefined(const Value& undefined);

  // Accounts for `count` units of work; false after a failure.
  bool Step(uint64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.max_steps) OverSteps();
    return !failed_;
  }
  // Accounts for memory (and the work of filling it).
  bool Charge(size_t bytes) {
    memory_ += bytes;
    if (memory_ > limits_.max_memory) OverMemory();
    return Step(bytes / 64);
  }

  // The value, charged for; undefined and a failure if it nests too deeply.
  Value List(std::vector<Value> items) {
    return Sequence(Value::Type::kList, "list", std::move(items));
  }
  Value Tuple(std::vector<Value> items) {
    return Sequence(Value::Type::kTuple, "tuple", std::move(items));
  }
  Value Iterator(const char* name, std::vector<Value> items) {
    return Sequence(Value::Type::kIterator, name, std::move(items));
  }
  Value Sequence(Value::Type type, const char* name, std::vector<Value> items);
  Value Dict(Ref<DictObject> dict);
  // Charged for.
  Value String(Value string);
  Value Undefined(std::string message, const char* kind = "UndefinedError");

  // A namespace may hold a cycle; the evaluator empties them at the end.
  std::vector<Value>& namespaces() { return namespaces_; }

 private:
  void OverSteps();
  void OverMemory();

  const TemplateLimits& limits_;
  const TemplateDate& now_;
  bool failed_ = false;
  TemplateError error_;
  uint64_t steps_ = 0;
  size_t memory_ = 0;
  std::vector<Value> namespaces_;
};

struct NamespaceObject : Object {
  std::vector<std::pair<std::string, Value>> members;
  const Value* Find(std::string_view name) const;
  void Set(const std::string& name, Value value);
};

// A function, a method bound to `self`, or an object that is called like one.
struct CallableObject : Object {
  const Builtin* builtin = nullptr;
  Value self;
  std::vector<Value> items;  // of a cycler
  size_t position = 0;       // of a cycler or joiner
};

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_RUNTIME_H_
