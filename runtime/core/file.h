// SPDX-License-Identifier: MIT
// Files and folders. Every path is UTF-8.
#ifndef SLM_RUNTIME_CORE_FILE_H_
#define SLM_RUNTIME_CORE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace slm {

bool IsFile(const std::string& path);
bool IsFolder(const std::string& path);

// Names in a folder, sorted; "." and ".." left out. Empty if unreadable.
std::vector<std::string> ListFolder(const std::string& path);

// The same for folders of anybody's: at most so many names.
struct FolderEntries {
  std::vector<std::string> names;  // sorted
  bool readable = false;
  bool cut = false;  // there are more
};
FolderEntries ListEntries(const std::string& path, size_t most);

// Size of a regular file, 0 for anything else.
uint64_t FileBytes(const std::string& path);

// The whole file; fails if it is larger than max_bytes.
Result<std::string> ReadFile(const std::string& path,
                             size_t max_bytes = size_t{1} << 30);

// Writes to a temporary file beside `path`, then renames it: `path` holds the
// old or the new content, never half.
Status WriteFileAtomic(const std::string& path, std::string_view content);

// folder + "/" + name for a name that a file gave us. Refuses absolute paths,
// drives, "..", empty names and NUL, so that the result stays in the folder.
// Symbolic links inside are followed: hub caches are made of them.
Result<std::string> JoinInside(const std::string& folder,
                               std::string_view name);

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_FILE_H_
