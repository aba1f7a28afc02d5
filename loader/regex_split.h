// SPDX-License-Identifier: MIT
// Regular expressions of tokenizer.json. They are Oniguruma's (Ruby syntax,
// Unicode 16); here they are translated for PCRE2, or refused.
#ifndef SLM_LOADER_REGEX_SPLIT_H_
#define SLM_LOADER_REGEX_SPLIT_H_

#include <memory>
#include <string>
#include <string_view>

#include "runtime/core/result.h"
#include "runtime/text/pattern.h"

namespace slm {

Result<std::shared_ptr<const text::Regex>> CompileRegex(
    std::string_view expression);

// The expression in PCRE2's syntax.
Result<std::string> TranslateRegex(std::string_view expression);

}  // namespace slm

#endif  // SLM_LOADER_REGEX_SPLIT_H_
