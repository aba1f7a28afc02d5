// SPDX-License-Identifier: MIT
#include "tools/inspect/commands.h"

namespace slm::inspect {

Status Template(const Arguments&) {
  return Error(ErrorKind::kRuntime, "template is not built yet");
}

}  // namespace slm::inspect
