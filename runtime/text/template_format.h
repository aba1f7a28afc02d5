// SPDX-License-Identifier: MIT
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_FORMAT_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_FORMAT_H_

#include "runtime/text/template_builtins.h"

namespace slm::jinja {

// format.format(*args, **keywords), as the sandbox's formatter does it.
Value BraceFormat(Runtime& rt, const StringObject& format,
                  const std::vector<Value>& args, const Keywords& keywords);

// Fills `text` up to `width` characters; align is one of '<', '>', '^'.
Value Pad(Runtime& rt, const StringObject& text, int64_t width,
          std::string_view fill, char align);

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_FORMAT_H_
