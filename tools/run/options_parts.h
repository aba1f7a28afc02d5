// SPDX-License-Identifier: MIT
// The parts that options.cc is made of.
#ifndef SLM_TOOLS_RUN_OPTIONS_PARTS_H_
#define SLM_TOOLS_RUN_OPTIONS_PARTS_H_

#include <span>
#include <string>
#include <string_view>

#include "runtime/core/result.h"
#include "tools/run/flag_reader.h"
#include "tools/run/options.h"

namespace slm {

void ReadSampling(FlagReader* in, RunOptions* o);

// Whether the first word may be a verb: neither after "--" nor beside -m,
// which names the model, so that all words are the prompt.
bool MayBeVerb(std::span<const std::string> args);
// Takes a verb and its words from the beginning of o->prompt_words.
Status ReadVerb(const cxxopts::ParseResult& parsed, RunOptions* o);

// Whether a flag means something to a verb that does not run a model.
bool TakesFlag(RunAction action, std::string_view flag);

}  // namespace slm

#endif  // SLM_TOOLS_RUN_OPTIONS_PARTS_H_
