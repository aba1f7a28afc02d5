// SPDX-License-Identifier: MIT
// Conversations to answer: the built-in ones, or those of a file.
#ifndef SLM_TOOLS_BENCH_PROMPTS_H_
#define SLM_TOOLS_BENCH_PROMPTS_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/core/result.h"

namespace slm::bench {

struct Prompt {
  std::string name;                                           // "line 3"
  std::vector<std::pair<std::string, std::string>> messages;  // role, content
};

// From a question of a few words to an article of a few hundred.
std::vector<Prompt> BuiltInPrompts();

// JSON lines, {"prompt": "..."} or {"messages": [{"role": "...", "content":
// "..."}, ...]}; empty lines do not count. A failure names `file` and line.
Result<std::vector<Prompt>> ParsePrompts(std::string_view text,
                                         const std::string& file);
Result<std::vector<Prompt>> LoadPrompts(const std::string& path);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_PROMPTS_H_
