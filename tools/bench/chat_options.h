// SPDX-License-Identifier: MIT
// The flags of slm-bench chat as plain values.
#ifndef SLM_TOOLS_BENCH_CHAT_OPTIONS_H_
#define SLM_TOOLS_BENCH_CHAT_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "tools/bench/flags.h"

namespace slm::bench {

// How an answer is made. Without a temperature the most probable token counts.
struct AnswerOptions {
  size_t max_tokens = 64;
  std::optional<double> temperature;
  std::optional<double> top_p, min_p;
  size_t top_k = 0;  // 0: all
  size_t seed = 1;
};

inline constexpr size_t kMostAnswerTokens = size_t{1} << 20;

struct ChatOptions : CommonOptions {
  std::optional<std::string> file;  // empty: the built-in prompts
  AnswerOptions answer;
  size_t repetitions = 5;
};

extern const FlagSet kChatFlags;
Result<ChatOptions> ReadChatOptions(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_CHAT_OPTIONS_H_
