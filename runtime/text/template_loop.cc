// SPDX-License-Identifier: MIT
// What templates see of a loop.
#include "runtime/text/template_builtins.h"
#include "runtime/text/template_eval.h"
#include "runtime/text/template_ops.h"

namespace slm::jinja {
namespace {

Value Cycle(Call& call) {
  if (call.args.empty()) return call.rt.TypeError("no items for cycling given");
  return call.args[call.self.As<LoopObject>()->index0 % call.args.size()];
}

Value Changed(Call& call) {
  auto* loop = call.self.As<LoopObject>();
  const Value now = Value::Tuple(call.args);
  const bool same =
      loop->has_changed && Equal(now, Value::Tuple(loop->changed));
  loop->has_changed = true;
  loop->changed = call.args;
  return Value::Bool(!same);
}

constexpr Builtin kLoopMethods[] = {
    {"changed", "*", Changed},
    {"cycle", "*", Cycle},
};

int64_t Signed(size_t n) { return static_cast<int64_t>(n); }

struct LoopRow {
  std::string_view name;
  Value (*get)(const LoopObject& loop);
};
constexpr LoopRow kLoopAttributes[] = {
    {"depth",
     [](const LoopObject& l) { return Value::Int(Signed(l.depth0 + 1)); }},
    {"depth0",
     [](const LoopObject& l) { return Value::Int(Signed(l.depth0)); }},
    {"first", [](const LoopObject& l) { return Value::Bool(l.index0 == 0); }},
    {"index",
     [](const LoopObject& l) { return Value::Int(Signed(l.index0 + 1)); }},
    {"index0",
     [](const LoopObject& l) { return Value::Int(Signed(l.index0)); }},
    {"last",
     [](const LoopObject& l) {
       return Value::Bool(l.index0 + 1 == l.items.size());
     }},
    {"length",
     [](const LoopObject& l) { return Value::Int(Signed(l.items.size())); }},
    {"revindex",
     [](const LoopObject& l) {
       return Value::Int(Signed(l.items.size() - l.index0));
     }},
    {"revindex0",
     [](const LoopObject& l) {
       return Value::Int(Signed(l.items.size() - l.index0 - 1));
     }},
};

}  // namespace

bool LoopAttribute(Runtime& rt, const Value& value, std::string_view name,
                   Value* out) {
  const auto& loop = *value.As<LoopObject>();
  for (const LoopRow& row : kLoopAttributes) {
    if (row.name == name) {
      *out = row.get(loop);
      return true;
    }
  }
  if (name == "previtem") {
    *out = loop.index0 > 0 ? loop.items[loop.index0 - 1]
                           : rt.Undefined("there is no previous item");
    return true;
  }
  if (name == "nextitem") {
    *out = loop.index0 + 1 < loop.items.size()
               ? loop.items[loop.index0 + 1]
               : rt.Undefined("there is no next item");
    return true;
  }
  const Builtin* method = FindIn(kLoopMethods, name);
  if (!method || !rt.Charge(sizeof(CallableObject))) return false;
  auto* bound = new CallableObject;
  bound->builtin = method;
  bound->self = value;
  *out = Value::Of(Value::Type::kCallable, bound);
  return true;
}

}  // namespace slm::jinja
