// SPDX-License-Identifier: MIT
// The weights of a graph from the source's tensors into model.onnx.data, a
// panel of rows at a time: memory does not grow with the model.
#ifndef SLM_TOOLS_CONVERT_WEIGHTS_H_
#define SLM_TOOLS_CONVERT_WEIGHTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "loader/onnx_writer.h"
#include "runtime/core/file_output.h"
#include "runtime/core/result.h"
#include "runtime/core/threads.h"
#include "tools/convert/adapter.h"
#include "tools/convert/decoder_spec.h"
#include "tools/convert/gptq_pass.h"
#include "tools/convert/graph.h"
#include "tools/convert/tensors.h"

namespace slm::convert {

// Every source is there with the expected shape and a type that this program
// reads; every tensor of the file is used.
Status CheckSources(const TensorSource& source, const DecoderSpec& spec,
                    const std::vector<Weight>& weights);

// Where each weight's parts go.
struct DataLayout {
  // Indexed as the weights: codes, scales, zero points; or one part.
  std::vector<std::vector<OnnxInitializer>> parts;
  uint64_t bytes = 0;

  // In the order of the file.
  std::vector<OnnxInitializer> Initializers() const;
};
// Floats first, then what is quantised, as the model builder has them; what is
// larger than 1 MiB begins at a multiple of 64 KiB.
DataLayout LayOut(const std::vector<Weight>& weights,
                  const GraphOptions& options);

struct WriteProgress {
  // Called after each panel with the bytes written so far; a failure ends the
  // writing (interrupts).
  std::function<Status(uint64_t done)> report;
};

// Codes that are found already are taken; else kSearch weighs errors by the
// statistics, where there are any.
Status WriteWeights(const TensorSource& source, const AdapterSet& adapters,
                    const DecoderSpec& spec, const std::vector<Weight>& weights,
                    const GraphOptions& options, const DataLayout& layout,
                    ThreadPool& threads, const WriteProgress& progress,
                    FileWriter* file, const Calibration* calibration = nullptr);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_WEIGHTS_H_
