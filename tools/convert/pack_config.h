// SPDX-License-Identifier: MIT
// quantization_config of a Hugging Face folder whose weights are quantised
// already: how its tensors are to be read.
#ifndef SLM_TOOLS_CONVERT_PACK_CONFIG_H_
#define SLM_TOOLS_CONVERT_PACK_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "loader/json.h"
#include "runtime/core/result.h"

namespace slm::convert {

enum class PackMethod {
  kGptq,        // gptqmodel, auto-gptq
  kAwq,         // autoawq's GEMM
  kOlive,       // Olive's own
  kCompressed,  // compressed-tensors, pack-quantized
  kBytes,       // compressed-tensors, int-quantized
  kFloat8,      // fp8, fbgemm_fp8, compressed-tensors float-quantized
};

struct PackConfig {
  PackMethod method = PackMethod::kGptq;
  const char* name = "";        // "GPTQ", for messages
  int bits = 4;                 // 2, 4 or 8; float8: 8
  int64_t group_size = -1;      // columns; -1: all. GPTQ and AWQ
  bool zeros_less_one = false;  // GPTQ's format 1 stores z - 1
  bool reordered = false;       // desc_act: g_idx means what it says
  std::map<std::string, int, std::less<>> bits_of;  // Olive: by module
  int64_t block_rows = 0, block_columns = 0;        // float8; 0: none
};

// Nothing where the config has no quantization_config. Methods and keys that
// are not read fail by name.
Result<std::optional<PackConfig>> ReadPackConfig(const JsonValue& root);

// The file that older tools wrote beside config.json instead: auto-gptq's
// quantize_config.json or autoawq's quant_config.json. Nothing where neither is
// there.
Result<std::optional<PackConfig>> ReadOldPackConfig(const std::string& folder);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_PACK_CONFIG_H_
