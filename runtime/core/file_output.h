// SPDX-License-Identifier: MIT
// Writing large results: files by position, folders that appear whole or not at
// all, and signals that wait until a program looks.
#ifndef SLM_RUNTIME_CORE_FILE_OUTPUT_H_
#define SLM_RUNTIME_CORE_FILE_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "runtime/core/result.h"

namespace slm {

// A new file written at any position. Bytes that nobody wrote are zero.
class FileWriter {
 public:
  FileWriter() = default;
  // Fails if there is such a file.
  static Result<FileWriter> Create(const std::string& path);

  FileWriter(FileWriter&& other) noexcept { *this = std::move(other); }
  FileWriter& operator=(FileWriter&& other) noexcept;
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  ~FileWriter();

  Status WriteAt(uint64_t offset, const void* data, size_t size);
  // Grows to `size` bytes. A failed write may be reported here.
  Status Close(uint64_t size);

 private:
  std::string path_;
  int fd_ = -1;
};

// Bytes that this user may still write into the folder's file system.
Result<uint64_t> FreeDiskBytes(const std::string& folder);

// A folder under a temporary name beside its final one. Until Publish it is
// removed with the object; a process killed before leaves it for the next
// Create of the same name, which begins again.
class FolderWriter {
 public:
  FolderWriter() = default;
  // `path` is the final name. Fails if it exists, unless it may be replaced;
  // and if another process is writing it.
  static Result<FolderWriter> Create(const std::string& path, bool replace);

  FolderWriter(FolderWriter&& other) noexcept { *this = std::move(other); }
  FolderWriter& operator=(FolderWriter&& other) noexcept;
  FolderWriter(const FolderWriter&) = delete;
  FolderWriter& operator=(const FolderWriter&) = delete;
  ~FolderWriter();

  const std::string& temporary() const { return temporary_; }
  // The folder has its final name; one that it replaces is removed.
  Status Publish();

 private:
  std::string path_, temporary_;
  bool replace_ = false;
  int lock_ = -1;
};

// SIGINT, SIGTERM and SIGHUP no longer end the process (nor do threads that are
// started later see them): it asks and cleans up. SIGXFSZ is a failed write.
// Call before any thread.
void HoldSignals();
// The signal that waits, 0 if none does.
int HeldSignal();

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_FILE_OUTPUT_H_
