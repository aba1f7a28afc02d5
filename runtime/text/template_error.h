// SPDX-License-Identifier: MIT
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_ERROR_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_ERROR_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "runtime/core/result.h"

namespace slm {

// What went wrong in a template.
struct TemplateError {
  // jinja2's or Python's name of the exception; "raise" for raise_exception,
  // "limit" for a limit of ours, "unsupported" for what only they have.
  std::string kind;
  std::string message;  // one line
  size_t offset = 0;    // in the source, if has_offset
  bool has_offset = false;
};

// "NAME line 12, column 9: MESSAGE", then the line and a caret. Columns count
// characters, from 1.
Status ToStatus(const TemplateError& error, std::string_view name,
                std::string_view source);

}  // namespace slm

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_ERROR_H_
