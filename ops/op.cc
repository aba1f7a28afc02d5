// SPDX-License-Identifier: MIT
#include "ops/op.h"

#include <algorithm>

namespace slm {

AttributeReader::AttributeReader(const Graph& graph, const Node& node)
    : graph_(graph), node_(node) {}

const TensorView* AttributeReader::ConstantInput(size_t i) const {
  const ValueId id = node_.Input(i);
  return graph_.IsConstant(id) ? &*graph_.values[id].constant : nullptr;
}

void AttributeReader::Fail(const std::string& message) {
  if (!status_.ok()) return;
  status_ = Invalid("%s: %s: %s", graph_.Where(node_).c_str(),
                    Printable(node_.type).c_str(), message.c_str());
}

const Attribute* AttributeReader::Get(std::string_view name) {
  read_.push_back(name);
  return node_.Find(name);
}

const Attribute* AttributeReader::Typed(std::string_view name,
                                        Attribute::Type type,
                                        const char* type_name) {
  const Attribute* a = Get(name);
  if (a && a->type != type) {
    Fail(Format("attribute \"%s\" is not %s", a->name.c_str(), type_name));
    return nullptr;
  }
  return a;
}

int64_t AttributeReader::Int(std::string_view name, int64_t fallback) {
  const Attribute* a = Typed(name, Attribute::Type::kInt, "an integer");
  return a ? a->i : fallback;
}

float AttributeReader::Float(std::string_view name, float fallback) {
  const Attribute* a = Typed(name, Attribute::Type::kFloat, "a float");
  return a ? a->f : fallback;
}

std::string AttributeReader::String(std::string_view name,
                                    std::string fallback) {
  const Attribute* a = Typed(name, Attribute::Type::kString, "a string");
  return a ? a->s : fallback;
}

std::vector<int64_t> AttributeReader::Ints(std::string_view name) {
  const Attribute* a = Typed(name, Attribute::Type::kInts, "a list of integers");
  return a ? a->ints : std::vector<int64_t>();
}

int64_t AttributeReader::RequiredInt(std::string_view name) {
  if (!Has(name)) {
    Fail(Format("attribute \"%.*s\" is missing", static_cast<int>(name.size()),
                name.data()));
  }
  return Int(name, 0);
}

void AttributeReader::OnlyInt(std::string_view name, int64_t only) {
  const int64_t value = Int(name, only);
  if (value != only) {
    Fail(Format("attribute \"%.*s\" = %lld is not supported, only %lld",
                static_cast<int>(name.size()), name.data(),
                static_cast<long long>(value), static_cast<long long>(only)));
  }
}

void AttributeReader::Ignore(std::string_view name, const char* /*reason*/) {
  Get(name);
}

void AttributeReader::CheckArity(size_t min_inputs, size_t max_inputs,
                                 size_t max_outputs) {
  size_t inputs = node_.inputs.size();
  while (inputs > 0 && node_.inputs[inputs - 1] == kNoValue) --inputs;
  if (inputs < min_inputs || inputs > max_inputs) {
    Fail(Format("has %zu inputs, supported: %zu to %zu", inputs, min_inputs,
                max_inputs));
  }
  for (size_t i = 0; i < std::min(min_inputs, inputs); ++i) {
    if (!HasInput(i)) Fail(Format("input %zu is missing", i));
  }
  for (size_t i = max_outputs; i < node_.outputs.size(); ++i) {
    if (HasOutput(i)) Fail(Format("output %zu is not supported", i));
  }
}

Status AttributeReader::Finish() {
  for (const Attribute& a : node_.attributes) {
    if (!status_.ok()) break;
    if (std::find(read_.begin(), read_.end(), a.name) == read_.end()) {
      Fail(Format("attribute \"%s\" is not supported",
                  Printable(a.name).c_str()));
    }
  }
  return status_;
}

Result<std::vector<int64_t>> OpContext::IntValues(size_t i) const {
  if (!HasInput(i)) return Invalid("input %zu is missing", i);
  const TensorView& t = In(i);
  if (t.dtype != DType::kI64 && t.dtype != DType::kI32) {
    return Invalid("input %zu has type %s, expected int64", i, Name(t.dtype));
  }
  if (!t.data && t.Count() > 0) return NeedsValue(i);
  std::vector<int64_t> values(t.Count());
  for (size_t k = 0; k < values.size(); ++k) {
    values[k] = t.dtype == DType::kI64 ? t.As<int64_t>()[k]
                                       : t.As<int32_t>()[k];
  }
  return values;
}

Status OpContext::NeedsValue(size_t input) {
  return Invalid("its output's shape depends on the value of input %zu", input);
}

Status InferSameAsInput0(OpContext& context) {
  context.SetOutput(0, context.In(0).dtype, context.In(0).shape);
  return OkStatus();
}

const OpDef* FindOp(std::string_view domain, std::string_view type,
                    int version) {
  for (std::span<const OpDef> family : OpFamilies()) {
    for (const OpDef& def : family) {
      if (def.type == type && def.domain == domain && def.since <= version &&
          version <= def.until) {
        return &def;
      }
    }
  }
  return nullptr;
}

}  // namespace slm
