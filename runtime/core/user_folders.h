// SPDX-License-Identifier: MIT
// Where a program keeps what belongs to its user: settings and history.
#ifndef SLM_RUNTIME_CORE_USER_FOLDERS_H_
#define SLM_RUNTIME_CORE_USER_FOLDERS_H_

#include <string>
#include <string_view>

#include "runtime/core/result.h"

namespace slm {

// The value of an environment variable, "" if it is not set.
std::string Environment(const char* name);

// Without a slash at the end; "" where the user has no home.
std::string HomeFolder();
// $XDG_CONFIG_HOME/slm or ~/.config/slm; need not exist.
std::string ConfigFolder();
// $XDG_STATE_HOME/slm or ~/.local/state/slm; need not exist.
std::string StateFolder();

// Makes a folder that only this user may enter, and those around it.
Status MakePrivateFolder(const std::string& path);

// Writes a file that only this user may read. The path holds the old or the
// new content, never half.
Status WritePrivateFile(const std::string& path, std::string_view content);

// An absolute path without links, "." and ".."; parts that do not exist stay
// as they are. The path itself if that fails.
std::string RealPath(const std::string& path);

// Removes a folder with all that is in it. Links are removed, not followed.
Status RemoveFolder(const std::string& path);

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_USER_FOLDERS_H_
