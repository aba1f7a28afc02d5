// SPDX-License-Identifier: MIT
// Which matrix of the graph gets how many bits: rules over names of nodes.
#ifndef SLM_TOOLS_CONVERT_PRECISION_H_
#define SLM_TOOLS_CONVERT_PRECISION_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace slm::convert {

inline constexpr const char* kHeadNode = "/lm_head/MatMul";
inline constexpr const char* kEmbeddingNode = "/model/embed_tokens/Gather";

enum class NodeGroup {
  kPattern,
  kLast,         // the head
  kDown,         // every down_proj
  kMixedLayers,  // q, k, v and down of the layers that the builder promotes
  kLinearAttention,
};

struct PrecisionRule {
  NodeGroup group = NodeGroup::kPattern;
  std::string pattern;  // of kPattern: a name, * and ? as in a shell
  int bits = 0;         // 4 or 8; 0: not quantised
};

// `node` is one of a graph of `layers` layers.
bool Applies(const PrecisionRule& rule, std::string_view node, size_t layers);

// The builder's "mixed_layers": the first and last eighth, and every third of
// what is between.
bool IsMixedLayer(size_t layer, size_t layers);

// "last_matmul=int8"
std::string Describe(const PrecisionRule& rule);

// "int8", "int4" or "float"; the rules of a named preset ("last", "down",
// "layers") for 8 bits.
Result<int> BitsOfType(const std::string& what, std::string_view text);
Result<std::vector<PrecisionRule>> RulesOfPreset(std::string_view preset);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_PRECISION_H_
