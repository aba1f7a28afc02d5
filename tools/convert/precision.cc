// SPDX-License-Identifier: MIT
#include "tools/convert/precision.h"

#include <charconv>
#include <cmath>
#include <optional>

namespace slm::convert {
namespace {

// No recursion: the last star takes one more character where the rest fails.
bool MatchesGlob(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.size() &&
               (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

struct LayerNode {
  size_t layer;
  std::string_view rest;  // "mlp/down_proj/MatMul"
};

// "/model/layers.N/rest"
std::optional<LayerNode> AsLayerNode(std::string_view node) {
  constexpr std::string_view kBegin = "/model/layers.";
  if (node.substr(0, kBegin.size()) != kBegin) return std::nullopt;
  node.remove_prefix(kBegin.size());
  LayerNode out{0, {}};
  const char* end = node.data() + node.size();
  const auto [stop, error] = std::from_chars(node.data(), end, out.layer);
  if (error != std::errc() || stop == end || *stop != '/') return std::nullopt;
  out.rest = node.substr(static_cast<size_t>(stop - node.data()) + 1);
  return out;
}

}  // namespace

bool IsMixedLayer(size_t layer, size_t layers) {
  if (8 * layer < layers || 8 * layer >= 7 * layers) return true;
  // Python's round: half to even.
  const auto eighth =
      static_cast<size_t>(std::nearbyint(static_cast<double>(layers) / 8));
  return (layer + 3 * layers - eighth) % 3 == 2;
}

bool Applies(const PrecisionRule& rule, std::string_view node, size_t layers) {
  if (rule.group == NodeGroup::kPattern) {
    return MatchesGlob(rule.pattern, node);
  }
  if (rule.group == NodeGroup::kLast) return node == kHeadNode;
  const std::optional<LayerNode> at = AsLayerNode(node);
  if (!at) return false;
  const bool down = at->rest == "mlp/down_proj/MatMul";
  switch (rule.group) {
    case NodeGroup::kDown:
      return down;
    case NodeGroup::kMixedLayers:
      return IsMixedLayer(at->layer, layers) &&
             (down || at->rest == "attn/qkv_proj/MatMul" ||
              at->rest == "attn/v_proj/MatMul");
    case NodeGroup::kLinearAttention:
      return at->rest.substr(0, 12) == "linear_attn/";
    case NodeGroup::kPattern:
    case NodeGroup::kLast:
      break;
  }
  return false;
}

std::string Describe(const PrecisionRule& rule) {
  const std::string type =
      rule.bits == 0 ? "float" : "int" + std::to_string(rule.bits);
  switch (rule.group) {
    case NodeGroup::kPattern:
      break;
    case NodeGroup::kLast:
      return "last_matmul=" + type;
    case NodeGroup::kDown:
      return "down_proj=" + type;
    case NodeGroup::kMixedLayers:
      return "mixed_layers=" + type;
    case NodeGroup::kLinearAttention:
      return "linear_attn=" + type;
  }
  return rule.pattern + "=" + type;
}

Result<int> BitsOfType(const std::string& what, std::string_view text) {
  if (text == "int4") return 4;
  if (text == "int8") return 8;
  if (text == "float" || text == "fp32") return 0;
  return Usage("%s is \"%s\", must be int4, int8 or float", what.c_str(),
               Printable(text).c_str());
}

Result<std::vector<PrecisionRule>> RulesOfPreset(std::string_view preset) {
  std::vector<PrecisionRule> rules = {{NodeGroup::kLast, "", 8}};
  if (preset == "last") return rules;
  if (preset == "down") {
    rules.push_back({NodeGroup::kDown, "", 8});
    return rules;
  }
  if (preset == "layers") {
    rules.push_back({NodeGroup::kMixedLayers, "", 8});
    return rules;
  }
  return Usage("--mixed is \"%s\", must be one of last, down, layers, auto",
               Printable(preset).c_str());
}

}  // namespace slm::convert
