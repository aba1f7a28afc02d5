// SPDX-License-Identifier: MIT
// PEFT's LoRA, rsLoRA and DoRA adapters, merged into rows of weights as they
// are read: W' = W + s B A, with DoRA each row scaled to its magnitude.
#ifndef SLM_TOOLS_CONVERT_ADAPTER_H_
#define SLM_TOOLS_CONVERT_ADAPTER_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "loader/safetensors.h"
#include "runtime/core/result.h"
#include "tools/convert/tensors.h"

namespace slm::convert {

struct AdapterRequest {
  std::string folder;
  double scale = 1;  // of the adapter's own
};

// What one adapter does to one tensor [n, k] of the model. Pointers are into
// the set that it is from.
struct AdapterDelta {
  const SafeTensor* a = nullptr;  // [r, k]
  const SafeTensor* b = nullptr;  // [n, r]
  double scale = 1;
  const SafeTensor* magnitude = nullptr;    // [n]; null without DoRA
  const SafeTensor* replacement = nullptr;  // instead of all of these
};

class AdapterSet {
 public:
  AdapterSet() = default;
  // In the order in which they are merged. Fails on what an adapter holds and
  // the model has no place for.
  static Result<AdapterSet> Open(const std::vector<AdapterRequest>& requests,
                                 const TensorSource& model);

  // What is done to this tensor, in order; null if nothing.
  const std::vector<AdapterDelta>* Find(std::string_view tensor) const;
  bool empty() const { return deltas_.empty(); }

 private:
  std::vector<SafeTensors> files_;
  std::map<std::string, std::vector<AdapterDelta>, std::less<>> deltas_;
};

// All that is done to one tensor, ready for its rows.
class RowMerger {
 public:
  // Decodes the A matrices; `deltas` outlive the merger.
  explicit RowMerger(const std::vector<AdapterDelta>& deltas);

  // row [k] of number `n`, from the model; becomes the merged one.
  // Several threads may call it.
  void Merge(size_t n, float* row, size_t k) const;

 private:
  const std::vector<AdapterDelta>& deltas_;
  std::vector<std::vector<float>> a_;
};

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_ADAPTER_H_
