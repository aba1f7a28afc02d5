// SPDX-License-Identifier: MIT
#include <unistd.h>

#include "runtime/core/terminal.h"

namespace slm {

bool IsTerminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

}  // namespace slm
