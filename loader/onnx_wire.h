// SPDX-License-Identifier: MIT
// A first pass over an ONNX file on the wire level, so that weights inside the
// proto are mapped like external ones instead of being copied by the parser.
#ifndef SLM_LOADER_ONNX_WIRE_H_
#define SLM_LOADER_ONNX_WIRE_H_

#include <string>
#include <string_view>

#include "runtime/core/result.h"

namespace slm {

// Keys of external_data entries that SlimModel writes in place of raw_data.
inline constexpr std::string_view kInlineOffset = "slm.inline.offset";
inline constexpr std::string_view kInlineLength = "slm.inline.length";

// A serialised ModelProto equal to `model` except that raw_data of more than
// 256 bytes is replaced by those two entries: where the bytes lie in `model`.
// Fails on a damaged file and on subgraphs nested deeper than 16.
Result<std::string> SlimModel(std::string_view model);

}  // namespace slm

#endif  // SLM_LOADER_ONNX_WIRE_H_
