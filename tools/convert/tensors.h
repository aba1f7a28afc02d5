// SPDX-License-Identifier: MIT
// Where a source's tensors come from: the seam between file formats and the
// weights of a graph (weights.h). A format is one TensorSource: it checks its
// file when it is opened and lists its tensors under the names, shapes [n, k]
// and row order of transformers' state dict; rows are then read panel by panel
// from several threads. Where a tensor lies on a grid of MatMulNBits already,
// `grid` says so, and its codes are copied, not quantised again.
//
// A new format: fill tensors_, files_ and total_bytes_ in an Open function that
// returns Result<std::unique_ptr<TensorSource>>, implement ReadRows, and
// ReadCodes where a tensor has a grid; open it in source.cc.
#ifndef SLM_TOOLS_CONVERT_TENSORS_H_
#define SLM_TOOLS_CONVERT_TENSORS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quant/quantize.h"
#include "runtime/core/result.h"
#include "runtime/core/shape.h"

namespace slm::convert {

// How MatMulNBits would hold a tensor exactly: w[n, k] = (q - z) * s with
// q and z of `bits` bits, one s and z for each aligned block of columns.
struct QuantGrid {
  int bits = 4;            // 4 or 8
  size_t block_size = 32;  // power of two, 16..256
  bool symmetric = true;   // z = 2^(bits-1) everywhere
  // Column i of the grid is column (*columns)[i] of the tensor: x is brought
  // into this order before the product. Null: i.
  std::shared_ptr<const std::vector<int32_t>> columns;
};

struct TensorInfo {
  Shape shape;               // [n, k], or [n]
  const char* type = "";     // as its format calls it, for messages: "BF16"
  bool readable = true;      // ReadRows knows the type
  int64_t rows_at_once = 1;  // that ReadRows is best called with
  bool quantized = false;    // to integers, whether it has a grid or not
  int bits = 0;              // of those without: what comes nearest, 4 or 8
  std::optional<QuantGrid> grid;
};

class TensorSource {
 public:
  using Tensors = std::map<std::string, TensorInfo, std::less<>>;

  TensorSource() = default;
  virtual ~TensorSource() = default;
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;

  const Tensors& tensors() const { return tensors_; }
  // nullptr if there is none of that name.
  const TensorInfo* Find(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  // Names of the files, relative to the source's folder.
  const std::vector<std::string>& files() const { return files_; }
  // What the user should know of this source.
  const std::vector<std::string>& notes() const { return notes_; }
  uint64_t total_bytes() const { return total_bytes_; }
  // Its tensors are of several types: what does not fit the user's flags is
  // quantised again, where it is an error otherwise.
  bool mixed_types() const { return mixed_types_; }

  // out [rows, k] = rows [first, first + rows) of a readable tensor in float32;
  // of a vector [n] rows of one value. Several threads may call it. Values need
  // not be finite: the caller looks.
  virtual void ReadRows(std::string_view name, int64_t first, int64_t rows,
                        float* out) const = 0;

  // The same rows of a tensor with a grid, in its order of columns, as codes,
  // scales and (where `as.symmetric` is false) zero points of `as`: a format
  // that its grid fits (Fits), so that (q - z) * s is what ReadRows gives.
  // Columns after the last are z. as.algorithm means nothing. Several threads
  // may call it.
  virtual void ReadCodes(std::string_view name, int64_t first, int64_t rows,
                         const QuantizeOptions& as,
                         const QuantizedRows& out) const;

  // These rows are not needed soon: pages may be given back.
  virtual void Release(std::string_view name, int64_t first,
                       int64_t rows) const;

  // Both are there and have the same type, shape and bytes.
  virtual bool SameBytes(std::string_view a, std::string_view b) const;

 protected:
  Tensors tensors_;
  std::vector<std::string> files_;
  std::vector<std::string> notes_;
  uint64_t total_bytes_ = 0;
  bool mixed_types_ = false;
};

// A weight in the format `as` can hold a tensor of this grid exactly: codes
// widen, blocks split, and a zero point may be written out.
bool Fits(const QuantGrid& grid, const QuantizeOptions& as);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_TENSORS_H_
