// SPDX-License-Identifier: MIT
#include "runtime/text/template_eval.h"

#include <algorithm>

#include "runtime/text/template_builtins.h"
#include "runtime/text/template_ops.h"
#include "runtime/text/template_print.h"

namespace slm::jinja {
namespace {

using Type = Value::Type;

// Levels of the evaluator's own recursion. The worst mixes take 600 bytes of
// stack a level, so 1500 stay under 1 MB; Python stops at 1000 frames.
constexpr int kMaxLevels = 1500;

enum class Flow : uint8_t { kNext, kBreak, kContinue };

class Evaluator {
 public:
  Evaluator(const Program& program, const Value& context,
            const TemplateDate& now, const TemplateLimits& limits,
            StringBuilder* out)
      : program_(program), rt_(limits, now), out_(out) {
    globals_.reserve(program.names.size());
    for (const std::string& name : program.names) {
      globals_.push_back(Global(name, context));
    }
  }
  ~Evaluator() {
    // What may refer to itself.
    for (const Value& value : rt_.namespaces()) {
      value.As<NamespaceObject>()->members.clear();
    }
    for (const Value& value : macros_) value.As<MacroObject>()->scope = {};
  }

  bool Run(TemplateError* error) {
    scope_ = Ref<Scope>(new Scope);
    Body(program_.body);
    if (rt_.failed()) *error = rt_.error();
    return !rt_.failed();
  }

 private:
  // --- names

  static Value Global(const std::string& name, const Value& context) {
    if (context.IsDict()) {
      if (const Value* found = context.AsDict().Find(name)) return *found;
    }
    if (const Builtin* function = FindFunction(name)) {
      auto* object = new CallableObject;
      object->builtin = function;
      return Value::Of(Type::kCallable, object);
    }
    auto* undefined = new UndefinedObject;
    undefined->message = "'" + name + "' is undefined";
    return Value::Of(Type::kUndefined, undefined);
  }
  const Value& Look(uint32_t name) const {
    for (const Scope* s = scope_.get(); s; s = s->parent.get()) {
      if (const Value* found = s->Find(name)) return *found;
    }
    return globals_[name];
  }
  // A scope within the current one, which it replaces while it lives.
  class Inner {
   public:
    explicit Inner(Evaluator* e) : Inner(e, e->scope_) {}
    Inner(Evaluator* e, Ref<Scope> around) : e_(e), outer_(e->scope_) {
      e->rt_.Charge(sizeof(Scope));
      e->scope_ = Ref<Scope>(new Scope);
      e->scope_->parent = std::move(around);
    }
    ~Inner() { e_->scope_ = std::move(outer_); }
    Inner(const Inner&) = delete;
    Inner& operator=(const Inner&) = delete;

   private:
    Evaluator* e_;
    Ref<Scope> outer_;
  };

  // --- bookkeeping

  // One level of recursion; gives a failure its place in the source.
  class Level {
   public:
    Level(Evaluator* e, const Node& node) : e_(e), node_(node) {
      if (++e->levels_ > kMaxLevels) {
        e->rt_.Fail("RecursionError",
                    "the template nests too deeply: recursion without end?");
      }
      e->rt_.Step();
    }
    ~Level() {
      --e_->levels_;
      TemplateError& error = e_->rt_.error();
      if (e_->rt_.failed() && !error.has_offset) {
        error.offset = node_.offset;
        error.has_offset = true;
      }
    }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Evaluator* e_;
    const Node& node_;
  };

  // Sends the output elsewhere while it lives.
  class Redirect {
   public:
    Redirect(Evaluator* e, StringBuilder* to) : e_(e), before_(e->out_) {
      e->out_ = to;
    }
    ~Redirect() { e_->out_ = before_; }
    Redirect(const Redirect&) = delete;
    Redirect& operator=(const Redirect&) = delete;

   private:
    Evaluator* e_;
    StringBuilder* before_;
  };
  void CheckOutput() {
    if (out_->size() > rt_.limits().max_output_bytes) {
      rt_.Fail("limit", Format("the output is longer than %zu bytes",
                               rt_.limits().max_output_bytes));
    }
  }

  // --- statements

  Flow Body(const std::vector<NodePtr>& body) {
    for (const NodePtr& node : body) {
      const Flow flow = Statement(*node);
      if (rt_.failed() || flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }
  Flow Statement(const Node& node) {
    const Level level(this, node);
    if (rt_.failed()) return Flow::kNext;
    switch (node.kind) {
      case Kind::kText:
        out_->Append(node.value.AsString());
        CheckOutput();
        break;
      case Kind::kPrint:
        Print(node);
        break;
      case Kind::kIf:
        return If(node);
      case Kind::kFor:
        For(node);
        break;
      case Kind::kSet:
        Assign(*node.kids[0], Eval(*node.kids[1]));
        break;
      case Kind::kSetBlock:
        return SetBlock(node);
      case Kind::kMacro:
        DefineMacro(node);
        break;
      case Kind::kCallBlock:
        CallBlock(node);
        break;
      case Kind::kFilterBlock:
        return FilterBlock(node);
      case Kind::kWith:
        return With(node);
      case Kind::kScope: {
        const Inner inner(this);
        return Body(node.body);
      }
      case Kind::kBreak:
        return Flow::kBreak;
      case Kind::kContinue:
        return Flow::kContinue;
      default:
        rt_.Fail("unsupported", "not a statement");
    }
    return Flow::kNext;
  }
  void Print(const Node& node) {
    const Value value = Eval(*node.kids[0]);
    if (rt_.failed()) return;
    AppendStr(rt_, value, out_);
    CheckOutput();
    if (value.IsString()) rt_.Step(value.Text().size() / 64);
  }
  Flow If(const Node& node) {
    for (const NodePtr& branch : node.kids) {
      const Node* test = branch->kids[0].get();
      const bool taken = !test || Truthy(Eval(*test));
      if (rt_.failed()) return Flow::kNext;
      if (taken) return Body(branch->body);
    }
    return Flow::kNext;
  }

  void Assign(const Node& target, Value value) {
    if (rt_.failed()) return;
    if (target.kind == Kind::kName) {
      scope_->Set(target.name, std::move(value));
      return;
    }
    if (target.kind == Kind::kNamespaceRef) {
      const Value& space = Look(target.name);
      if (space.type() != Type::kNamespace) {
        rt_.Fail("TemplateRuntimeError",
                 "cannot assign attribute on non-namespace object \"" +
                     target.text + "\"");
        return;
      }
      rt_.Charge(sizeof(Value));
      space.As<NamespaceObject>()->Set(target.attribute, std::move(value));
      return;
    }
    std::vector<Value> items;
    if (value.type() == Type::kUndefined || !Iterate(rt_, value, &items)) {
      rt_.TypeError(std::string("cannot unpack non-iterable ") +
                    TypeName(value) + " object");
      return;
    }
    if (items.size() != target.kids.size()) {
      rt_.Fail("ValueError", Format("cannot unpack %zu values into %zu names",
                                    items.size(), target.kids.size()));
      return;
    }
    for (size_t i = 0; i < items.size(); ++i) {
      Assign(*target.kids[i], std::move(items[i]));
    }
  }
  // The text of a body in a scope of its own.
  Value Capture(const std::vector<NodePtr>& body, Flow* flow) {
    StringBuilder text;
    {
      const Redirect redirect(this, &text);
      const Inner inner(this);
      *flow = Body(body);
    }
    if (rt_.failed()) return {};
    return rt_.String(text.Take());
  }
  Flow SetBlock(const Node& node) {
    Flow flow = Flow::kNext;
    Value text = Capture(node.body, &flow);
    if (rt_.failed() || flow != Flow::kNext) return flow;
    if (node.kids[1]) text = Filter(*node.kids[1], &text);
    Assign(*node.kids[0], std::move(text));
    return flow;
  }
  Flow FilterBlock(const Node& node) {
    Flow flow = Flow::kNext;
    const Value text = Capture(node.body, &flow);
    if (rt_.failed() || flow != Flow::kNext) return flow;
    const Value filtered = Filter(*node.kids[0], &text);
    if (rt_.failed()) return flow;
    AppendStr(rt_, filtered, out_);
    CheckOutput();
    return flow;
  }
  Flow With(const Node& node) {
    std::vector<Value> values;
    for (size_t i = 1; i < node.kids.size(); i += 2) {
      values.push_back(Eval(*node.kids[i]));
    }
    if (rt_.failed()) return Flow::kNext;
    const Inner inner(this);
    for (size_t i = 0; i < values.size(); ++i) {
      Assign(*node.kids[2 * i], std::move(values[i]));
    }
    return rt_.failed() ? Flow::kNext : Body(node.body);
  }

  void For(const Node& node) {
    const Value iterable = Eval(*node.kids[1]);
    if (!rt_.failed()) Loop(node, iterable, scope_, 0);
  }
  // The items that the loop's condition keeps.
  void FilterItems(const Node& node, std::vector<Value>* items) {
    std::vector<Value> kept;
    for (Value& item : *items) {
      const Inner inner(this);
      Assign(*node.kids[0], item);
      if (rt_.failed()) return;
      if (Truthy(Eval(*node.kids[2]))) kept.push_back(std::move(item));
      if (rt_.failed()) return;
    }
    items->swap(kept);
  }
  void Loop(const Node& node, const Value& iterable, Ref<Scope> around,
            size_t depth0) {
    std::vector<Value> items;
    if (!Iterate(rt_, iterable, &items)) return;
    const Inner outer(this, around);
    if (node.kids[2]) FilterItems(node, &items);
    if (rt_.failed() || !rt_.Charge(sizeof(LoopObject))) return;
    if (items.empty()) {
      Body(node.otherwise);
      return;
    }
    Ref<LoopObject> loop(new LoopObject);
    loop->node = &node;
    loop->scope = around;
    loop->items = std::move(items);
    loop->depth0 = depth0;
    loop->Retain();
    const Value loop_value = Value::Of(Type::kLoop, loop.get());
    for (size_t i = 0; i < loop->items.size(); ++i) {
      if (!rt_.Step()) return;
      loop->index0 = i;
      const Inner inner(this, around);
      scope_->Set(program_.loop_id, loop_value);
      Assign(*node.kids[0], loop->items[i]);
      if (rt_.failed()) return;
      if (Body(node.body) == Flow::kBreak || rt_.failed()) return;
    }
  }

  // --- macros

  Value MakeMacro(const Node& node, bool is_caller) {
    if (!rt_.Charge(sizeof(MacroObject))) return {};
    auto* macro = new MacroObject;
    macro->node = &node;
    macro->scope = scope_;
    macro->is_caller = is_caller;
    Value value = Value::Of(Type::kMacro, macro);
    macros_.push_back(value);
    return value;
  }
  void DefineMacro(const Node& node) {
    scope_->Set(node.name, MakeMacro(node, /*is_caller=*/false));
  }
  void CallBlock(const Node& node) {
    const Value caller = MakeMacro(node, /*is_caller=*/true);
    if (rt_.failed()) return;
    const Value result = CallNode(*node.kids[0], &caller);
    if (rt_.failed()) return;
    AppendStr(rt_, result, out_);
    CheckOutput();
  }
  Value CallMacro(const MacroObject& macro, std::vector<Value> args,
                  Keywords keywords) {
    if (macro_depth_ >= rt_.limits().max_depth) {
      return rt_.Fail("RecursionError",
                      Format("macro calls nest deeper than %zu levels",
                             rt_.limits().max_depth));
    }
    ++macro_depth_;
    StringBuilder text;
    {
      const Redirect redirect(this, &text);
      const Inner inner(this, macro.scope);
      if (BindMacro(macro, std::move(args), std::move(keywords))) {
        Body(macro.node->body);
      }
    }
    --macro_depth_;
    if (rt_.failed()) return {};
    return rt_.String(text.Take());
  }
  static bool TakeKeyword(Keywords* keywords, const std::string& name,
                          Value* out) {
    for (auto it = keywords->begin(); it != keywords->end(); ++it) {
      if (it->first == name) {
        *out = std::move(it->second);
        keywords->erase(it);
        return true;
      }
    }
    return false;
  }
  // Sets the parameters in the current scope.
  bool BindMacro(const MacroObject& macro, std::vector<Value> args,
                 Keywords keywords) {
    const Signature& s = *macro.node->signature;
    const size_t count = s.parameters.size();
    std::vector<bool> missing(count, false);
    bool explicit_caller = false;
    for (size_t i = 0; i < count; ++i) {
      const auto& [name, id] = s.parameters[i];
      explicit_caller |= id == program_.caller_id;
      Value value;
      if (i < args.size()) {
        value = args[i];
      } else {
        missing[i] = !TakeKeyword(&keywords, name, &value);
      }
      if (!missing[i]) scope_->Set(id, std::move(value));
    }
    // Defaults are evaluated in the macro, so they may use what is bound.
    const size_t first_default = count - s.defaults.size();
    for (size_t i = 0; i < count && !rt_.failed(); ++i) {
      if (!missing[i]) continue;
      const auto& [name, id] = s.parameters[i];
      scope_->Set(id, i < first_default ? rt_.Undefined("parameter '" + name +
                                                        "' was not provided")
                                        : Eval(*s.defaults[i - first_default]));
    }
    if (s.uses_caller && !explicit_caller) {
      Value caller;
      if (!TakeKeyword(&keywords, "caller", &caller)) {
        caller = rt_.Undefined("No caller defined");
      }
      scope_->Set(program_.caller_id, std::move(caller));
    }
    return BindRest(macro, std::move(args), std::move(keywords));
  }
  bool BindRest(const MacroObject& macro, std::vector<Value> args,
                Keywords keywords) {
    const Signature& s = *macro.node->signature;
    const size_t count = s.parameters.size();
    if (s.uses_kwargs) {
      scope_->Set(program_.kwargs_id, Value::Dict(std::move(keywords)));
    } else if (!keywords.empty()) {
      rt_.TypeError("macro '" + macro.name() + "' takes no keyword argument '" +
                    keywords[0].first + "'");
    }
    if (s.uses_varargs) {
      if (args.size() > count) {
        args.erase(args.begin(), args.begin() + static_cast<ptrdiff_t>(count));
      } else {
        args.clear();
      }
      scope_->Set(program_.varargs_id, rt_.Tuple(std::move(args)));
    } else if (args.size() > count) {
      rt_.TypeError(Format("macro '%s' takes not more than %zu argument(s)",
                           macro.name().c_str(), count));
    }
    return !rt_.failed();
  }

  // --- calls

  bool Arguments(const CallArguments& call, std::vector<Value>* args,
                 Keywords* keywords) {
    args->reserve(call.positional.size());
    for (const NodePtr& node : call.positional) {
      args->push_back(Eval(*node));
      if (rt_.failed()) return false;
    }
    for (const auto& [name, node] : call.named) {
      keywords->emplace_back(name, Eval(*node));
      if (rt_.failed()) return false;
    }
    if (call.star) {
      const Value more = Eval(*call.star);
      if (rt_.failed() || !Iterate(rt_, more, args)) return false;
    }
    if (call.star_star) {
      const Value more = Eval(*call.star_star);
      if (rt_.failed()) return false;
      if (!more.IsDict()) {
        rt_.TypeError("argument after ** must be a mapping");
        return false;
      }
      for (const auto& [key, value] : more.AsDict().members) {
        if (!key.IsString()) {
          rt_.TypeError("keywords must be strings");
          return false;
        }
        keywords->emplace_back(key.Text(), value);
      }
    }
    return true;
  }
  Value CallNode(const Node& node, const Value* caller) {
    const Value callee = Eval(*node.kids[0]);
    std::vector<Value> args;
    Keywords keywords;
    if (rt_.failed() || !Arguments(*node.call, &args, &keywords)) return {};
    if (caller) keywords.emplace_back("caller", *caller);
    switch (callee.type()) {
      case Type::kUndefined:
        return rt_.FailUndefined(callee);
      case Type::kMacro:
        return CallMacro(*callee.As<MacroObject>(), std::move(args),
                         std::move(keywords));
      case Type::kCallable: {
        auto* callable = callee.As<CallableObject>();
        return RunBuiltin(rt_, *callable->builtin, callable->self,
                          std::move(args), std::move(keywords), callable);
      }
      case Type::kLoop:
        return CallLoop(*callee.As<LoopObject>(), args);
      default:
        return rt_.TypeError(std::string("'") + TypeName(callee) +
                             "' object is not callable");
    }
  }
  // loop(items) of a recursive loop: its body over other items.
  Value CallLoop(const LoopObject& loop, const std::vector<Value>& args) {
    if (!loop.node->recursive) {
      return rt_.TypeError(
          "The loop must have the 'recursive' marker to be called "
          "recursively.");
    }
    if (args.size() != 1) {
      return rt_.TypeError("loop() takes one argument");
    }
    if (macro_depth_ >= rt_.limits().max_depth) {
      return rt_.Fail("RecursionError", "a recursive loop nests too deeply");
    }
    ++macro_depth_;
    StringBuilder text;
    {
      const Redirect redirect(this, &text);
      Loop(*loop.node, args[0], loop.scope, loop.depth0 + 1);
    }
    --macro_depth_;
    if (rt_.failed()) return {};
    return rt_.String(text.Take());
  }
  // A filter whose innermost operand is `block`, if that is not null.
  Value Filter(const Node& node, const Value* block) {
    const Level level(this, node);
    const Node* of = node.kids[0].get();
    if (rt_.failed()) return {};
    Value self;
    if (!of) {
      self = *block;
    } else if (block && of->kind == Kind::kFilter) {
      self = Filter(*of, block);
    } else {
      self = Eval(*of);
    }
    return Apply(node, std::move(self), "filter");
  }
  Value Apply(const Node& node, Value self, const char* what) {
    if (rt_.failed()) return {};
    if (!node.builtin) {
      return rt_.Fail("TemplateRuntimeError", std::string("unknown ") + what +
                                                  " \"" + node.text + "\"");
    }
    std::vector<Value> args;
    Keywords keywords;
    if (!Arguments(*node.call, &args, &keywords)) return {};
    return RunBuiltin(rt_, *node.builtin, std::move(self), std::move(args),
                      std::move(keywords));
  }

  // --- expressions

  Value Eval(const Node& node) {
    const Level level(this, node);
    if (rt_.failed()) return {};
    switch (node.kind) {
      case Kind::kConst:
        return node.value;
      case Kind::kName:
        return Look(node.name);
      case Kind::kList:
        return rt_.List(All(node));
      case Kind::kTuple:
        return rt_.Tuple(All(node));
      case Kind::kDict:
        return Dict(node);
      case Kind::kAttribute: {
        const Value of = Eval(*node.kids[0]);
        return rt_.failed() ? Value() : GetAttribute(rt_, of, node.text);
      }
      case Kind::kItem:
        return Item(node);
      case Kind::kCall:
        return CallNode(node, nullptr);
      case Kind::kFilter:
        return Filter(node, nullptr);
      case Kind::kTest:
        return Apply(node, Eval(*node.kids[0]), "test");
      case Kind::kNegate: {
        const Value of = Eval(*node.kids[0]);
        return rt_.failed() ? Value() : Negate(rt_, of);
      }
      case Kind::kPlus: {
        const Value of = Eval(*node.kids[0]);
        return rt_.failed() ? Value() : Plus(rt_, of);
      }
      case Kind::kNot:
        return Value::Bool(!Truthy(Eval(*node.kids[0])));
      case Kind::kAnd:
      case Kind::kOr: {
        Value left = Eval(*node.kids[0]);
        if (rt_.failed()) return {};
        if (Truthy(left) == (node.kind == Kind::kOr)) return left;
        return Eval(*node.kids[1]);
      }
      case Kind::kConcat:
        return Concat(node);
      case Kind::kCompare:
        return Compare(node);
      case Kind::kConditional:
        return Conditional(node);
      case Kind::kSlice:
        return rt_.Fail("unsupported", "a slice beside other subscripts");
      default:
        break;
    }
    const Value left = Eval(*node.kids[0]);
    if (rt_.failed()) return {};
    const Value right = Eval(*node.kids[1]);
    return rt_.failed() ? Value() : Binary(rt_, node.kind, left, right);
  }
  std::vector<Value> All(const Node& node) {
    std::vector<Value> items;
    items.reserve(node.kids.size());
    for (const NodePtr& kid : node.kids) {
      items.push_back(Eval(*kid));
      if (rt_.failed()) break;
    }
    return items;
  }
  Value Dict(const Node& node) {
    Ref<DictObject> dict(new DictObject);
    for (size_t i = 0; i < node.kids.size(); i += 2) {
      Value key = Eval(*node.kids[i]);
      if (rt_.failed()) return {};
      if (!CheckHashable(rt_, key)) return {};
      Value value = Eval(*node.kids[i + 1]);
      if (rt_.failed()) return {};
      dict->Set(std::move(key), std::move(value));
    }
    return rt_.Dict(std::move(dict));
  }
  Value Item(const Node& node) {
    const Value of = Eval(*node.kids[0]);
    if (rt_.failed()) return {};
    const Node& key = *node.kids[1];
    if (key.kind != Kind::kSlice) {
      const Value index = Eval(key);
      return rt_.failed() ? Value() : GetItem(rt_, of, index);
    }
    Value parts[3] = {Value::None(), Value::None(), Value::None()};
    for (size_t i = 0; i < 3; ++i) {
      if (key.kids[i]) parts[i] = Eval(*key.kids[i]);
      if (rt_.failed()) return {};
    }
    return Slice(rt_, of, parts[0], parts[1], parts[2]);
  }
  Value Concat(const Node& node) {
    StringBuilder out;
    for (const NodePtr& kid : node.kids) {
      const Value value = Eval(*kid);
      if (rt_.failed() || !AppendStr(rt_, value, &out)) return {};
    }
    return rt_.String(out.Take());
  }
  Value Compare(const Node& node) {
    Value left = Eval(*node.kids[0]);
    for (size_t i = 0; i < node.ops.size() && !rt_.failed(); ++i) {
      Value right = Eval(*node.kids[i + 1]);
      if (rt_.failed()) break;
      if (!CompareValues(rt_, node.ops[i], left, right)) {
        return Value::Bool(false);
      }
      left = std::move(right);
    }
    return rt_.failed() ? Value() : Value::Bool(true);
  }
  Value Conditional(const Node& node) {
    const bool holds = Truthy(Eval(*node.kids[0]));
    if (rt_.failed()) return {};
    if (holds) return Eval(*node.kids[1]);
    if (node.kids[2]) return Eval(*node.kids[2]);
    return rt_.Undefined(
        "the inline if-expression evaluated to false and no else section was "
        "defined.");
  }

  const Program& program_;
  Runtime rt_;
  StringBuilder* out_;
  Ref<Scope> scope_;
  std::vector<Value> globals_;  // by id of the name
  std::vector<Value> macros_;
  int levels_ = 0;
  size_t macro_depth_ = 0;
};

}  // namespace

const Value* Scope::Find(uint32_t name) const {
  for (const auto& [id, value] : names) {
    if (id == name) return &value;
  }
  return nullptr;
}

void Scope::Set(uint32_t name, Value value) {
  for (auto& [id, old] : names) {
    if (id == name) {
      old = std::move(value);
      return;
    }
  }
  names.emplace_back(name, std::move(value));
}

bool Evaluate(const Program& program, const Value& context,
              const TemplateDate& now, const TemplateLimits& limits,
              StringBuilder* out, TemplateError* error) {
  return Evaluator(program, context, now, limits, out).Run(error);
}

}  // namespace slm::jinja
