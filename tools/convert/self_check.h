// SPDX-License-Identifier: MIT
// A finished model folder, tried by this runtime before it gets its name: the
// template, the tokenizer, and on a few prompts its logits beside the source's.
#ifndef SLM_TOOLS_CONVERT_SELF_CHECK_H_
#define SLM_TOOLS_CONVERT_SELF_CHECK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/log.h"
#include "runtime/core/result.h"
#include "runtime/core/threads.h"
#include "runtime/model.h"
#include "tools/convert/divergence.h"
#include "tools/convert/source.h"

namespace slm::convert {

struct CheckedPrompt {
  std::string name;
  std::vector<int32_t> tokens;
  Divergence divergence;  // no rows: there was no reference
};

struct SelfCheck {
  size_t texts = 0, round_trips = 0;  // of the tokenizer
  std::string text_lost;              // the first text that did not come back
  bool has_template = false;
  std::vector<CheckedPrompt> prompts;
  Divergence all;
  std::string no_reference;  // why there is none
  double seconds = 0;

  size_t TokenCount() const;
};

// The logits that a folder's should be: a plan, and what keeps it alive.
struct Reference {
  std::shared_ptr<const Plan> plan;
};
// Is called with the opened output. A failure of kind kInvalid: there is no
// reference, for the reason that it says.
using MakeReference = std::function<Result<Reference>(const Model& output)>;

// The source's own weights in float32; `source` and `threads` outlive it.
MakeReference ReferenceOf(const Source& source, const std::string& folder,
                          ThreadPool& threads);

struct SelfCheckOptions {
  bool exact = false;    // the output is float32: nothing may differ
  uint64_t weights = 0;  // of the model: the more, the fewer tokens
};

// kVerify where the folder cannot be what was asked for: it does not open or
// run, logits are not finite, have nothing of the source's in them, or differ
// where they must not.
Result<SelfCheck> CheckOutput(const std::string& folder,
                              const MakeReference& reference,
                              const SelfCheckOptions& options,
                              ThreadPool& threads);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_SELF_CHECK_H_
