// SPDX-License-Identifier: MIT
#include "tools/inspect/commands.h"

namespace slm::inspect {

Status Tokenize(const Arguments&) {
  return Error(ErrorKind::kRuntime, "tokenize is not built yet");
}

}  // namespace slm::inspect
