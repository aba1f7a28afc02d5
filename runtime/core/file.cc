// SPDX-License-Identifier: MIT
#include "runtime/core/file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace slm {
namespace fs = std::filesystem;

bool IsFile(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool IsFolder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::vector<std::string> ListFolder(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator it(path, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

FolderEntries ListEntries(const std::string& path, size_t most) {
  FolderEntries entries;
  std::error_code error;
  fs::directory_iterator it(path, error);
  entries.readable = !error;
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    if (entries.names.size() >= most) {
      entries.cut = true;
      break;
    }
    entries.names.push_back(it->path().filename().string());
  }
  std::sort(entries.names.begin(), entries.names.end());
  return entries;
}

uint64_t FileBytes(const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return 0;
  const uint64_t size = fs::file_size(path, error);
  return error ? 0 : size;
}

Result<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  const std::string shown = Printable(path, 400);
  if (!IsFile(path)) {
    return Error(ErrorKind::kNotFound, "cannot open \"%s\": no such file",
                 shown.c_str());
  }
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) {
    return Error(ErrorKind::kNotFound, "cannot open \"%s\": %s", shown.c_str(),
                 std::strerror(errno));
  }
  std::string content;
  char chunk[65536];
  size_t got;
  while ((got = std::fread(chunk, 1, sizeof chunk, file)) > 0) {
    if (content.size() + got > max_bytes) {
      std::fclose(file);
      return Invalid("\"%s\" is larger than %zu bytes", shown.c_str(),
                     max_bytes);
    }
    content.append(chunk, got);
  }
  const bool failed = std::ferror(file) != 0;
  std::fclose(file);
  if (failed) {
    return Error(ErrorKind::kNotFound, "cannot read \"%s\"", shown.c_str());
  }
  return content;
}

Status WriteFileAtomic(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".tmp";
  std::FILE* file = std::fopen(temporary.c_str(), "wb");
  if (!file) {
    return Error(ErrorKind::kRuntime, "cannot write \"%s\": %s",
                 Printable(temporary, 400).c_str(), std::strerror(errno));
  }
  const bool written =
      std::fwrite(content.data(), 1, content.size(), file) == content.size();
  const bool closed = std::fclose(file) == 0;
  std::error_code error;
  if (written && closed) fs::rename(temporary, path, error);
  if (!written || !closed || error) {
    std::remove(temporary.c_str());
    return Error(ErrorKind::kRuntime, "cannot write \"%s\": %s",
                 Printable(path, 400).c_str(),
                 error ? error.message().c_str() : std::strerror(errno));
  }
  return OkStatus();
}

Result<std::string> JoinInside(const std::string& folder,
                               std::string_view name) {
  bool bad = name.empty() || name.find('\0') != std::string_view::npos ||
             name.front() == '/' || name.front() == '\\' ||
             (name.size() > 1 && name[1] == ':');
  for (size_t begin = 0; !bad && begin <= name.size();) {
    size_t end = name.find_first_of("/\\", begin);
    if (end == std::string_view::npos) end = name.size();
    bad = name.substr(begin, end - begin) == "..";
    begin = end + 1;
  }
  if (bad) {
    return Invalid("path \"%s\" leaves the model folder",
                   Printable(name).c_str());
  }
  return folder + "/" + std::string(name);
}

}  // namespace slm
