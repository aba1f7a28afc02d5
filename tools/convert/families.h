// SPDX-License-Identifier: MIT
// The only place that knows model families: one row each, and what
// transformers' class of that name reads from config.json.
#ifndef SLM_TOOLS_CONVERT_FAMILIES_H_
#define SLM_TOOLS_CONVERT_FAMILIES_H_

#include <string>
#include <vector>

#include "loader/config.h"
#include "loader/json.h"
#include "runtime/core/result.h"
#include "tools/convert/decoder_spec.h"

namespace slm::convert {

// `root` is config.json, `config` what the loader read from it. Fails on
// everything that would change the model and is not supported, by its name.
Result<DecoderSpec> ReadDecoderSpec(const JsonValue& root,
                                    const ModelConfig& config);

// Names of the classes, sorted.
std::vector<std::string> FamilyNames();

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_FAMILIES_H_
