// SPDX-License-Identifier: MIT
#include "tools/run/transcript.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "loader/json.h"
#include "runtime/core/file.h"
#include "runtime/core/user_folders.h"

namespace slm {
namespace {

constexpr size_t kMostBytes = size_t{64} << 20;
constexpr std::string_view kRoles[] = {"system", "developer", "user",
                                       "assistant", "tool"};

Result<Turn> ParseTurn(std::string_view line) {
  SLM_ASSIGN_OR_RETURN(const JsonDocument document,
                       JsonDocument::Parse(std::string(line)));
  const JsonValue* role = document.root().Find("role");
  const JsonValue* content = document.root().Find("content");
  if (!role || !role->IsString() || !content || !content->IsString()) {
    return Invalid("not an object with the texts \"role\" and \"content\"");
  }
  if (std::find(std::begin(kRoles), std::end(kRoles), role->String()) ==
      std::end(kRoles)) {
    return Invalid(
        "role is \"%s\", must be system, developer, user, assistant "
        "or tool",
        Printable(role->String()).c_str());
  }
  return Turn{std::string(role->String()), std::string(content->String())};
}

}  // namespace

Result<Transcript> LoadTranscript(const std::string& path) {
  SLM_ASSIGN_OR_RETURN(const std::string file, ReadFile(path, kMostBytes));
  Transcript turns;
  std::string_view rest = file;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Result<Turn> turn = ParseTurn(line);
    if (!turn.ok()) {
      return turn.status().In(
          Format("\"%s\", line %zu", Printable(path, 400).c_str(), number));
    }
    turns.push_back(std::move(turn).value());
  }
  return turns;
}

Status SaveTranscript(const std::string& path, const Transcript& turns) {
  std::string file;
  for (const Turn& turn : turns) {
    file += "{\"role\":";
    AppendJsonString(turn.role, &file);
    file += ",\"content\":";
    AppendJsonString(turn.content, &file);
    file += "}\n";
  }
  return WritePrivateFile(path, file);
}

}  // namespace slm
