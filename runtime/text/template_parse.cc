// SPDX-License-Identifier: MIT
#include "runtime/text/template_parse.h"

#include <algorithm>
#include <initializer_list>
#include <unordered_map>

#include "runtime/text/template_builtins.h"
#include "runtime/text/template_lex.h"

namespace slm::jinja {
namespace {

// Levels of nested nodes; the destructor and the evaluator recurse over them.
constexpr uint32_t kMaxHeight = 250;
// Levels of the parser's own recursion.
constexpr int kMaxNesting = 400;

using Names = std::initializer_list<std::string_view>;

struct BinaryOperator {
  std::string_view text;
  Kind kind;
};
constexpr BinaryOperator kAdditive[] = {{"+", Kind::kAdd},
                                        {"-", Kind::kSubtract}};
constexpr BinaryOperator kMultiplicative[] = {{"*", Kind::kMultiply},
                                              {"/", Kind::kDivide},
                                              {"//", Kind::kFloorDivide},
                                              {"%", Kind::kModulo}};
struct ComparisonOperator {
  std::string_view text;
  Comparison op;
};
constexpr ComparisonOperator kComparisons[] = {
    {"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual},
    {"<", Comparison::kLess},    {"<=", Comparison::kLessEqual},
    {">", Comparison::kGreater}, {">=", Comparison::kGreaterEqual}};

// Jinja's tags that chat templates have no use for.
constexpr std::string_view kRefusedTags[] = {
    "block", "extends",    "include", "import", "from",
    "print", "autoescape", "do",      "debug",  "trans"};

// A failed parse unwinds by null pointers; `failed_` tells it from an absent
// optional node.
class Parser {
 public:
  Parser(Program* program, TemplateError* error)
      : program_(program), error_(error) {}

  bool Run() {
    program_->loop_id = Intern("loop");
    program_->caller_id = Intern("caller");
    program_->kwargs_id = Intern("kwargs");
    program_->varargs_id = Intern("varargs");
    if (!Tokenize(program_->source, &tokens_, error_)) return false;
    program_->body = Statements({});
    return !failed_;
  }

 private:
  // --- tokens
  const Token& Current() const { return tokens_[at_]; }
  const Token& Look() const {
    return tokens_[std::min(at_ + 1, tokens_.size() - 1)];
  }
  void Next() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  bool IsType(TokenType type) const { return Current().type == type; }
  static bool Is(const Token& t, TokenType type, std::string_view text) {
    return t.type == type && t.text == text;
  }
  bool IsOperator(std::string_view text) const {
    return Is(Current(), TokenType::kOperator, text);
  }
  bool IsName(std::string_view text) const {
    return Is(Current(), TokenType::kName, text);
  }
  bool IsAnyName(Names names) const {
    return std::any_of(names.begin(), names.end(),
                       [this](std::string_view n) { return IsName(n); });
  }
  bool SkipOperator(std::string_view text) {
    if (!IsOperator(text)) return false;
    Next();
    return true;
  }
  bool SkipName(std::string_view text) {
    if (!IsName(text)) return false;
    Next();
    return true;
  }

  // --- failures
  NodePtr FailAt(size_t offset, std::string message,
                 const char* kind = "TemplateSyntaxError") {
    if (!failed_) {
      failed_ = true;
      *error_ = {kind, std::move(message), offset, true};
    }
    return nullptr;
  }
  NodePtr Fail(std::string message) {
    return FailAt(Current().offset, std::move(message));
  }
  bool Expect(TokenType type, std::string_view text, std::string_view what) {
    if (failed_) return false;
    if (Current().type == type && (text.empty() || Current().text == text)) {
      Next();
      return true;
    }
    if (Current().type == TokenType::kEnd) {
      Fail("unexpected end of template, expected '" + std::string(what) + "'.");
    } else {
      Fail("expected token '" + std::string(what) + "', got '" +
           Describe(Current()) + "'");
    }
    return false;
  }
  bool ExpectOperator(std::string_view text) {
    return Expect(TokenType::kOperator, text, text);
  }
  bool ExpectBlockEnd() {
    return Expect(TokenType::kBlockEnd, {}, "end of statement block");
  }
  // The text of a name.
  std::string ExpectName() {
    std::string text = IsType(TokenType::kName) ? Current().text : "";
    Expect(TokenType::kName, {}, "name");
    return text;
  }

  // --- nodes
  uint32_t Intern(const std::string& name) {
    const auto [found, is_new] =
        ids_.emplace(name, static_cast<uint32_t>(program_->names.size()));
    if (is_new) program_->names.push_back(name);
    return found->second;
  }
  NodePtr New(Kind kind, size_t offset) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->offset = static_cast<uint32_t>(offset);
    return node;
  }
  // Must be called for every child that can nest.
  void Adopt(Node* parent, const NodePtr& child) {
    if (!child) return;
    parent->height = std::max(parent->height, child->height + 1);
    if (parent->height > kMaxHeight) {
      FailAt(parent->offset, "nested deeper than 250 levels", "limit");
    }
  }
  void Add(Node* parent, NodePtr child) {
    Adopt(parent, child);
    parent->kids.push_back(std::move(child));
  }
  void AddBody(Node* parent, std::vector<NodePtr> body,
               std::vector<NodePtr>* where) {
    for (const NodePtr& child : body) Adopt(parent, child);
    *where = std::move(body);
  }
  NodePtr Binary(Kind kind, size_t offset, NodePtr left, NodePtr right) {
    if (failed_) return nullptr;
    NodePtr node = New(kind, offset);
    Add(node.get(), std::move(left));
    Add(node.get(), std::move(right));
    return node;
  }

  // Counts a level of recursion while it lives.
  class Level {
   public:
    explicit Level(Parser* parser) : parser_(parser) {
      if (++parser_->nesting_ > kMaxNesting) {
        parser_->FailAt(parser_->Current().offset,
                        "nested deeper than 400 levels", "limit");
      }
    }
    ~Level() { --parser_->nesting_; }

   private:
    Parser* parser_;
  };

  // --- expressions, from loose to tight
  NodePtr Expression(bool with_conditional = true) {
    const Level level(this);
    if (failed_) return nullptr;
    const size_t offset = Current().offset;
    NodePtr left = Or();
    while (with_conditional && !failed_ && SkipName("if")) {
      NodePtr node = New(Kind::kConditional, offset);
      Add(node.get(), Or());
      Add(node.get(), std::move(left));
      if (!failed_ && SkipName("else")) {
        Add(node.get(), Expression());
      } else {
        node->kids.push_back(nullptr);
      }
      left = std::move(node);
    }
    return failed_ ? nullptr : std::move(left);
  }
  NodePtr Or() {
    NodePtr left = And();
    while (!failed_ && IsName("or")) {
      const size_t offset = Current().offset;
      Next();
      left = Binary(Kind::kOr, offset, std::move(left), And());
    }
    return left;
  }
  NodePtr And() {
    NodePtr left = Not();
    while (!failed_ && IsName("and")) {
      const size_t offset = Current().offset;
      Next();
      left = Binary(Kind::kAnd, offset, std::move(left), Not());
    }
    return left;
  }
  NodePtr Not() {
    if (!IsName("not")) return Compare();
    const Level level(this);
    if (failed_) return nullptr;
    NodePtr node = New(Kind::kNot, Current().offset);
    Next();
    Add(node.get(), Not());
    return failed_ ? nullptr : std::move(node);
  }
  bool TakeComparison(Comparison* op) {
    for (const ComparisonOperator& c : kComparisons) {
      if (SkipOperator(c.text)) return *op = c.op, true;
    }
    if (SkipName("in")) return *op = Comparison::kIn, true;
    if (IsName("not") && Is(Look(), TokenType::kName, "in")) {
      Next();
      Next();
      return *op = Comparison::kNotIn, true;
    }
    return false;
  }
  NodePtr Compare() {
    NodePtr first = Additive();
    Comparison op;
    const size_t offset = Current().offset;
    if (failed_ || !TakeComparison(&op)) return first;
    NodePtr node = New(Kind::kCompare, offset);
    Add(node.get(), std::move(first));
    do {
      node->ops.push_back(op);
      Add(node.get(), Additive());
    } while (!failed_ && TakeComparison(&op));
    return failed_ ? nullptr : std::move(node);
  }
  template <size_t n>
  const BinaryOperator* FindOperator(const BinaryOperator (&table)[n]) const {
    for (const BinaryOperator& o : table) {
      if (IsOperator(o.text)) return &o;
    }
    return nullptr;
  }
  NodePtr Additive() {
    NodePtr left = Concat();
    while (!failed_) {
      const BinaryOperator* op = FindOperator(kAdditive);
      if (!op) break;
      const size_t offset = Current().offset;
      Next();
      left = Binary(op->kind, offset, std::move(left), Concat());
    }
    return left;
  }
  NodePtr Concat() {
    NodePtr first = Multiplicative();
    if (failed_ || !IsOperator("~")) return first;
    NodePtr node = New(Kind::kConcat, Current().offset);
    Add(node.get(), std::move(first));
    while (!failed_ && SkipOperator("~")) Add(node.get(), Multiplicative());
    return failed_ ? nullptr : std::move(node);
  }
  NodePtr Multiplicative() {
    NodePtr left = Power();
    while (!failed_) {
      const BinaryOperator* op = FindOperator(kMultiplicative);
      if (!op) break;
      const size_t offset = Current().offset;
      Next();
      left = Binary(op->kind, offset, std::move(left), Power());
    }
    return left;
  }
  NodePtr Power() {
    NodePtr left = Unary(/*with_filter=*/true);
    while (!failed_ && IsOperator("**")) {
      const size_t offset = Current().offset;
      Next();
      left = Binary(Kind::kPower, offset, std::move(left),
                    Unary(/*with_filter=*/true));
    }
    return left;
  }
  NodePtr Unary(bool with_filter) {
    const Level level(this);
    if (failed_) return nullptr;
    NodePtr node;
    if (IsOperator("-") || IsOperator("+")) {
      node =
          New(IsOperator("-") ? Kind::kNegate : Kind::kPlus, Current().offset);
      Next();
      Add(node.get(), Unary(/*with_filter=*/false));
    } else {
      node = Primary(/*with_namespace=*/false);
    }
    node = Postfix(std::move(node));
    if (with_filter) node = FilterExpression(std::move(node));
    return failed_ ? nullptr : std::move(node);
  }

  NodePtr Constant(Value value) {
    NodePtr node = New(Kind::kConst, Current().offset);
    node->value = std::move(value);
    Next();
    return node;
  }
  NodePtr Primary(bool with_namespace) {
    if (failed_) return nullptr;
    const Token& token = Current();
    switch (token.type) {
      case TokenType::kName:
        return NameOrLiteral(with_namespace);
      case TokenType::kString: {
        NodePtr node = New(Kind::kConst, token.offset);
        std::string text;
        for (; IsType(TokenType::kString); Next()) text += Current().text;
        node->value = Value::String(std::move(text));
        return node;
      }
      case TokenType::kInteger:
      case TokenType::kFloat:
        return Constant(token.number);
      default:
        break;
    }
    if (SkipOperator("(")) {
      NodePtr node = Tuple({.in_parentheses = true});
      ExpectOperator(")");
      return failed_ ? nullptr : std::move(node);
    }
    if (IsOperator("[")) return ListLiteral();
    if (IsOperator("{")) return DictLiteral();
    return Fail("unexpected '" + Describe(token) + "'");
  }
  NodePtr NameOrLiteral(bool with_namespace) {
    const std::string& text = Current().text;
    if (text == "true" || text == "True") return Constant(Value::Bool(true));
    if (text == "false" || text == "False") return Constant(Value::Bool(false));
    if (text == "none" || text == "None") return Constant(Value::None());
    NodePtr node = New(Kind::kName, Current().offset);
    node->text = text;
    node->name = Intern(text);
    used_names_.push_back(node->name);
    Next();
    if (with_namespace && SkipOperator(".")) {
      node->kind = Kind::kNamespaceRef;
      node->attribute = ExpectName();
    }
    return node;
  }
  NodePtr ListLiteral() {
    NodePtr node = New(Kind::kList, Current().offset);
    ExpectOperator("[");
    while (!failed_ && !IsOperator("]")) {
      if (!node->kids.empty() && !ExpectOperator(",")) break;
      if (IsOperator("]")) break;
      Add(node.get(), Expression());
    }
    ExpectOperator("]");
    return failed_ ? nullptr : std::move(node);
  }
  NodePtr DictLiteral() {
    NodePtr node = New(Kind::kDict, Current().offset);
    ExpectOperator("{");
    while (!failed_ && !IsOperator("}")) {
      if (!node->kids.empty() && !ExpectOperator(",")) break;
      if (IsOperator("}")) break;
      Add(node.get(), Expression());
      if (!ExpectOperator(":")) break;
      Add(node.get(), Expression());
    }
    ExpectOperator("}");
    return failed_ ? nullptr : std::move(node);
  }

  struct TupleRules {
    bool simplified = false;  // names and literals only
    bool with_conditional = true;
    bool in_parentheses = false;
    bool with_namespace = false;
    std::string_view end_name = {};  // a name that ends it, too
  };
  bool IsTupleEnd(const TupleRules& rules) const {
    return IsType(TokenType::kVariableEnd) || IsType(TokenType::kBlockEnd) ||
           IsOperator(")") ||
           (!rules.end_name.empty() && IsName(rules.end_name));
  }
  // A tuple, or one expression if there is no comma.
  NodePtr Tuple(const TupleRules& rules) {
    const Level level(this);
    if (failed_) return nullptr;
    NodePtr node = New(Kind::kTuple, Current().offset);
    bool is_tuple = false;
    while (!failed_) {
      if (!node->kids.empty() && !ExpectOperator(",")) break;
      if (IsTupleEnd(rules)) break;
      Add(node.get(), rules.simplified ? Primary(rules.with_namespace)
                                       : Expression(rules.with_conditional));
      if (!IsOperator(",")) break;
      is_tuple = true;
    }
    if (failed_) return nullptr;
    if (is_tuple) return node;
    if (!node->kids.empty()) return std::move(node->kids[0]);
    if (rules.in_parentheses) return node;
    return Fail("Expected an expression, got '" + Describe(Current()) + "'");
  }

  NodePtr Postfix(NodePtr node) {
    while (!failed_) {
      if (IsOperator(".") || IsOperator("[")) {
        node = Subscript(std::move(node));
      } else if (IsOperator("(")) {
        node = Call(std::move(node));
      } else {
        break;
      }
    }
    return node;
  }
  NodePtr FilterExpression(NodePtr node) {
    while (!failed_) {
      if (IsOperator("|")) {
        Next();
        node = Filter(std::move(node));
      } else if (IsName("is")) {
        node = Test(std::move(node));
      } else if (IsOperator("(")) {
        node = Call(std::move(node));
      } else {
        break;
      }
    }
    return node;
  }
  NodePtr Subscript(NodePtr of) {
    const size_t offset = Current().offset;
    if (SkipOperator(".")) {
      if (IsType(TokenType::kName)) {
        NodePtr node = New(Kind::kAttribute, offset);
        node->text = Current().text;
        node->value = Value::String(Current().text);
        Next();
        Add(node.get(), std::move(of));
        return node;
      }
      if (!IsType(TokenType::kInteger)) return Fail("expected name or number");
      return Binary(Kind::kItem, offset, std::move(of),
                    Constant(Current().number));
    }
    Next();
    NodePtr all = New(Kind::kTuple, offset);
    while (!failed_ && !IsOperator("]")) {
      if (!all->kids.empty() && !ExpectOperator(",")) break;
      Add(all.get(), Subscribed());
    }
    ExpectOperator("]");
    if (failed_) return nullptr;
    if (all->kids.size() == 1) all = std::move(all->kids[0]);
    return Binary(Kind::kItem, offset, std::move(of), std::move(all));
  }
  NodePtr Subscribed() {
    const size_t offset = Current().offset;
    NodePtr first;
    if (!IsOperator(":")) {
      first = Expression();
      if (failed_ || !IsOperator(":")) return first;
    }
    NodePtr node = New(Kind::kSlice, offset);
    Add(node.get(), std::move(first));
    for (int i = 0; i < 2 && !failed_; ++i) {
      const bool has = SkipOperator(":") && !IsOperator(":") &&
                       !IsOperator("]") && !IsOperator(",");
      Add(node.get(), has ? Expression() : nullptr);
    }
    return failed_ ? nullptr : std::move(node);
  }

  std::unique_ptr<CallArguments> Arguments(Node* owner) {
    auto out = std::make_unique<CallArguments>();
    const size_t offset = Current().offset;
    const auto ensure = [&](bool valid) {
      if (!valid) FailAt(offset, "invalid syntax for function call expression");
    };
    ExpectOperator("(");
    for (bool first = true; !failed_ && !IsOperator(")"); first = false) {
      if (!first && !ExpectOperator(",")) break;
      if (IsOperator(")")) break;
      if (SkipOperator("*")) {
        ensure(!out->star && !out->star_star);
        out->star = Expression();
        Adopt(owner, out->star);
      } else if (SkipOperator("**")) {
        ensure(!out->star_star);
        out->star_star = Expression();
        Adopt(owner, out->star_star);
      } else if (IsType(TokenType::kName) &&
                 Is(Look(), TokenType::kOperator, "=")) {
        ensure(!out->star_star);
        std::string key = Current().text;
        Next();
        Next();
        for (const auto& named : out->named) {
          if (named.first == key) Fail("keyword argument repeated: " + key);
        }
        out->named.emplace_back(std::move(key), Expression());
        Adopt(owner, out->named.back().second);
      } else {
        ensure(!out->star && !out->star_star && out->named.empty());
        out->positional.push_back(Expression());
        Adopt(owner, out->positional.back());
      }
    }
    ExpectOperator(")");
    return out;
  }
  NodePtr Call(NodePtr callee) {
    NodePtr node = New(Kind::kCall, callee->offset);
    Add(node.get(), std::move(callee));
    node->call = Arguments(node.get());
    return failed_ ? nullptr : std::move(node);
  }
  // The name after "|" or "is", which may have dots.
  std::string DottedName() {
    std::string name = ExpectName();
    while (!failed_ && SkipOperator(".")) name += "." + ExpectName();
    return name;
  }
  NodePtr Filter(NodePtr of) {
    NodePtr node = New(Kind::kFilter, Current().offset);
    node->text = DottedName();
    Add(node.get(), std::move(of));
    if (!failed_ && IsOperator("(")) {
      node->call = Arguments(node.get());
    } else {
      node->call = std::make_unique<CallArguments>();
    }
    return failed_ ? nullptr : std::move(node);
  }
  NodePtr Test(NodePtr of) {
    Next();  // is
    const size_t offset = Current().offset;
    const bool negated = SkipName("not");
    NodePtr node = New(Kind::kTest, Current().offset);
    node->text = DottedName();
    Add(node.get(), std::move(of));
    node->call = std::make_unique<CallArguments>();
    if (failed_) return nullptr;
    const bool has_argument =
        IsType(TokenType::kName) || IsType(TokenType::kString) ||
        IsType(TokenType::kInteger) || IsType(TokenType::kFloat) ||
        IsOperator("[") || IsOperator("{");
    if (IsOperator("(")) {
      node->call = Arguments(node.get());
    } else if (has_argument && !IsAnyName({"else", "or", "and"})) {
      if (IsName("is")) return Fail("You cannot chain multiple tests with is");
      node->call->positional.push_back(Postfix(Primary(false)));
      Adopt(node.get(), node->call->positional.back());
    }
    if (failed_) return nullptr;
    if (!negated) return node;
    NodePtr inverse = New(Kind::kNot, offset);
    Add(inverse.get(), std::move(node));
    return inverse;
  }

  // --- statements
  // Up to a tag in `ends`, whose name is then current (or to the end).
  std::vector<NodePtr> Statements(Names ends) {
    std::vector<NodePtr> body;
    const Level level(this);
    const size_t opened = at_;
    while (!failed_ && !IsType(TokenType::kEnd)) {
      if (IsType(TokenType::kData)) {
        NodePtr node = New(Kind::kText, Current().offset);
        node->value = Value::String(Current().text);
        body.push_back(std::move(node));
        Next();
      } else if (IsType(TokenType::kVariableBegin)) {
        NodePtr node = New(Kind::kPrint, Current().offset);
        Next();
        Add(node.get(), Tuple({}));
        Expect(TokenType::kVariableEnd, {}, "end of print statement");
        body.push_back(std::move(node));
      } else {
        Next();  // {%
        if (IsAnyName(ends)) return body;
        body.push_back(Statement(ends));
        ExpectBlockEnd();
      }
    }
    if (!failed_ && ends.size()) {
      FailAt(tokens_[opened].offset, EndMessage(ends));
    }
    return body;
  }
  static std::string Wanted(Names ends) {
    std::string text = "Jinja was looking for the following tags: ";
    size_t i = 0;
    for (std::string_view end : ends) {
      text += (i++ ? " or '" : "'") + std::string(end) + "'";
    }
    return text + ".";
  }
  static std::string EndMessage(Names ends) {
    return "Unexpected end of template. " + Wanted(ends);
  }
  // "%}" of the opening tag, the body, and the name of the tag that ends it.
  std::vector<NodePtr> Body(Names ends) {
    SkipOperator(":");
    ExpectBlockEnd();
    if (failed_) return {};
    return Statements(ends);
  }
  // Body with one possible end.
  void BodyTo(std::string_view end, Node* node) {
    AddBody(node, Body({end}), &node->body);
    if (!failed_) Next();
  }

  NodePtr Statement(Names ends) {
    struct Tag {
      std::string_view name;
      NodePtr (Parser::*parse)();
    };
    static constexpr Tag kTags[] = {
        {"for", &Parser::For},
        {"if", &Parser::If},
        {"set", &Parser::Set},
        {"macro", &Parser::Macro},
        {"call", &Parser::CallBlock},
        {"filter", &Parser::FilterBlock},
        {"with", &Parser::With},
        {"generation", &Parser::Generation},
        {"break", &Parser::BreakOrContinue},
        {"continue", &Parser::BreakOrContinue},
    };
    if (!IsType(TokenType::kName)) return Fail("tag name expected");
    for (const Tag& tag : kTags) {
      if (IsName(tag.name)) return (this->*tag.parse)();
    }
    const std::string name = Current().text;
    for (std::string_view refused : kRefusedTags) {
      if (name == refused) {
        return FailAt(Current().offset,
                      "tag \"" + name + "\" is not supported in chat templates",
                      "unsupported");
      }
    }
    std::string message = "Encountered unknown tag '" + name + "'.";
    if (ends.size()) message += " " + Wanted(ends);
    return Fail(std::move(message));
  }

  NodePtr Target(const TupleRules& rules) {
    NodePtr target = Tuple(rules);
    if (!failed_) CheckTarget(*target);
    return target;
  }
  void CheckTarget(const Node& target) {
    if (target.kind == Kind::kTuple) {
      for (const NodePtr& kid : target.kids) CheckTarget(*kid);
    } else if (target.kind != Kind::kName &&
               target.kind != Kind::kNamespaceRef) {
      FailAt(target.offset, "can't assign to this expression");
    }
  }
  static bool Assigns(const Node& target, std::string_view name) {
    if (target.kind == Kind::kName) return target.text == name;
    return std::any_of(
        target.kids.begin(), target.kids.end(),
        [name](const NodePtr& kid) { return Assigns(*kid, name); });
  }

  NodePtr For() {
    NodePtr node = New(Kind::kFor, Current().offset);
    Next();
    Add(node.get(), Target({.simplified = true, .end_name = "in"}));
    if (!failed_ && Assigns(*node->kids[0], "loop")) {
      FailAt(node->kids[0]->offset,
             "Can't assign to special loop variable in for-loop target");
    }
    Expect(TokenType::kName, "in", "in");
    Add(node.get(),
        Tuple({.with_conditional = false, .end_name = "recursive"}));
    const bool filtered = !failed_ && SkipName("if");
    Add(node.get(), filtered ? Expression() : nullptr);
    node->recursive = !failed_ && SkipName("recursive");
    ++loops_;
    AddBody(node.get(), Body({"endfor", "else"}), &node->body);
    --loops_;
    if (failed_) return nullptr;
    if (SkipName("else")) {
      AddBody(node.get(), Body({"endfor"}), &node->otherwise);
    }
    Next();
    return failed_ ? nullptr : std::move(node);
  }
  NodePtr If() {
    NodePtr node = New(Kind::kIf, Current().offset);
    Next();
    for (bool more = true; more && !failed_;) {
      NodePtr branch = New(Kind::kBranch, Current().offset);
      Add(branch.get(), Tuple({.with_conditional = false}));
      AddBody(branch.get(), Body({"elif", "else", "endif"}), &branch->body);
      Add(node.get(), std::move(branch));
      more = !failed_ && SkipName("elif");
    }
    if (!failed_ && SkipName("else")) {
      NodePtr branch = New(Kind::kBranch, Current().offset);
      branch->kids.push_back(nullptr);
      AddBody(branch.get(), Body({"endif"}), &branch->body);
      Add(node.get(), std::move(branch));
    }
    if (failed_) return nullptr;
    Next();
    return node;
  }
  NodePtr Set() {
    NodePtr node = New(Kind::kSet, Current().offset);
    Next();
    Add(node.get(), Target({.simplified = true, .with_namespace = true}));
    if (failed_) return nullptr;
    if (SkipOperator("=")) {
      Add(node.get(), Tuple({}));
      return failed_ ? nullptr : std::move(node);
    }
    node->kind = Kind::kSetBlock;
    NodePtr filter;
    while (!failed_ && SkipOperator("|")) filter = Filter(std::move(filter));
    Add(node.get(), std::move(filter));
    BodyTo("endset", node.get());
    return failed_ ? nullptr : std::move(node);
  }

  std::unique_ptr<Signature> ParseSignature(Node* owner) {
    auto out = std::make_unique<Signature>();
    ExpectOperator("(");
    while (!failed_ && !IsOperator(")")) {
      if (!out->parameters.empty() && !ExpectOperator(",")) break;
      const std::string name = ExpectName();
      out->parameters.emplace_back(name, Intern(name));
      if (!failed_ && SkipOperator("=")) {
        out->defaults.push_back(Expression());
        Adopt(owner, out->defaults.back());
      } else if (!out->defaults.empty()) {
        Fail("non-default argument follows default argument");
      }
    }
    ExpectOperator(")");
    return out;
  }
  // The body of a macro or call block; finds out which special names it uses.
  void MacroBody(std::string_view end, Node* node) {
    const int loops = std::exchange(loops_, 0);
    std::vector<uint32_t> outer;
    outer.swap(used_names_);
    BodyTo(end, node);
    const auto used = [this](uint32_t id) {
      return std::find(used_names_.begin(), used_names_.end(), id) !=
             used_names_.end();
    };
    node->signature->uses_caller = used(program_->caller_id);
    node->signature->uses_kwargs = used(program_->kwargs_id);
    node->signature->uses_varargs = used(program_->varargs_id);
    outer.insert(outer.end(), used_names_.begin(), used_names_.end());
    outer.swap(used_names_);
    loops_ = loops;
  }
  NodePtr Macro() {
    NodePtr node = New(Kind::kMacro, Current().offset);
    Next();
    node->text = ExpectName();
    node->name = Intern(node->text);
    node->signature = ParseSignature(node.get());
    MacroBody("endmacro", node.get());
    return failed_ ? nullptr : std::move(node);
  }
  NodePtr CallBlock() {
    NodePtr node = New(Kind::kCallBlock, Current().offset);
    Next();
    if (IsOperator("(")) {
      node->signature = ParseSignature(node.get());
    } else {
      node->signature = std::make_unique<Signature>();
    }
    Add(node.get(), Expression());
    if (!failed_ && node->kids[0]->kind != Kind::kCall) {
      FailAt(node->offset, "expected call");
    }
    MacroBody("endcall", node.get());
    return failed_ ? nullptr : std::move(node);
  }
  NodePtr FilterBlock() {
    NodePtr node = New(Kind::kFilterBlock, Current().offset);
    Next();
    NodePtr filter = Filter(nullptr);
    while (!failed_ && SkipOperator("|")) filter = Filter(std::move(filter));
    Add(node.get(), std::move(filter));
    BodyTo("endfilter", node.get());
    return failed_ ? nullptr : std::move(node);
  }
  NodePtr With() {
    NodePtr node = New(Kind::kWith, Current().offset);
    Next();
    while (!failed_ && !IsType(TokenType::kBlockEnd)) {
      if (!node->kids.empty() && !ExpectOperator(",")) break;
      Add(node.get(), Target({.simplified = true}));
      ExpectOperator("=");
      Add(node.get(), Expression());
    }
    BodyTo("endwith", node.get());
    return failed_ ? nullptr : std::move(node);
  }
  NodePtr Generation() {
    NodePtr node = New(Kind::kScope, Current().offset);
    Next();
    const int loops = std::exchange(loops_, 0);
    BodyTo("endgeneration", node.get());
    loops_ = loops;
    return failed_ ? nullptr : std::move(node);
  }
  NodePtr BreakOrContinue() {
    NodePtr node =
        New(IsName("break") ? Kind::kBreak : Kind::kContinue, Current().offset);
    if (!loops_) return Fail("'" + Current().text + "' outside of a for loop");
    Next();
    return node;
  }

  Program* program_;
  TemplateError* error_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  bool failed_ = false;
  int nesting_ = 0;
  int loops_ = 0;  // that are open in this macro
  std::unordered_map<std::string, uint32_t> ids_;
  std::vector<uint32_t> used_names_;  // in the macro that is being parsed
};

// Looks filters and tests up. `soft`: inside of an if, with no scope between.
class Resolver {
 public:
  Resolver(bool extended, TemplateError* error)
      : extended_(extended), error_(error) {}

  bool Resolve(const NodePtr& pointer, bool soft) {
    if (!pointer) return true;
    Node& node = *pointer;
    if (node.kind == Kind::kConditional || node.kind == Kind::kIf) soft = true;
    const bool inner_soft = soft && !OpensScope(node.kind);
    if (node.kind == Kind::kFilter || node.kind == Kind::kTest) {
      if (!LookUp(&node, soft)) return false;
    }
    return All(node.kids, soft) && All(node.body, inner_soft) &&
           All(node.otherwise, inner_soft) && Call(node.call.get(), soft) &&
           (!node.signature || All(node.signature->defaults, false));
  }
  bool All(const std::vector<NodePtr>& nodes, bool soft) {
    return std::all_of(nodes.begin(), nodes.end(), [&](const NodePtr& node) {
      return Resolve(node, soft);
    });
  }

 private:
  static bool OpensScope(Kind kind) {
    return kind == Kind::kFor || kind == Kind::kMacro ||
           kind == Kind::kCallBlock || kind == Kind::kFilterBlock ||
           kind == Kind::kSetBlock || kind == Kind::kWith ||
           kind == Kind::kScope;
  }
  bool Call(const CallArguments* call, bool soft) {
    if (!call) return true;
    for (const auto& [name, value] : call->named) {
      if (!Resolve(value, soft)) return false;
    }
    return All(call->positional, soft) && Resolve(call->star, soft) &&
           Resolve(call->star_star, soft);
  }
  bool LookUp(Node* node, bool soft) {
    const bool is_filter = node->kind == Kind::kFilter;
    node->builtin =
        is_filter ? FindFilter(node->text, extended_) : FindTest(node->text);
    if (node->builtin || soft) return true;
    *error_ = {
        "TemplateAssertionError",
        std::string(is_filter ? "unknown filter \"" : "unknown test \"") +
            node->text + "\"",
        node->offset, true};
    return false;
  }

  bool extended_;
  TemplateError* error_;
};

}  // namespace

bool Parse(Program* program, bool extended, TemplateError* error) {
  if (!Parser(program, error).Run()) return false;
  return Resolver(extended, error).All(program->body, /*soft=*/false);
}

}  // namespace slm::jinja
