// SPDX-License-Identifier: MIT
// NumPy's .npy format, version 1.0, for float32 matrices.
#ifndef SLM_TOOLS_INSPECT_NPY_H_
#define SLM_TOOLS_INSPECT_NPY_H_

#include <span>
#include <string>

#include "runtime/core/result.h"

namespace slm::inspect {

// Writes [rows, columns] float32; replaces `path` as a whole.
Status WriteNpy(const std::string& path, std::span<const float> values,
                size_t columns);

}  // namespace slm::inspect

#endif  // SLM_TOOLS_INSPECT_NPY_H_
