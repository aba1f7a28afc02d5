// SPDX-License-Identifier: MIT
// What --dry-run says of sizes: of the output by format, of memory to make it
// and to run it.
#ifndef SLM_TOOLS_CONVERT_SIZE_PLAN_H_
#define SLM_TOOLS_CONVERT_SIZE_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tools/convert/decoder_spec.h"
#include "tools/convert/graph.h"
#include "tools/convert/weights.h"

namespace slm::convert {

// Bytes of keys and values for `tokens` tokens of one sequence, `width` bytes a
// value; a layer with a window keeps that many.
uint64_t CacheBytes(const DecoderSpec& spec, int64_t tokens, uint64_t width);

// Lines for people.
std::vector<std::string> SizeLines(const DecoderSpec& spec,
                                   const std::vector<Weight>& weights,
                                   const DataLayout& layout, DType io);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_SIZE_PLAN_H_
