// SPDX-License-Identifier: MIT
// SHA-256 (FIPS 180-4), for the hashes of files.
#ifndef SLM_RUNTIME_CORE_SHA256_H_
#define SLM_RUNTIME_CORE_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace slm {

class Sha256 {
 public:
  // Takes the CPU's own instructions where it has them and they are allowed.
  explicit Sha256(bool allow_instructions = true);
  void Add(std::string_view bytes);
  // 64 hexadecimal digits; the object is used up.
  std::string Finish();

 private:
  void Block(const uint8_t* data);

  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> rest_;
  uint64_t bytes_ = 0;
  bool fast_ = false;
};

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_SHA256_H_
