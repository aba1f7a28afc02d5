// SPDX-License-Identifier: MIT
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_PARSE_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_PARSE_H_

#include "runtime/text/template_ast.h"
#include "runtime/text/template_error.h"

namespace slm::jinja {

// Parses program->source (already normalised). An unknown filter or test fails
// here, except inside of an `if`, where Jinja and this tell when it is reached.
// `extended` adds from_json.
bool Parse(Program* program, bool extended, TemplateError* error);

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_PARSE_H_
