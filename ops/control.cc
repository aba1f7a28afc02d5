// SPDX-License-Identifier: MIT
// Control flow: the executor runs the subgraphs, see runtime/plan/executor.cc.
#include "ops/families.h"

namespace slm {
namespace {

Result<OpParams> ParseIf(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 64);
  for (const char* branch : {"then_branch", "else_branch"}) {
    const Attribute* a = attributes.Get(branch);
    attributes.FailUnless(a && a->graph,
                          Format("attribute \"%s\" is missing", branch));
  }
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return OpParams();
}

constexpr OpDef kOps[] = {
    {"", "If", 1, kLatestOpset, ParseIf, nullptr, nullptr, kControlFlow, 0},
};

}  // namespace

std::span<const OpDef> ControlOps() { return kOps; }

}  // namespace slm
