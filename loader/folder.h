// SPDX-License-Identifier: MIT
// A model folder in all the layouts that users have, opened up to its graph and
// its tokenizer.json, which have readers of their own:
//   genai_config.json, model.onnx, tokenizer.json ...   ORT GenAI, Foundry
//   NAME/v1/genai_config.json ...                        a Foundry download
//   config.json, model.onnx, tokenizer.json ...          Optimum
//   config.json, tokenizer.json ..., onnx/model*.onnx    transformers.js
#ifndef SLM_LOADER_FOLDER_H_
#define SLM_LOADER_FOLDER_H_

#include <string>

#include "loader/config.h"
#include "loader/inference_model.h"
#include "loader/template_files.h"
#include "loader/tokenizer_config.h"
#include "runtime/core/log.h"
#include "runtime/core/result.h"

namespace slm {

struct ModelFolder {
  std::string folder;       // where the configuration is
  std::string config_path;  // genai_config.json or config.json
  std::string onnx_path;
  std::string tokenizer_dir;
  std::string tokenizer_path;  // tokenizer.json
  bool has_genai_config = false;

  ModelConfig config;
  TokenizerConfig tokenizer;
  TemplateSource chat_template;
  InferenceModel inference_model;  // empty if the file is absent
};

struct OpenOptions {
  TemplateOrder template_order = TemplateOrder::kOrtGenAi;
  LogSink log;
};

// MODEL is a folder or an .onnx file in one.
Result<ModelFolder> OpenFolder(const std::string& model,
                               const OpenOptions& options = {});

}  // namespace slm

#endif  // SLM_LOADER_FOLDER_H_
