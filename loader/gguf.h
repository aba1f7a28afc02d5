// SPDX-License-Identifier: MIT
// llama.cpp's GGUF files, versions 2 and 3, little-endian: metadata and
// tensors, mapped, nothing is copied. Everything that a file says about itself
// is checked before it is used: counts, lengths, types, offsets, alignment.
#ifndef SLM_LOADER_GGUF_H_
#define SLM_LOADER_GGUF_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/memory.h"
#include "runtime/core/result.h"
#include "runtime/core/shape.h"

namespace slm {

// Element types that this program reads, by what the format calls them.
enum class GgufType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};

const char* GgufTypeName(GgufType type);  // "Q4_K"
size_t GgufBlockValues(GgufType type);    // values that share a block: 32
size_t GgufBlockBytes(GgufType type);     // bytes of such a block: 18

struct GgufTensor {
  GgufType type = GgufType::kF32;
  Shape shape;             // rows first: the file's dimensions, turned round
  std::string_view bytes;  // as long as the Gguf lives
  uint32_t file = 0;       // index into Gguf::files
};

// A value of the metadata; views are into the file.
struct GgufValue {
  enum class Kind : uint8_t { kInt, kFloat, kBool, kString, kArray };
  Kind kind = Kind::kInt;
  Kind element = Kind::kInt;  // of kArray; never kArray
  uint8_t type = 0;           // the format's, of kArray the elements'
  int64_t integer = 0;        // kInt, and 0 or 1 of kBool
  double number = 0;          // kFloat
  std::string_view text;      // of kString
  size_t count = 0;           // of kArray
  std::string_view raw;       // of kArray: its elements as they are stored

  // Of arrays of that kind; empty of others.
  std::vector<std::string_view> Strings() const;
  std::vector<int64_t> Ints() const;  // booleans, too
  std::vector<double> Floats() const;
};

class Gguf {
 public:
  // A file, or any one of the files NAME-00001-of-00003.gguf. Every failure
  // names the file, and the key or tensor that is at fault.
  static Result<Gguf> Open(const std::string& path);

  // nullptr if there is none of that name.
  const GgufTensor* Find(std::string_view name) const;
  const GgufValue* Value(std::string_view key) const;

  const std::map<std::string, GgufTensor, std::less<>>& tensors() const {
    return tensors_;
  }
  // Of the first file.
  const std::map<std::string, GgufValue, std::less<>>& values() const {
    return values_;
  }
  // Names of the files, without their folder.
  const std::vector<std::string>& files() const { return names_; }
  uint64_t total_bytes() const { return total_bytes_; }  // of the tensors

  // The pages of these bytes of the tensor are not needed soon.
  void Release(const GgufTensor& tensor, size_t first, size_t count) const;

 private:
  Status AddFile(const std::string& path, size_t number, size_t files);
  Status ReadFile(std::string_view file, size_t number, size_t files);
  Status CheckSplit(size_t files) const;

  std::vector<MappedFile> maps_;
  std::vector<std::string> names_;
  std::map<std::string, GgufTensor, std::less<>> tensors_;
  std::map<std::string, GgufValue, std::less<>> values_;
  uint64_t total_bytes_ = 0;
};

// The one model among the .gguf files of a folder, as a path for Open; nullopt
// if there is no such file. Fails, naming them, where there are several.
Result<std::optional<std::string>> FindGguf(const std::string& folder);

// The paths of all files of which `path` is one, in their order; the path
// alone where its name has no "-00001-of-00003".
Result<std::vector<std::string>> GgufSplitPaths(const std::string& path);

}  // namespace slm

#endif  // SLM_LOADER_GGUF_H_
