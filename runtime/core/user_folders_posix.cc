// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "runtime/core/user_folders.h"

namespace slm {
namespace fs = std::filesystem;
namespace {

// The XDG specification has relative paths ignored.
std::string XdgFolder(const char* variable, const char* below_home) {
  std::string base = Environment(variable);
  if (base.empty() || base[0] != '/') {
    const std::string home = HomeFolder();
    if (home.empty()) return "";
    base = home + below_home;
  }
  return base + "/slm";
}

Status CannotWrite(const std::string& path, const char* why) {
  return Error(ErrorKind::kRuntime, "cannot write \"%s\": %s",
               Printable(path, 400).c_str(), why);
}

bool WriteAndSync(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    content.remove_prefix(static_cast<size_t>(n));
  }
  return fsync(fd) == 0;
}

}  // namespace

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string HomeFolder() {
  std::string home = Environment("HOME");
  while (home.size() > 1 && home.back() == '/') home.pop_back();
  return home;
}

std::string ConfigFolder() { return XdgFolder("XDG_CONFIG_HOME", "/.config"); }
std::string StateFolder() {
  return XdgFolder("XDG_STATE_HOME", "/.local/state");
}

Status MakePrivateFolder(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return OkStatus();
  fs::create_directories(path, error);
  if (!error) fs::permissions(path, fs::perms::owner_all, error);
  return error ? CannotWrite(path, error.message().c_str()) : OkStatus();
}

Status WritePrivateFile(const std::string& path, std::string_view content) {
  // Two programs that write the same file have two temporary ones.
  const std::string temporary =
      path + Format(".%ld.tmp", static_cast<long>(getpid()));
  const int fd =
      open(temporary.c_str(),
           O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return CannotWrite(path, std::strerror(errno));
  const bool written = WriteAndSync(fd, content);
  const int why = errno;
  const bool closed = close(fd) == 0;
  if (!written || !closed || rename(temporary.c_str(), path.c_str()) != 0) {
    const int reason = written ? errno : why;
    unlink(temporary.c_str());
    return CannotWrite(path, std::strerror(reason));
  }
  return OkStatus();
}

std::string RealPath(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  if (error) return path;
  std::string real = fs::weakly_canonical(absolute, error).string();
  if (error) return absolute.lexically_normal().string();
  while (real.size() > 1 && real.back() == '/') real.pop_back();
  return real;
}

Status RemoveFolder(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (!error) return OkStatus();
  return Error(ErrorKind::kRuntime, "cannot remove \"%s\": %s",
               Printable(path, 400).c_str(), error.message().c_str());
}

}  // namespace slm
