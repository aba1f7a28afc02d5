// SPDX-License-Identifier: MIT
// What slm-convert says of itself: a screen, and all of it.
#ifndef SLM_TOOLS_CONVERT_HELP_H_
#define SLM_TOOLS_CONVERT_HELP_H_

#include <string>

namespace slm::convert {

// --help: what is used most. A test has that its flags are those of HelpAll.
std::string Help();

// What --help-all has behind the list of flags.
std::string HelpNotes();

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_HELP_H_
