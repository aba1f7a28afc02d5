// SPDX-License-Identifier: MIT
#include "runtime/text/template_builtins.h"

#include <utility>

namespace slm::jinja {
namespace {

struct Parameter {
  std::string_view name;
  bool optional;
};

// "old new count?" as rows.
std::vector<Parameter> Parameters(std::string_view text) {
  std::vector<Parameter> out;
  while (!text.empty()) {
    const size_t end = text.find(' ');
    std::string_view word = text.substr(0, end);
    const bool optional = !word.empty() && word.back() == '?';
    if (optional) word.remove_suffix(1);
    if (!word.empty()) out.push_back({word, optional});
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
  return out;
}

}  // namespace

bool Call::Bind() {
  std::string_view text = builtin.parameters;
  if (text == "*") return true;
  const bool positional_only = !text.empty() && text[0] == '/';
  if (positional_only) text.remove_prefix(1);
  const std::vector<Parameter> parameters = Parameters(text);
  const std::string name = std::string(builtin.name) + "()";
  if (args.size() > parameters.size()) {
    rt.TypeError(Format("%s takes at most %zu arguments (%zu given)",
                        name.c_str(), parameters.size(), args.size()));
    return false;
  }
  given.assign(args.size(), true);
  given.resize(parameters.size());
  args.resize(parameters.size());
  for (auto& [key, value] : keywords) {
    size_t i = 0;
    while (i < parameters.size() && parameters[i].name != key) ++i;
    if (i == parameters.size() || positional_only) {
      rt.TypeError(name + " got an unexpected keyword argument '" + key + "'");
      return false;
    }
    if (given[i]) {
      rt.TypeError(name + " got multiple values for argument '" + key + "'");
      return false;
    }
    args[i] = std::move(value);
    given[i] = true;
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (given[i] || parameters[i].optional) continue;
    rt.TypeError(name + " missing required argument: '" +
                 std::string(parameters[i].name) + "'");
    return false;
  }
  return true;
}

int64_t Call::Int(size_t i, int64_t absent) {
  if (!Has(i)) return absent;
  if (args[i].IsIntegral()) return args[i].AsInt();
  if (args[i].IsUndefined()) {
    rt.FailUndefined(args[i]);
  } else {
    rt.TypeError(std::string("'") + TypeName(args[i]) +
                 "' object cannot be interpreted as an integer");
  }
  return absent;
}

bool Call::Bool(size_t i, bool absent) const {
  return Has(i) ? Truthy(args[i]) : absent;
}

Value RunBuiltin(Runtime& rt, const Builtin& builtin, Value self,
                 std::vector<Value> args, Keywords keywords,
                 CallableObject* callable) {
  if (!rt.Step()) return {};
  if (!builtin.run) {
    return rt.Fail("unsupported", std::string("\"") + builtin.name +
                                      "\" is not supported in chat templates");
  }
  Call call{
      rt,       builtin, std::move(self), std::move(args), std::move(keywords),
      callable, {}};
  if (!call.Bind()) return {};
  Value result = builtin.run(call);
  return rt.failed() ? Value() : result;
}

}  // namespace slm::jinja
