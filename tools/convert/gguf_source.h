// SPDX-License-Identifier: MIT
// A GGUF file as a source: its tensors under transformers' names.
#ifndef SLM_TOOLS_CONVERT_GGUF_SOURCE_H_
#define SLM_TOOLS_CONVERT_GGUF_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "loader/gguf.h"
#include "runtime/core/result.h"
#include "tools/convert/gguf_config.h"
#include "tools/convert/gguf_tokenizer.h"
#include "tools/convert/tensors.h"

namespace slm::convert {

struct GgufModel {
  std::unique_ptr<TensorSource> tensors;
  std::string config;      // config.json
  std::string generation;  // generation_config.json; empty: none
  GgufTokenizer tokenizer;
  bool plus_one = false;  // norms hold what transformers adds 1 to
  std::vector<std::string> notes;
};

// `path` is a .gguf file, or one of those that it is split into.
Result<GgufModel> OpenGguf(const std::string& path);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_GGUF_SOURCE_H_
