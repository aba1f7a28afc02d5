// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "runtime/core/file.h"
#include "runtime/core/file_output.h"

namespace slm {
namespace {

namespace fs = std::filesystem;

Status WriteFailure(const std::string& path, const char* why) {
  return Error(ErrorKind::kRuntime, "cannot write \"%s\": %s",
               Printable(path, 400).c_str(), why);
}

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// The names of two folders change places in one step.
bool Exchange(const std::string& a, const std::string& b) {
#if defined(RENAME_EXCHANGE)
  return renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) ==
         0;
#else
  (void)a;
  (void)b;
  return false;
#endif
}

}  // namespace

Result<FileWriter> FileWriter::Create(const std::string& path) {
  FileWriter writer;
  writer.path_ = path;
  writer.fd_ =
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (writer.fd_ < 0) return WriteFailure(path, std::strerror(errno));
  return writer;
}

FileWriter& FileWriter::operator=(FileWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) close(fd_);
}

Status FileWriter::WriteAt(uint64_t offset, const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    // Linux writes at most 2 GiB - 4 KiB at once.
    const ssize_t done = pwrite(fd_, at, std::min(size, size_t{1} << 30),
                                static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return WriteFailure(path_, std::strerror(errno));
    at += done;
    offset += static_cast<uint64_t>(done);
    size -= static_cast<size_t>(done);
  }
  return OkStatus();
}

Status FileWriter::Close(uint64_t size) {
  const bool grown = ftruncate(fd_, static_cast<off_t>(size)) == 0;
  const bool closed = close(std::exchange(fd_, -1)) == 0;
  return grown && closed ? OkStatus()
                         : WriteFailure(path_, std::strerror(errno));
}

Result<uint64_t> FreeDiskBytes(const std::string& folder) {
  struct statvfs info;
  if (statvfs(folder.c_str(), &info) != 0) {
    return Error(ErrorKind::kRuntime, "cannot examine \"%s\": %s",
                 Printable(folder, 400).c_str(), std::strerror(errno));
  }
  return uint64_t{info.f_bavail} * info.f_frsize;
}

Result<FolderWriter> FolderWriter::Create(const std::string& path,
                                          bool replace) {
  FolderWriter writer;
  writer.path_ = WithoutSlash(path);
  writer.replace_ = replace;
  std::error_code error;
  const fs::file_status status = fs::symlink_status(writer.path_, error);
  if (fs::exists(status)) {
    if (!fs::is_directory(status)) {
      return Error(ErrorKind::kRuntime, "\"%s\" exists and is no folder",
                   Printable(path, 400).c_str());
    }
    if (!replace && !fs::is_empty(writer.path_, error)) {
      return Error(ErrorKind::kRuntime,
                   "\"%s\" exists; --force replaces the folder",
                   Printable(path, 400).c_str());
    }
    writer.replace_ = true;
  }
  const std::string temporary = writer.path_ + ".slm-convert.tmp";
  fs::create_directories(temporary, error);
  if (error) return WriteFailure(temporary, error.message().c_str());
  // The lock goes with the process, so a folder without one is left over.
  const int lock = open(temporary.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock < 0) return WriteFailure(temporary, std::strerror(errno));
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    close(lock);
    return WriteFailure(path, "another process is writing it");
  }
  writer.lock_ = lock;
  writer.temporary_ = temporary;
  for (const std::string& name : ListFolder(temporary)) {
    fs::remove_all(temporary + "/" + name, error);
  }
  return writer;
}

FolderWriter& FolderWriter::operator=(FolderWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  std::swap(replace_, other.replace_);
  std::swap(lock_, other.lock_);
  return *this;
}

FolderWriter::~FolderWriter() {
  std::error_code error;
  if (!temporary_.empty()) fs::remove_all(temporary_, error);
  if (lock_ >= 0) close(lock_);
}

Status FolderWriter::Publish() {
  std::error_code error;
  if (replace_ && fs::is_directory(path_, error)) {
    if (Exchange(temporary_, path_)) {
      fs::remove_all(temporary_, error);  // the old one
      temporary_.clear();
      return OkStatus();
    }
    // A file system that cannot exchange names has a moment without either.
    const std::string old = path_ + ".slm-convert.old";
    fs::remove_all(old, error);
    fs::rename(path_, old, error);
    if (error) return WriteFailure(path_, error.message().c_str());
    fs::rename(temporary_, path_, error);
    if (error) {
      std::error_code ignored;
      fs::rename(old, path_, ignored);
      return WriteFailure(path_, error.message().c_str());
    }
    fs::remove_all(old, error);
    temporary_.clear();
    return OkStatus();
  }
  fs::rename(temporary_, path_, error);
  if (error) return WriteFailure(path_, error.message().c_str());
  temporary_.clear();
  return OkStatus();
}

void HoldSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  // A file that may not grow is then a failed write like any other.
  signal(SIGXFSZ, SIG_IGN);
}

int HeldSignal() {
  sigset_t set;
  sigemptyset(&set);
  sigpending(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (sigismember(&set, signal) == 1) return signal;
  }
  return 0;
}

}  // namespace slm
