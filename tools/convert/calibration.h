// SPDX-License-Identifier: MIT
// Statistics of activations and GPTQ codes for one conversion: read from a
// file, or measured on a float model that is written for the purpose.
#ifndef SLM_TOOLS_CONVERT_CALIBRATION_H_
#define SLM_TOOLS_CONVERT_CALIBRATION_H_

#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/core/threads.h"
#include "tools/convert/graph.h"
#include "tools/convert/options.h"
#include "tools/convert/source.h"
#include "tools/convert/weights.h"

namespace slm::convert {

// kUsage where calibration is asked for and no weight would use it.
Status CheckCalibration(const Options& options,
                        const std::vector<Weight>& weights);

// What `options.calibration` asks for. The float model goes into `folder`,
// which is removed (what is mapped of it stays readable).
Result<Calibration> Calibrate(const Source& source, const Options& options,
                              const std::vector<Weight>& weights,
                              const std::string& folder, ThreadPool& threads);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_CALIBRATION_H_
