// SPDX-License-Identifier: MIT
#ifndef SLM_RUNTIME_CORE_TERMINAL_H_
#define SLM_RUNTIME_CORE_TERMINAL_H_

#include <cstdio>

namespace slm {

// Is a person at the other end?
bool IsTerminal(std::FILE* stream);

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_TERMINAL_H_
