// SPDX-License-Identifier: MIT
// Parts a streamed answer into reasoning and what is meant for the reader.
#ifndef SLM_TOOLS_RUN_THINK_H_
#define SLM_TOOLS_RUN_THINK_H_

#include <string>
#include <string_view>

namespace slm {

// A model that reasons begins its answer with <think>, or its template ends
// the prompt with that; the reasoning ends with </think>. Later marks are text.
class ThinkSplitter {
 public:
  explicit ThinkSplitter(std::string_view prompt);

  struct Parts {
    std::string reasoning, answer;
  };
  // What is certain after this piece; a mark that may be cut is held back.
  Parts Push(std::string_view piece);
  // The rest.
  Parts Finish();

 private:
  enum class State { kBegin, kReasoning, kGap, kAnswer };

  Parts Take(bool end);

  State state_ = State::kBegin;
  std::string held_;
};

// An answer as a reader wants it, of a model that thinks: what is after
// </think>, nothing if it stands in its thought still.
std::string WithoutThought(std::string_view answer);

}  // namespace slm

#endif  // SLM_TOOLS_RUN_THINK_H_
