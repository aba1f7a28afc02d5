// SPDX-License-Identifier: MIT
// How far one model's logits are from another's.
#ifndef SLM_TOOLS_CONVERT_DIVERGENCE_H_
#define SLM_TOOLS_CONVERT_DIVERGENCE_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace slm::convert {

// Sums over rows of logits.
struct Divergence {
  size_t rows = 0, same_top = 0;
  size_t predictions = 0;  // rows of which the next token is known
  double kl = 0;           // of softmax, in nats
  double source_surprise = 0, output_surprise = 0;  // -log p(next token)
  // Squares, each row less its mean: softmax does not see that.
  double error_squares = 0, source_squares = 0, output_squares = 0;
  bool finite = true;  // the output's logits

  // Rows [V] of the same position; `next` < 0 where nothing follows.
  void Add(std::span<const float> source, std::span<const float> output,
           int32_t next);
  void Add(const Divergence& other);

  double MeanKl() const;
  double Top1() const;              // share of rows with the same best token
  double SourcePerplexity() const;  // 0 where nothing was predicted
  double OutputPerplexity() const;
  // sqrt(sum (output - source)^2 / sum source^2).
  double RelativeError() const;
  // Of both models' logits: 0 where they have nothing in common.
  double Correlation() const;
};

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_DIVERGENCE_H_
