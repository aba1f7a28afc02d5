// SPDX-License-Identifier: MIT
// What becomes of a source that is quantised already: it keeps its codes and
// blocks unless the user asks for others.
#ifndef SLM_TOOLS_CONVERT_KEPT_H_
#define SLM_TOOLS_CONVERT_KEPT_H_

#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "tools/convert/adapter.h"
#include "tools/convert/graph.h"
#include "tools/convert/options.h"
#include "tools/convert/tensors.h"

namespace slm::convert {

// Without a precision of the user's, that of the source's integers.
void FollowSource(const TensorSource& source, Options* options);

// The tensors whose codes go into the graph, in the format that they have
// there: blocks and zero points are the user's where these hold the same
// values. Fails where they do not (kUsage).
Result<KeptGrids> ChooseKept(const TensorSource& source,
                             const AdapterSet& adapters, const Options& options,
                             std::vector<std::string>* notes);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_KEPT_H_
