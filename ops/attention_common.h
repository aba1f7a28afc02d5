// SPDX-License-Identifier: MIT
// What the attention operators share: attributes, scratch, views of tensors.
#ifndef SLM_OPS_ATTENTION_COMMON_H_
#define SLM_OPS_ATTENTION_COMMON_H_

#include <algorithm>
#include <span>
#include <vector>

#include "ops/kernels/attention.h"
#include "ops/kernels/rotary.h"
#include "ops/op.h"

namespace slm {

// Attributes of GroupQueryAttention, ORT's and the bound one.
struct GroupQueryParams {
  int64_t heads = 0;     // H
  int64_t kv_heads = 0;  // K
  float scale = 0;       // 0: 1 / sqrt(E)
  float softcap = 0;
  int64_t window = 0;  // 0: none
  bool causal = true;
  bool rotary = false;
  bool interleaved = false;
  bool smooth = false;
  float norm_epsilon = 0;

  // Reads them; what is wrong is the reader's failure.
  void Read(AttributeReader& a);
  AttentionShape Shape(int64_t head_size) const;
};

// Sizes of query, key and value [B, T, ...], packed [B, T, (H + 2 K) E] where
// key and value are left out.
struct GroupQuerySizes {
  int64_t batch = 0, tokens = 0, head_size = 0;
  bool packed = false;

  static Result<GroupQuerySizes> Of(const OpContext& c,
                                    const GroupQueryParams& p);
};

// Rows of the heads of queries (0), keys (1) or values (2) in the inputs of
// batch entry b.
HeadRows<const float> GroupQueryRows(const OpContext& c,
                                     const GroupQueryParams& p,
                                     const GroupQuerySizes& sizes, size_t which,
                                     size_t b);

Status CheckFloat(const OpContext& c, size_t input);
// Refuses input i unless it is absent or a float tensor of this shape.
Status CheckVector(const OpContext& c, size_t input, int64_t size);

// cos and sin caches [positions, rotary/2] of one pair of inputs.
struct RopeCache {
  const float* cos = nullptr;
  const float* sin = nullptr;
  int64_t positions = 0;
  size_t rotary = 0;

  static Result<RopeCache> Of(const OpContext& c, size_t cos, size_t sin,
                              int64_t head_size);
};

// [B, H, T, S] against the dimensions of a mask that broadcasts to it (S is the
// mask's own). Strides in elements, 0 where it broadcasts.
struct MaskStrides {
  size_t batch = 0, head = 0, token = 0;

  static Result<MaskStrides> Of(const OpContext& c, size_t input, int64_t batch,
                                int64_t heads, int64_t tokens, int64_t keys);
};

// Hands out parts of the scratch; without memory it only counts.
class Carver {
 public:
  explicit Carver(void* base) : base_(static_cast<uint8_t*>(base)) {}

  template <typename T>
  T* Take(size_t count) {
    const size_t at = used_;
    used_ += RoundUp(count * sizeof(T), kAlignment);
    return base_ ? reinterpret_cast<T*>(base_ + at) : nullptr;
  }
  size_t used() const { return used_; }

 private:
  uint8_t* base_;
  size_t used_ = 0;
};

// A plain float tensor [heads, rows, width] of keys or values.
inline KvRows PlainRows(const float* base, size_t row_stride,
                        size_t head_stride) {
  return {.dtype = DType::kF32,
          .base = reinterpret_cast<const uint8_t*>(base),
          .head_stride = head_stride * sizeof(float),
          .row_stride = row_stride * sizeof(float)};
}

// Threads of the context, one without a pool (constant folding).
size_t ThreadsOf(const OpContext& c);

// Attention of all `sequences` with scratch from `carver`; without memory
// (infer) it only counts the scratch.
void CarveAndAttend(const OpContext& c, const AttentionShape& shape,
                    std::span<const AttentionSequence> sequences,
                    Carver& carver, const AttentionRowMaker* maker = nullptr);

}  // namespace slm

#endif  // SLM_OPS_ATTENTION_COMMON_H_
