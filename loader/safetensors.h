// SPDX-License-Identifier: MIT
// Weights of a Hugging Face folder: model.safetensors, or shards that
// model.safetensors.index.json lists. Files are mapped, nothing is copied.
// Every header is checked before a byte of a tensor is touched: names, types,
// shapes and offsets that fill the file without holes or overlaps.
#ifndef SLM_LOADER_SAFETENSORS_H_
#define SLM_LOADER_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/memory.h"
#include "runtime/core/result.h"
#include "runtime/core/shape.h"

namespace slm {

// The format's element types that this program knows; F8 have no DType.
enum class SafeType : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64,
};

const char* SafeTypeName(SafeType type);  // "BF16"
size_t SafeTypeBytes(SafeType type);

struct SafeTensor {
  SafeType type = SafeType::kF32;
  Shape shape;
  std::string_view bytes;  // as long as the SafeTensors live
  uint32_t file = 0;       // index into SafeTensors::files
};

class SafeTensors {
 public:
  // STEM.safetensors or STEM.safetensors.index.json. Every failure names the
  // file, and the tensor where one is at fault.
  static Result<SafeTensors> Open(const std::string& folder,
                                  const std::string& stem = "model");

  // nullptr if there is none of that name.
  const SafeTensor* Find(std::string_view name) const;
  const std::map<std::string, SafeTensor, std::less<>>& tensors() const {
    return tensors_;
  }
  // Names of the files, relative to the folder.
  const std::vector<std::string>& files() const { return names_; }
  uint64_t total_bytes() const { return total_bytes_; }

  // Tells the system that the pages of these bytes of the tensor are not needed
  // soon, so that a reader of many gigabytes stays small.
  void Release(const SafeTensor& tensor, size_t first, size_t count) const;

 private:
  Status AddFile(const std::string& folder, const std::string& name);
  Status AddShards(const std::string& folder, const std::string& index);

  std::vector<MappedFile> maps_;
  std::vector<std::string> names_;
  std::map<std::string, SafeTensor, std::less<>> tensors_;
  uint64_t total_bytes_ = 0;
};

}  // namespace slm

#endif  // SLM_LOADER_SAFETENSORS_H_
