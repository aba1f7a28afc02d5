// SPDX-License-Identifier: MIT
// Opens a model for slm-inspect with the options that its commands share.
#ifndef SLM_TOOLS_INSPECT_OPEN_H_
#define SLM_TOOLS_INSPECT_OPEN_H_

#include <memory>
#include <vector>

#include "runtime/core/threads.h"
#include "runtime/model.h"
#include "tools/inspect/arguments.h"

namespace slm::inspect {

extern const std::vector<OptionSpec> kModelOptions;

struct Opened {
  std::unique_ptr<Model> model;
  std::unique_ptr<ThreadPool> threads;
  std::unique_ptr<Session> session;
};

Result<std::unique_ptr<Model>> OpenModel(const ParsedArguments& arguments);
Result<Opened> OpenSession(const ParsedArguments& arguments);

}  // namespace slm::inspect

#endif  // SLM_TOOLS_INSPECT_OPEN_H_
