// SPDX-License-Identifier: MIT
// --mixed auto: 8 bits where they help most for their bytes. Each matrix whose
// bits are open is put into 4 bits alone, all others in 8, and what that does
// to the model's answers is measured by running it.
#ifndef SLM_TOOLS_CONVERT_MIXED_BITS_H_
#define SLM_TOOLS_CONVERT_MIXED_BITS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/core/threads.h"
#include "tools/convert/calibration_text.h"
#include "tools/convert/graph.h"
#include "tools/convert/options.h"
#include "tools/convert/source.h"

namespace slm::convert {

// A matrix, or a table that embedding and head share.
struct MixedUnit {
  std::string node;
  uint64_t more_bytes = 0;  // in 8 bits than in 4
  double kl = 0;  // mean KL divergence in nats a token with this one in 4 bits
  bool promoted = false;
};

struct MixedChoice {
  std::vector<MixedUnit> units;      // the best first
  std::vector<PrecisionRule> rules;  // of those that are promoted
  uint64_t bytes = 0;                // of all weights then
};

// "8 bits for 3 of 29 matrices, ...: lm_head; down_proj of layers 0, 2"
std::string ChoiceLine(const MixedChoice& choice);

// What all weights take with every open matrix in 4 bits, and in 8.
struct MixedBounds {
  uint64_t low = 0, high = 0;
};
Result<MixedBounds> BoundsOf(const Source& source, const Options& options,
                             const KeptGrids& kept);

// The choice for at most `budget` bytes. Works in `folder`, which does not
// exist before and after.
Result<MixedChoice> ChooseMixedBits(const Source& source,
                                    const Options& options,
                                    const KeptGrids& kept, uint64_t weights,
                                    uint64_t budget, const std::string& folder,
                                    ThreadPool& threads,
                                    const CalibrationProgress& progress);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_MIXED_BITS_H_
