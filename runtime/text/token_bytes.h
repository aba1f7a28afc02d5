// SPDX-License-Identifier: MIT
// The bytes that a token adds to a text, where its neighbours do not matter:
// what a constraint on the text needs to know of a vocabulary.
#ifndef SLM_RUNTIME_TEXT_TOKEN_BYTES_H_
#define SLM_RUNTIME_TEXT_TOKEN_BYTES_H_

#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/decode.h"

namespace slm::text {

// kUsage with the decoder's step if what a token adds depends on others. A
// space that only the very first token of a text loses does not count.
Status CheckTokenBytes(const std::vector<DecoderStep>& steps);

// Of a token's text, with steps that CheckTokenBytes let pass. May be a part
// of a character.
std::string TokenBytes(const std::vector<DecoderStep>& steps,
                       std::string_view token);

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_TOKEN_BYTES_H_
