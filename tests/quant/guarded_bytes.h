// SPDX-License-Identifier: MIT
// Memory whose last byte is the last one of a page before a forbidden page: a
// kernel that reads past the end of a mapped tensor crashes here.
#ifndef SLM_TESTS_QUANT_GUARDED_BYTES_H_
#define SLM_TESTS_QUANT_GUARDED_BYTES_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/core/check.h"

namespace slm {

class GuardedBytes {
 public:
  GuardedBytes() = default;
  explicit GuardedBytes(const std::vector<uint8_t>& bytes)
      : size_(bytes.size()) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mapped_ = (size_ + page - 1) / page * page + page;
    map_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SLM_CHECK(map_ != MAP_FAILED);
    auto* end = static_cast<uint8_t*>(map_) + mapped_ - page;
    data_ = end - size_;
    if (size_) std::memcpy(data_, bytes.data(), size_);
    SLM_CHECK(mprotect(end, page, PROT_NONE) == 0);
  }
  GuardedBytes(GuardedBytes&& other) noexcept { *this = std::move(other); }
  GuardedBytes& operator=(GuardedBytes&& other) noexcept {
    std::swap(map_, other.map_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  ~GuardedBytes() {
    if (map_) munmap(map_, mapped_);
  }

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void* map_ = nullptr;
  uint8_t* data_ = nullptr;
  size_t size_ = 0, mapped_ = 0;
};

template <typename T>
GuardedBytes Guard(const std::vector<T>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return GuardedBytes(bytes);
}

}  // namespace slm

#endif  // SLM_TESTS_QUANT_GUARDED_BYTES_H_
