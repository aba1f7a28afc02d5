// SPDX-License-Identifier: MIT
// The tokens of one sequence with what the logit processors ask of them.
#ifndef SLM_RUNTIME_TOKEN_HISTORY_H_
#define SLM_RUNTIME_TOKEN_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace slm {

class TokenHistory {
 public:
  // A distinct token and how often it occurs.
  struct Seen {
    int32_t token = 0;
    uint32_t total = 0;   // in prompt and output
    uint32_t output = 0;  // in the output
  };

  TokenHistory() = default;
  TokenHistory(TokenHistory&&) = default;
  TokenHistory& operator=(TokenHistory&&) = default;
  TokenHistory Fork() const { return TokenHistory(*this); }
  // Becomes equal to `other` in the memory that this one has.
  void CopyFrom(const TokenHistory& other) { *this = other; }

  // Starts a request: all tokens so far, earlier answers too, are its prompt.
  void AppendPrompt(std::span<const int32_t> tokens);
  void AppendOutput(int32_t token);
  // Keeps the first `length` tokens; no effect if there are fewer.
  void Truncate(size_t length);

  std::span<const int32_t> tokens() const { return tokens_; }
  size_t length() const { return tokens_.size(); }
  // Tokens at and after this position are output.
  size_t prompt_length() const { return prompt_length_; }
  // Ascending by token. Sorted vector instead of a table per vocabulary entry:
  // a sequence holds few distinct tokens, and beams fork it at each step.
  std::span<const Seen> seen() const { return seen_; }

 private:
  TokenHistory(const TokenHistory&) = default;
  TokenHistory& operator=(const TokenHistory&) = default;

  std::vector<int32_t> tokens_;
  std::vector<Seen> seen_;
  size_t prompt_length_ = 0;
};

}  // namespace slm

#endif  // SLM_RUNTIME_TOKEN_HISTORY_H_
