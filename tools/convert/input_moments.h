// SPDX-License-Identifier: MIT
// Runs a float model folder and measures what its matrices are multiplied
// with.
#ifndef SLM_TOOLS_CONVERT_INPUT_MOMENTS_H_
#define SLM_TOOLS_CONVERT_INPUT_MOMENTS_H_

#include <vector>

#include "runtime/core/result.h"
#include "runtime/core/threads.h"
#include "runtime/model.h"
#include "tools/convert/calibration_text.h"
#include "tools/convert/graph.h"
#include "tools/convert/imatrix.h"

namespace slm::convert {

// The product that gives logits: the last of a pass, which ends there.
inline constexpr const char* kHeadWeight = "lm_head.MatMul.weight";

// Of x [..., K], as Imatrix has them.
std::vector<float> MomentsOf(const TensorView& x, ThreadPool& threads);

// Moments over the documents for the input of every MatMul whose constant has
// the name of a quantised weight; `model` and `text` of the result are the
// caller's. Sums are in double, each in the order of the tokens.
Result<Imatrix> MeasureInputs(const Model& model, const Documents& documents,
                              const std::vector<Weight>& weights,
                              ThreadPool& threads,
                              const CalibrationProgress& progress);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_INPUT_MOMENTS_H_
