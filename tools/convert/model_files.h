// SPDX-License-Identifier: MIT
// The files of one model folder: weights, graph and texts.
#ifndef SLM_TOOLS_CONVERT_MODEL_FILES_H_
#define SLM_TOOLS_CONVERT_MODEL_FILES_H_

#include <string>

#include "runtime/core/result.h"
#include "runtime/core/threads.h"
#include "tools/convert/graph.h"
#include "tools/convert/options.h"
#include "tools/convert/source.h"
#include "tools/convert/weights.h"

namespace slm::convert {

// The model's name: --name, or the output folder's.
std::string NameOf(const Options& options);

// model.onnx and model.onnx.data into `folder`. `calibration` may be null.
Status WriteModel(const Source& source, const Options& options,
                  const DecoderGraph& decoder, const DataLayout& layout,
                  const std::string& folder, ThreadPool& threads,
                  const Calibration* calibration);

// genai_config.json, inference_model.json and the tokenizer's files.
Status WriteTexts(const Source& source, const Options& options,
                  const std::string& folder);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_MODEL_FILES_H_
