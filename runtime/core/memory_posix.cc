// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "runtime/core/memory.h"

namespace slm {

Result<AlignedBuffer> AlignedBuffer::Allocate(size_t alignment, size_t size,
                                              const char* what) {
  AlignedBuffer buffer;
  void* data = nullptr;
  // Half of the address space: more is a size that went wrong.
  if (size > PTRDIFF_MAX - kPadding ||
      posix_memalign(&data, alignment, size + kPadding) != 0) {
    return Error(ErrorKind::kMemory, "not enough memory: %zu bytes for %s",
                 size, what);
  }
  buffer.data_ = data;
  buffer.size_ = size;
  return buffer;
}

Result<AlignedBuffer> AlignedBuffer::Allocate(size_t size, const char* what) {
  return Allocate(kAlignment, size, what);
}

Result<AlignedBuffer> AlignedBuffer::AllocateHuge(const char* what) {
  SLM_ASSIGN_OR_RETURN(AlignedBuffer buffer,
                       Allocate(kHugePage, kHugePage - kPadding, what));
#if defined(MADV_HUGEPAGE)
  // Without, it is memory all the same.
  madvise(buffer.data(), kHugePage, MADV_HUGEPAGE);
#endif
  return buffer;
}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

AlignedBuffer::~AlignedBuffer() { std::free(data_); }

Result<MappedFile> MappedFile::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return Error(ErrorKind::kNotFound, "cannot open \"%s\": %s",
                 Printable(path, 400).c_str(), std::strerror(errno));
  }
  struct stat info;
  MappedFile file;
  Status status;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    status = Error(ErrorKind::kNotFound, "cannot open \"%s\": not a file",
                   Printable(path, 400).c_str());
  } else if (info.st_size > 0) {
    void* data = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ,
                      MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
      status = Error(ErrorKind::kNotFound, "cannot map \"%s\": %s",
                     Printable(path, 400).c_str(), std::strerror(errno));
    } else {
      file.data_ = static_cast<const uint8_t*>(data);
      file.size_ = static_cast<size_t>(info.st_size);
    }
  }
  close(fd);
  if (!status.ok()) return status;
  return file;
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::Release(const void* begin, size_t bytes) const {
  const auto from = reinterpret_cast<uintptr_t>(begin);
  const auto base = reinterpret_cast<uintptr_t>(data_);
  if (from < base || from - base > size_ || bytes > size_ - (from - base)) {
    return;
  }
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = (from + page - 1) / page * page;
  const uintptr_t last = (from + bytes) / page * page;
  if (first < last) {
    madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<uint8_t*>(data_), size_);
}

void MappedFile::Release(std::string_view part) const {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = reinterpret_cast<const uint8_t*>(part.data()) - data_;
  const size_t first = (begin + page - 1) / page * page;
  const size_t last = (begin + part.size()) / page * page;
  if (first < last) {
    madvise(const_cast<uint8_t*>(data_) + first, last - first, MADV_DONTNEED);
  }
}

ProcessMemory GetProcessMemory() {
  ProcessMemory memory;
  rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
#if defined(__APPLE__)
    memory.peak = static_cast<size_t>(usage.ru_maxrss);
#else
    memory.peak = static_cast<size_t>(usage.ru_maxrss) * 1024;
#endif
  }
  if (std::FILE* f = std::fopen("/proc/self/statm", "r")) {
    size_t total = 0, resident = 0;
    if (std::fscanf(f, "%zu %zu", &total, &resident) == 2) {
      memory.resident = resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    }
    std::fclose(f);
  }
  return memory;
}

SystemMemory GetSystemMemory() {
  SystemMemory memory;
  if (std::FILE* f = std::fopen("/proc/meminfo", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, f)) {
      size_t kib = 0;
      if (std::sscanf(line, "MemTotal: %zu", &kib) == 1) {
        memory.total = kib << 10;
      } else if (std::sscanf(line, "MemAvailable: %zu", &kib) == 1) {
        memory.available = kib << 10;
      }
    }
    std::fclose(f);
  }
  // A container's limit; "max" where it has none.
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/memory.max", "r")) {
    size_t limit = 0;
    if (std::fscanf(f, "%zu", &limit) == 1 && limit < memory.total) {
      memory.total = limit;
      memory.available = std::min(memory.available, limit);
    }
    std::fclose(f);
  }
  return memory;
}

}  // namespace slm
