// SPDX-License-Identifier: MIT
#ifndef SLM_TOOLS_CONVERT_FILE_HASH_H_
#define SLM_TOOLS_CONVERT_FILE_HASH_H_

#include <cstdint>
#include <string>

#include "runtime/core/result.h"

namespace slm::convert {

// SHA-256 of a file, and its size.
Result<std::string> HashFile(const std::string& path, uint64_t* bytes);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_FILE_HASH_H_
