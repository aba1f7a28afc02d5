// SPDX-License-Identifier: MIT
// Which tokens of a vocabulary can go on with a JSON text.
#ifndef SLM_RUNTIME_JSON_MASK_H_
#define SLM_RUNTIME_JSON_MASK_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/json_acceptor.h"

namespace slm {

// Immutable; may be used by several threads at once.
class JsonVocabulary {
 public:
  // bytes[i] is what token i adds to a text; nothing for tokens that no JSON
  // text may have. So are tokens of more than kMostTokenBytes taken.
  explicit JsonVocabulary(std::vector<std::string> bytes);
  static constexpr size_t kMostTokenBytes = 255;

  std::string_view Bytes(int32_t token) const;

  // Sets bit i of *allowed [ceil(V / 64)] if the text may go on with token i.
  void Allowed(const JsonAcceptor& text, std::vector<uint64_t>* allowed) const;

 private:
  // The tokens' bytes as a tree in depth-first order: a node is a byte and
  // the nodes up to `end` are below it.
  struct Node {
    uint32_t end;
    uint32_t first_token, last_token;  // in tokens_, of those that end here
    uint8_t byte;
    uint8_t depth;  // of its children; 1 for a first byte
  };
  struct Tree {
    std::vector<Node> nodes;
    std::vector<int32_t> tokens;
  };

  Tree MakeTree(std::vector<int32_t> tokens) const;
  static void Walk(const Tree& tree, const JsonAcceptor& text,
                   std::vector<uint64_t>* allowed);

  std::vector<std::string> bytes_;
  Tree all_;
  // In a string nearly all tokens are possible, and whether one is does not
  // depend on where the string stands unless the token closes it: the ones
  // that stay in it, found once, and the tree of the others.
  std::vector<uint64_t> stay_in_string_;
  Tree leave_string_;
};

// logits[i] = -infinity where bit i is not set.
void ForbidOthers(std::span<const uint64_t> allowed, std::span<float> logits);

}  // namespace slm

#endif  // SLM_RUNTIME_JSON_MASK_H_
