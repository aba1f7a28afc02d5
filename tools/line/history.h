// SPDX-License-Identifier: MIT
// What was typed before, in a file of the user's.
#ifndef SLM_TOOLS_LINE_HISTORY_H_
#define SLM_TOOLS_LINE_HISTORY_H_

#include <string>
#include <vector>

#include "runtime/core/result.h"

namespace slm {

class History {
 public:
  // An empty path: kept in memory only. A file that cannot be read is as none.
  explicit History(std::string path);

  const std::vector<std::string>& entries() const { return entries_; }
  // Appends, unless it repeats the last entry, and saves. What another program
  // saved meanwhile stays.
  Status Add(const std::string& entry);

 private:
  std::string path_;
  std::vector<std::string> entries_;  // oldest first
};

}  // namespace slm

#endif  // SLM_TOOLS_LINE_HISTORY_H_
