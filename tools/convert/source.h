// SPDX-License-Identifier: MIT
// A Hugging Face folder or a GGUF file, read and checked: what a conversion
// starts from.
#ifndef SLM_TOOLS_CONVERT_SOURCE_H_
#define SLM_TOOLS_CONVERT_SOURCE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "loader/config.h"
#include "loader/template_files.h"
#include "loader/tokenizer_config.h"
#include "runtime/core/log.h"
#include "runtime/core/result.h"
#include "tools/convert/adapter.h"
#include "tools/convert/decoder_spec.h"
#include "tools/convert/tensors.h"

namespace slm::convert {

struct OnnxSource;  // tools/convert/onnx_source.h

struct Source {
  std::string folder;  // or the file
  ModelConfig config;
  // False: one id, which genai_config.json has without a list.
  bool eos_is_list = false;
  DecoderSpec spec;
  std::unique_ptr<TensorSource> weights;
  AdapterSet adapters;
  TokenizerConfig tokenizer;
  TemplateSource chat_template;  // the one that transformers takes
  // Of a source that is ONNX: its graph is edited, none is made.
  std::shared_ptr<OnnxSource> onnx;
  // Tokenizer files by name where the source has none of its own.
  std::map<std::string, std::string> texts;
};

Result<Source> OpenSource(const std::string& folder,
                          const std::vector<AdapterRequest>& adapters,
                          const LogSink& log);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_SOURCE_H_
