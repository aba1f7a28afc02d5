// SPDX-License-Identifier: MIT
// A text cut into windows of tokens, and which tokens of each are scored.
#ifndef SLM_TOOLS_BENCH_WINDOWS_H_
#define SLM_TOOLS_BENCH_WINDOWS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/tokenizer.h"

namespace slm::bench {

struct WindowOptions {
  // Tokens of a window; 0: 512, or the model's context where that is less.
  size_t window = 0;
  // 0: windows lie side by side, and of each the second half is scored, as in
  // llama-perplexity: of 512 tokens the last 255 (512 - 1 - 512 / 2). What is
  // left at the end of the text and fills no window is not scored.
  // Else a window begins every `stride` tokens, up to one that reaches the end
  // of the text, and scores what none before it did, as in Hugging Face's
  // "Perplexity of fixed-length models": all tokens but the first.
  size_t stride = 0;
  size_t most_windows = 0;  // 0: all
  // Control tokens that the text spells out are tokens, not plain text.
  bool parse_special = false;
};

// The tokens [first, size) of a window are scored, each after all before it.
struct Window {
  size_t begin = 0;  // index into the text's tokens
  size_t size = 0;
  size_t first = 0;  // at least 1
};

struct WindowedText {
  std::vector<int32_t> tokens;
  // Stands for the first token of every window, as in llama-perplexity; -1:
  // nothing does.
  int32_t bos = -1;
  size_t window = 0;
  size_t stride = 0;
  std::vector<Window> windows;
  size_t positions = 0;       // scored tokens of all windows
  uint64_t scored_bytes = 0;  // of text that they spell
  std::string note;           // what is not as the options would have it, or ""

  // The tokens of a window as the model gets them.
  std::vector<int32_t> TokensOf(const Window& window) const;
};

// Fills in `windows`, `positions` and `note`. Fails with kUsage where fewer
// than two tokens leave nothing to score.
Status CutIntoWindows(const WindowOptions& options, WindowedText* text);

// Encodes the text with what the tokenizer puts around a text, and cuts it for
// a model of `context_length` and of `vocab_size` logits. Refuses text that is
// not UTF-8 and windows longer than the context.
Result<WindowedText> MakeWindows(const Tokenizer& tokenizer,
                                 size_t context_length, size_t vocab_size,
                                 std::string_view text,
                                 const WindowOptions& options);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_WINDOWS_H_
