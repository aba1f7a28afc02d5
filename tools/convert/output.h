// SPDX-License-Identifier: MIT
// The text files of a model folder.
#ifndef SLM_TOOLS_CONVERT_OUTPUT_H_
#define SLM_TOOLS_CONVERT_OUTPUT_H_

#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "tools/convert/mixed_bits.h"
#include "tools/convert/options.h"
#include "tools/convert/source.h"

namespace slm::convert {

// genai_config.json with the keys that the packaged runtime knows: it refuses
// others.
std::string GenAiConfigText(const Source& source);

// Tokenizer files, template and generation_config.json. tokenizer_config.json
// goes without its template, which then is chat_template.jinja, and with the
// context as model_max_length.
Status WriteTokenizerFiles(const Source& source, const std::string& folder);

// inference_model.json: what makes the folder a model of Foundry Local.
Result<std::string> InferenceModelText(const Source& source,
                                       const std::string& name);

// "c" of "a/b/c/".
std::string LastName(const std::string& path);

// slm.json: where the model is from and what lies in `folder`, with hashes.
// `units`: what was measured for --mixed auto.
Result<std::string> ProvenanceText(const Source& source, const Options& options,
                                   const std::vector<Weight>& weights,
                                   const std::vector<MixedUnit>& units,
                                   const std::string& folder);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_OUTPUT_H_
