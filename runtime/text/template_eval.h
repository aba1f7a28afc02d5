// SPDX-License-Identifier: MIT
// Walks the tree of a template and writes its text.
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_EVAL_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_EVAL_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/template_ast.h"
#include "runtime/text/template_runtime.h"
#include "runtime/text/template_strings.h"

namespace slm::jinja {

// Names that are set in one body; the names of the bodies around it are seen
// through `parent`.
struct Scope : Object {
  Ref<Scope> parent;
  std::vector<std::pair<uint32_t, Value>> names;

  const Value* Find(uint32_t name) const;
  void Set(uint32_t name, Value value);
};

// A macro, or the body of a call block.
struct MacroObject : Object {
  const Node* node = nullptr;
  Ref<Scope> scope;  // where it was defined
  bool is_caller = false;

  std::string name() const { return is_caller ? "caller" : node->text; }
};

struct LoopObject : Object {
  const Node* node = nullptr;
  Ref<Scope> scope;  // around the loop
  std::vector<Value> items;
  size_t index0 = 0;
  size_t depth0 = 0;  // of recursive loops
  bool has_changed = false;
  std::vector<Value> changed;  // what loop.changed saw last
};

// loop.name; false if there is no such attribute.
bool LoopAttribute(Runtime& rt, const Value& loop, std::string_view name,
                   Value* out);

// Renders into *out; false and *error on failure.
bool Evaluate(const Program& program, const Value& context,
              const TemplateDate& now, const TemplateLimits& limits,
              StringBuilder* out, TemplateError* error);

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_EVAL_H_
