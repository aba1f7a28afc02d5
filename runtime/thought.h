// SPDX-License-Identifier: MIT
// Where a model thinks: its answer begins with <think>, or the prompt ends
// with that, and </think> ends the thought. Later marks are text.
#ifndef SLM_RUNTIME_THOUGHT_H_
#define SLM_RUNTIME_THOUGHT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace slm {

class Thought {
 public:
  static constexpr std::string_view kOpen = "<think>", kClose = "</think>";

  // `prompt`: how it ends.
  explicit Thought(std::string_view prompt);

  // What the next token adds to the text, and whether it is the model's own.
  void Take(std::string_view bytes, bool own);

  // Nothing but white space came: a thought may begin.
  bool may_open() const { return state_ == State::kBegin && held_.empty(); }
  bool thinking() const { return state_ == State::kThinking; }
  // The model's own tokens in the thought, without those that complete its
  // marks.
  size_t tokens() const { return tokens_; }

 private:
  enum class State { kBegin, kThinking, kAnswer };

  void Continue(std::string_view bytes);

  State state_ = State::kBegin;
  std::string held_;  // what may be a mark, in part
  size_t tokens_ = 0;
};

}  // namespace slm

#endif  // SLM_RUNTIME_THOUGHT_H_
