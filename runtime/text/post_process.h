// SPDX-License-Identifier: MIT
// Post-processors of tokenizer.json: tokens put around a text's ids, and the
// file's truncation and padding.
#ifndef SLM_RUNTIME_TEXT_POST_PROCESS_H_
#define SLM_RUNTIME_TEXT_POST_PROCESS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/core/result.h"

namespace slm::text {

// A part of a template: the text's ids, or fixed ones.
struct TemplatePart {
  bool is_sequence = false;
  bool is_second = false;  // sequence B
  std::vector<int32_t> ids;
};

struct PostProcessorStep {
  enum class Kind : uint8_t {
    kNone,  // ByteLevel: it changes offsets, which nobody here asks for
    kBert,
    kRoberta,
    kTemplate
  };
  Kind kind;
  int32_t cls = 0, sep = 0;                // Bert, Roberta
  std::vector<TemplatePart> single, pair;  // Template
};

struct Truncation {
  size_t max_length = 0;
  size_t stride = 0;
  bool left = false;         // drops ids at the left
  bool only_second = false;  // the strategy that needs a second text
};

struct Padding {
  std::optional<size_t> length;  // none: as long as the text
  size_t multiple = 0;           // 0 = any length
  bool left = false;
  int32_t id = 0;
};

// What a tokenizer does with the ids of a text before it returns them.
struct PostProcessing {
  std::vector<PostProcessorStep> steps;
  std::optional<Truncation> truncation;
  std::optional<Padding> padding;
};

Status PostProcess(const PostProcessing& post, bool add_special_tokens,
                   std::vector<int32_t>* ids);

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_POST_PROCESS_H_
