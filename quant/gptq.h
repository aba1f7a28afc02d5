// SPDX-License-Identifier: MIT
// GPTQ: columns are quantised one after the other, and those that are still
// float take over the error. Results do not depend on the number of threads or
// on the SIMD target.
#ifndef SLM_QUANT_GPTQ_H_
#define SLM_QUANT_GPTQ_H_

#include <cstddef>

#include "quant/quantize.h"
#include "runtime/core/threads.h"

namespace slm {

// w [rows, k], finite, becomes what the codes stand for. u [k, k] is
// InverseFactor of the inputs' H. Scale and zero point of a block are found by
// kSearch when its first column's turn comes, with errors weighed by
// importance [k] (null: all alike); options.algorithm is not looked at.
void GptqRows(const QuantizeOptions& options, const float* u,
              const float* importance, float* w, size_t rows, size_t k,
              ThreadPool& threads, const QuantizedRows& out);

}  // namespace slm

#endif  // SLM_QUANT_GPTQ_H_
