// SPDX-License-Identifier: MIT
#include "tools/line/history.h"

#include <algorithm>
#include <utility>

#include "runtime/core/file.h"
#include "runtime/core/user_folders.h"
#include "runtime/core/utf8.h"

namespace slm {
namespace {

constexpr size_t kMostEntries = 1000;
constexpr size_t kMostEntryBytes = 64 << 10;  // a longer text is not kept
constexpr size_t kMostFileBytes = 8 << 20;

// An entry is a line of the file: \n and \\ stand for newline and backslash.
std::string Escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n' || c == '\\') out += '\\';
    out += c == '\n' ? 'n' : c;
  }
  return out;
}

std::string Unescape(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    char c = line[i];
    if (c == '\\' && i + 1 < line.size()) c = line[++i] == 'n' ? '\n' : line[i];
    // Control characters would reach the terminal when the entry is shown.
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= 32 && byte != 127) || c == '\n' || c == '\t') out += c;
  }
  return ReplaceInvalidUtf8(out);
}

std::vector<std::string> Load(const std::string& path) {
  std::vector<std::string> entries;
  const Result<std::string> file = ReadFile(path, kMostFileBytes);
  if (!file.ok()) return entries;
  std::string_view rest = *file;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) entries.push_back(Unescape(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return entries;
}

void Append(const std::string& entry, std::vector<std::string>* entries) {
  if (!entries->empty() && entries->back() == entry) return;
  entries->push_back(entry);
  if (entries->size() > kMostEntries) {
    entries->erase(entries->begin(),
                   entries->end() - static_cast<ptrdiff_t>(kMostEntries));
  }
}

}  // namespace

History::History(std::string path) : path_(std::move(path)) {
  if (!path_.empty()) entries_ = Load(path_);
}

Status History::Add(const std::string& entry) {
  if (entry.empty() || entry.size() > kMostEntryBytes) return OkStatus();
  Append(entry, &entries_);
  if (path_.empty()) return OkStatus();
  std::vector<std::string> saved = Load(path_);
  Append(entry, &saved);
  std::string file;
  for (const std::string& e : saved) file += Escape(e) + "\n";
  SLM_RETURN_IF_ERROR(MakePrivateFolder(path_.substr(0, path_.rfind('/'))));
  return WritePrivateFile(path_, file);
}

}  // namespace slm
