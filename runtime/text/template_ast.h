// SPDX-License-Identifier: MIT
// The syntax tree of a chat template. One node type for statements and
// expressions; `kind` says which members count.
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_AST_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_AST_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/text/value.h"

namespace slm::jinja {

struct Builtin;

enum class Kind : uint8_t {
  // Expressions.
  kConst,      // value
  kName,       // name, text
  kList,       // kids
  kTuple,      // kids
  kDict,       // kids: key, value, key, value ...
  kAttribute,  // kids[0] . text
  kItem,       // kids[0] [ kids[1] ]
  kSlice,      // kids[0..2], each may be null
  kCall,       // kids[0] ( call )
  kFilter,     // kids[0] | text ( call ); kids[0] null in a filter block
  kTest,       // kids[0] is text ( call )
  kNegate,     // - kids[0]
  kPlus,       // + kids[0]
  kNot,        // not kids[0]
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kConcat,        // kids joined with ~
  kAnd,           // kids[0] and kids[1]
  kOr,            // kids[0] or kids[1]
  kCompare,       // kids[0] ops[0] kids[1] ops[1] kids[2] ...
  kConditional,   // kids[1] if kids[0] else kids[2] (which may be null)
  kNamespaceRef,  // text . attribute: a target of set only; name is text's
  // Statements.
  kText,         // value
  kPrint,        // kids[0]
  kIf,           // kids: branches
  kBranch,       // kids[0] test or null for else; body
  kFor,          // kids: target, iterable, filter or null; body; otherwise
  kSet,          // kids: target, expression
  kSetBlock,     // kids: target, filter or null; body
  kMacro,        // name, text, signature; body
  kCallBlock,    // kids[0] a kCall; signature; body
  kFilterBlock,  // kids[0] a kFilter; body
  kWith,         // kids: target, expression, target, expression ...; body
  kScope,        // body: a generation block
  kBreak,
  kContinue,
};

enum class Comparison : uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};

struct Node;
using NodePtr = std::unique_ptr<Node>;

struct CallArguments {
  std::vector<NodePtr> positional;
  std::vector<std::pair<std::string, NodePtr>> named;
  NodePtr star, star_star;
};

// Of a macro or a call block.
struct Signature {
  std::vector<std::pair<std::string, uint32_t>> parameters;  // and their ids
  std::vector<NodePtr> defaults;                             // of the last ones
  // Does the body ask for them?
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
};

struct Node {
  Kind kind;
  bool recursive = false;  // kFor
  uint32_t offset = 0;     // in the normalised source
  uint32_t name = 0;       // interned
  uint32_t height = 1;     // levels of nodes below and with this one
  Value value;
  std::string text;
  std::string attribute;
  std::vector<Comparison> ops;
  std::vector<NodePtr> kids;
  std::vector<NodePtr> body, otherwise;
  std::unique_ptr<CallArguments> call;
  std::unique_ptr<Signature> signature;
  const Builtin* builtin = nullptr;  // kFilter, kTest; null if unknown
};

// A parsed template.
struct Program {
  std::string name;
  std::string source;  // with '\n' line ends, without the last one
  std::vector<NodePtr> body;
  std::vector<std::string> names;  // by id
  uint32_t loop_id = 0, caller_id = 0, kwargs_id = 0, varargs_id = 0;
};

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_AST_H_
