// SPDX-License-Identifier: MIT
// Plans whose weights need little memory: for checking a model that may be
// larger than what the converter promises to take.
#ifndef SLM_TOOLS_CONVERT_LEAN_PLAN_H_
#define SLM_TOOLS_CONVERT_LEAN_PLAN_H_

#include <memory>
#include <string>

#include "runtime/core/result.h"
#include "runtime/core/threads.h"
#include "runtime/plan/plan.h"
#include "tools/convert/source.h"

namespace slm::convert {

// After each step the mapped weights that it read leave this process again.
void ReleaseWeightsAfterUse(Plan* plan);

// The source in float32 as a plan of the graph that slm-convert would write,
// its matrices read from the source a panel at a time whenever they are
// multiplied. Small files are written into `folder` and may be removed when
// this returns. `source` and `threads` outlive the plan.
// kInvalid where the graph has large weights that are no plain matrices.
Result<std::unique_ptr<Plan>> PlanSource(const Source& source,
                                         const DecoderNames& names,
                                         const std::string& folder,
                                         ThreadPool& threads);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_LEAN_PLAN_H_
