// SPDX-License-Identifier: MIT
#include "runtime/plan/fusions.h"

namespace slm {

Status BindAttention(FusionContext* context) {
  context->dense_reason = "not built";
  return OkStatus();
}

}  // namespace slm
