// SPDX-License-Identifier: MIT
// Memory: aligned buffers that fail by value, and files mapped read-only.
#ifndef SLM_RUNTIME_CORE_MEMORY_H_
#define SLM_RUNTIME_CORE_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/core/result.h"

namespace slm {

// Widest vector (AVX-512) and cache line of the machines that we know.
inline constexpr size_t kAlignment = 64;
// Kernels may read (never write) this far past the end of an AlignedBuffer.
inline constexpr size_t kPadding = 64;

// What one entry of the processor's table of addresses covers at best.
inline constexpr size_t kHugePage = size_t{2} << 20;

// Owns `size` bytes aligned to kAlignment with kPadding readable bytes behind.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // Uninitialised; fails with kMemory, naming `what` and the size.
  static Result<AlignedBuffer> Allocate(size_t size, const char* what);
  // kHugePage - kPadding bytes of one huge page where the system has these for
  // who asks; all of it is then in memory once a byte is.
  static Result<AlignedBuffer> AllocateHuge(const char* what);

  AlignedBuffer(AlignedBuffer&& other) noexcept { *this = std::move(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer();

  void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  static Result<AlignedBuffer> Allocate(size_t alignment, size_t size,
                                        const char* what);

  void* data_ = nullptr;
  size_t size_ = 0;
};

// A whole file mapped read-only. Reading past its end is never allowed: a
// kernel that over-reads must be given a copy.
class MappedFile {
 public:
  MappedFile() = default;
  // Fails with kNotFound if the file cannot be opened or is no regular file.
  // An empty file gives an empty mapping.
  static Result<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  // Whole pages of [begin, begin + bytes) leave this process's memory until
  // they are read again. Nothing where the range is not in the mapping.
  void Release(const void* begin, size_t bytes) const;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  std::string_view view() const {
    return {reinterpret_cast<const char*>(data_), size_};
  }
  // The pages inside `part`, which is a part of this file, leave this process;
  // reading them again brings them back from the file.
  void Release(std::string_view part) const;

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Resident set of this process in bytes, now and at its peak; 0 if unknown.
struct ProcessMemory {
  size_t resident = 0;
  size_t peak = 0;
};
ProcessMemory GetProcessMemory();

// Memory of the machine, or of the container that this process is in, in
// bytes; 0 if unknown.
struct SystemMemory {
  size_t total = 0;
  size_t available = 0;  // without swapping
};
SystemMemory GetSystemMemory();

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_MEMORY_H_
