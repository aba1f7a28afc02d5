// SPDX-License-Identifier: MIT
// What an answer must keep to beside the logits: a thought that ends in time,
// and after it a text that is JSON.
#ifndef SLM_RUNTIME_ANSWER_GUIDE_H_
#define SLM_RUNTIME_ANSWER_GUIDE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/json_mask.h"
#include "runtime/thought.h"

namespace slm {

struct GuideOptions {
  // The answer is one JSON value; nullptr: any text.
  std::shared_ptr<const JsonVocabulary> json;
  int64_t think_budget = -1;  // tokens of the thought; -1: no limit
  int32_t think_open = -1;    // the token <think>, where JSON may follow it
  std::vector<int32_t> think_close;  // the tokens of </think>
  std::vector<int32_t> eos_ids;
  // What a token adds to the text.
  std::function<std::string(int32_t)> bytes;
};

class AnswerGuide {
 public:
  // `prompt`: how its text ends.
  AnswerGuide(GuideOptions options, std::string_view prompt)
      : options_(std::move(options)), thought_(prompt) {}

  // The token that must come now, -1 if the logits decide.
  int32_t Forced() const;
  // logits [V]: -infinity for what must not come. Fails if nothing is left.
  Status Forbid(std::span<float> logits);
  // Whether Forbid lets it pass.
  bool Allows(int32_t token) const;
  // What came.
  void Take(int32_t token);

  // The answer must be JSON and is that: it ends here.
  bool complete() const { return options_.json && text_.complete(); }
  bool wants_json() const { return options_.json != nullptr; }
  const Thought& thought() const { return thought_; }

 private:
  bool IsEos(int32_t token) const;

  GuideOptions options_;
  Thought thought_;
  size_t closed_ = 0;  // tokens of think_close that came by force
  JsonAcceptor text_;
  std::vector<uint64_t> allowed_;  // scratch
};

}  // namespace slm

#endif  // SLM_RUNTIME_ANSWER_GUIDE_H_
