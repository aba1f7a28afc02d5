// SPDX-License-Identifier: MIT
#include "runtime/json_mask.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <utility>

namespace slm {
namespace {

void SetBit(size_t i, std::vector<uint64_t>* bits) {
  (*bits)[i / 64] |= uint64_t{1} << (i % 64);
}

// How a text that stands in a string goes on with these bytes.
enum class Way { kStays, kLeaves, kRefused };
Way FromString(std::string_view bytes) {
  JsonAcceptor text = JsonAcceptor::InString();
  bool escaped = false;
  for (const char c : bytes) {
    if (c == '"' && !escaped) return Way::kLeaves;
    escaped = c == '\\' && !escaped;
    if (!text.Take(static_cast<uint8_t>(c))) return Way::kRefused;
  }
  return Way::kStays;
}

}  // namespace

JsonVocabulary::JsonVocabulary(std::vector<std::string> bytes)
    : bytes_(std::move(bytes)), stay_in_string_((bytes_.size() + 63) / 64) {
  std::vector<int32_t> all, leaving;
  for (size_t i = 0; i < bytes_.size(); ++i) {
    if (bytes_[i].size() > kMostTokenBytes) bytes_[i].clear();
    if (bytes_[i].empty()) continue;
    all.push_back(static_cast<int32_t>(i));
    const Way way = FromString(bytes_[i]);
    if (way == Way::kStays) SetBit(i, &stay_in_string_);
    if (way == Way::kLeaves) leaving.push_back(static_cast<int32_t>(i));
  }
  all_ = MakeTree(std::move(all));
  leave_string_ = MakeTree(std::move(leaving));
}

std::string_view JsonVocabulary::Bytes(int32_t token) const {
  const size_t i = static_cast<size_t>(token);
  return token >= 0 && i < bytes_.size() ? bytes_[i] : std::string_view();
}

JsonVocabulary::Tree JsonVocabulary::MakeTree(
    std::vector<int32_t> tokens) const {
  std::sort(tokens.begin(), tokens.end(), [&](int32_t a, int32_t b) {
    return bytes_[static_cast<size_t>(a)] < bytes_[static_cast<size_t>(b)];
  });
  Tree tree;
  std::vector<uint32_t> path;  // nodes of the token before
  std::string_view before;
  for (uint32_t t = 0; t < tokens.size(); ++t) {
    const std::string_view text = bytes_[static_cast<size_t>(tokens[t])];
    const size_t shared = static_cast<size_t>(
        std::mismatch(text.begin(), text.end(), before.begin(), before.end())
            .first -
        text.begin());
    const uint32_t size = static_cast<uint32_t>(tree.nodes.size());
    for (; path.size() > shared; path.pop_back()) {
      tree.nodes[path.back()].end = size;
    }
    for (size_t i = shared; i < text.size(); ++i) {
      path.push_back(static_cast<uint32_t>(tree.nodes.size()));
      tree.nodes.push_back({0, t, t, static_cast<uint8_t>(text[i]),
                            static_cast<uint8_t>(i + 1)});
    }
    tree.nodes[path.back()].last_token = t + 1;
    before = text;
  }
  for (const uint32_t node : path) {
    tree.nodes[node].end = static_cast<uint32_t>(tree.nodes.size());
  }
  tree.tokens = std::move(tokens);
  return tree;
}

void JsonVocabulary::Walk(const Tree& tree, const JsonAcceptor& text,
                          std::vector<uint64_t>* allowed) {
  // at[d]: the text after the d bytes above a node.
  std::array<JsonAcceptor, kMostTokenBytes + 1> at;
  at[0] = text;
  for (size_t n = 0; n < tree.nodes.size();) {
    const Node& node = tree.nodes[n];
    at[node.depth] = at[node.depth - 1u];
    if (!at[node.depth].Take(node.byte)) {
      n = node.end;
      continue;
    }
    for (uint32_t t = node.first_token; t < node.last_token; ++t) {
      SetBit(static_cast<size_t>(tree.tokens[t]), allowed);
    }
    ++n;
  }
}

void JsonVocabulary::Allowed(const JsonAcceptor& text,
                             std::vector<uint64_t>* allowed) const {
  if (text.in_string()) {
    *allowed = stay_in_string_;
    Walk(leave_string_, text, allowed);
  } else {
    allowed->assign(stay_in_string_.size(), 0);
    Walk(all_, text, allowed);
  }
}

void ForbidOthers(std::span<const uint64_t> allowed, std::span<float> logits) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  for (size_t begin = 0; begin < logits.size(); begin += 64) {
    const size_t word = begin / 64;
    const uint64_t bits = word < allowed.size() ? allowed[word] : 0;
    if (bits == ~uint64_t{0}) continue;
    const size_t end = std::min(begin + 64, logits.size());
    if (bits == 0) {
      std::fill(logits.begin() + static_cast<ptrdiff_t>(begin),
                logits.begin() + static_cast<ptrdiff_t>(end), kNever);
      continue;
    }
    for (size_t i = begin; i < end; ++i) {
      if ((bits >> (i - begin) & 1) == 0) logits[i] = kNever;
    }
  }
}

}  // namespace slm
