// SPDX-License-Identifier: MIT
// Which experts a token goes to, and the order that reads every expert's
// weights once.
#ifndef SLM_OPS_MOE_ROUTING_H_
#define SLM_OPS_MOE_ROUTING_H_

#include <cstddef>
#include <cstdint>

namespace slm {

enum class Routing : uint8_t {
  // The k largest logits; weights exp(logit), normalised over those k.
  kSoftmaxOfTop,
  // The k largest logits; weights are their softmax over all experts.
  kTopOfSoftmax,
  // The k largest logits choose, another tensor holds the weights.
  kGiven,
  kGivenNormalized,
  // PhiMoE's SparseMixer, k = 2: the weight of the first choice is its softmax
  // over the experts within 2 % of it, that of the second choice likewise
  // without the first (jitter eps 0.01).
  kSparseMixer,
};

// Routes of one token. Of equal logits the last expert wins, as in
// onnxruntime.
//   logits, given: [experts] (given: only for kGiven*)
//   chosen, weights: [k]
void RouteToken(Routing routing, const float* logits, const float* given,
                size_t experts, size_t k, int32_t* chosen, float* weights);

// The routes of all tokens, sorted by expert and, within one, by token.
struct RouteTable {
  size_t tokens = 0;
  size_t experts = 0;
  size_t k = 0;
  int32_t* chosen = nullptr;  // [tokens, k]
  float* weights = nullptr;   // [tokens, k]
  int32_t* first = nullptr;   // [experts + 1]: an expert's range of `order`
  int32_t* order = nullptr;   // [tokens * k]: route numbers

  static size_t Bytes(size_t tokens, size_t experts, size_t k);
  // A table over memory of Bytes.
  static RouteTable Over(void* memory, size_t tokens, size_t experts, size_t k);
  // Fills `first` and `order` with the routes whose weight is above `least`;
  // the others are dropped, as in onnxruntime. NaN stays.
  void Sort(float least);
};

}  // namespace slm

#endif  // SLM_OPS_MOE_ROUTING_H_
