// SPDX-License-Identifier: MIT
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_FILTERS_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_FILTERS_H_

#include <string_view>

#include "runtime/text/template_builtins.h"

namespace slm::jinja {

// The part of FindFilter that is in template_sequence_filters.cc.
const Builtin* FindSequenceFilter(std::string_view name);

// Attributes of a cycler; false if it has none of that name.
bool CyclerAttribute(Runtime& rt, const Value& object, std::string_view name,
                     Value* out);

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_FILTERS_H_
