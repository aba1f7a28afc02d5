// SPDX-License-Identifier: MIT
// Weights of experts: those of gpt-oss's files as the rows of matrices, and the
// quantiser that the model builder has for experts alone.
#ifndef SLM_TOOLS_CONVERT_EXPERTS_H_
#define SLM_TOOLS_CONVERT_EXPERTS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "loader/safetensors.h"
#include "quant/quantize.h"
#include "runtime/core/threads.h"

namespace slm::convert {

// A tensor [experts * n, k] out of gpt-oss's mlp.experts, in one of two forms:
//   NAME          floats [experts, k, n]
//   NAME_blocks   two E2M1 floats a byte [experts, n, k / 32, 16], and
//   NAME_scales   the exponents of blocks of 32 [experts, n, k / 32]
struct ExpertView {
  const SafeTensor* values = nullptr;
  const SafeTensor* scales = nullptr;  // null: floats
  std::vector<std::string> parts;      // names of both
  int64_t experts = 0, n = 0, k = 0;

  const char* type() const;  // for messages
  // out [rows, k] = rows [first, first + rows)
  void Read(int64_t first, int64_t rows, float* out) const;
  // The pages of these rows; floats go when the last row of an expert does.
  void Release(const SafeTensors& file, int64_t first, int64_t rows) const;
};

// By NAME. The views hold pointers into `file`.
using ExpertViews = std::map<std::string, ExpertView, std::less<>>;
ExpertViews FindExperts(const SafeTensors& file);

// w [rows, k] into QMoE's codes, scales and zero points. As QuantizeRows, but
// for kDefault without zero points and for whole rows, which are the
// builder's: scale = max|w| / 2^(bits-1), as a float16, so that the largest
// weight is clipped by one step where it is positive.
void QuantizeExperts(const QuantizeOptions& options, bool whole_rows,
                     const float* w, size_t rows, size_t k, ThreadPool& threads,
                     const QuantizedRows& out);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_EXPERTS_H_
