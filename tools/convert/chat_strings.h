// SPDX-License-Identifier: MIT
// The chat template of a source: tried once, and as Foundry Local's four
// strings where it is as simple as that.
#ifndef SLM_TOOLS_CONVERT_CHAT_STRINGS_H_
#define SLM_TOOLS_CONVERT_CHAT_STRINGS_H_

#include "runtime/core/result.h"
#include "runtime/text/prompt_template.h"
#include "tools/convert/source.h"

namespace slm::convert {

// Empty strings where the source has no template or one whose turns cannot be
// told apart. Fails where a question of a user cannot be rendered.
Result<PromptTemplate> ChatStrings(const Source& source);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_CHAT_STRINGS_H_
