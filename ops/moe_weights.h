// SPDX-License-Identifier: MIT
// The weights of one projection of all experts of MoE or QMoE.
#ifndef SLM_OPS_MOE_WEIGHTS_H_
#define SLM_OPS_MOE_WEIGHTS_H_

#include "ops/kernels/gemm.h"
#include "ops/op.h"
#include "quant/qgemm.h"

namespace slm {

// Where a node holds a projection; input number 0 stands for "none".
struct Projection {
  size_t weights = 0;      // [E, N, K] floats or [E, N, K * bits / 8] uint8
  size_t scales = 0;       // [E, N] or [E, N, K / block]; 0: float weights
  size_t bias = 0;         // [E, N]
  size_t zero_points = 0;  // [E, ceil(N*bits/8)], [E, N, ceil(K/block*bits/8)]
  int bits = 0;
  size_t block_size = 0;  // 0: one scale for a row
};

// y [m, N] = x [m, K] * W[e]^T + bias[e]
class ExpertWeights {
 public:
  // Checks every tensor against [experts, n, k].
  static Result<ExpertWeights> Make(const OpContext& context,
                                    const Projection& projection,
                                    size_t experts, size_t n, size_t k);

  size_t n() const { return n_; }
  size_t k() const { return k_; }
  size_t ScratchBytes(size_t m, QGemmMode mode, size_t threads) const;
  void Multiply(ThreadPool& pool, size_t expert, const float* x, size_t m,
                QGemmMode mode, float* y, void* scratch) const;

 private:
  Status CheckQuantized(size_t experts);
  // Kernels know blocks of up to 256 columns with scales of their own: larger
  // blocks and scales of whole rows are spread over those.
  bool Spread() const { return kernel_block_ != scale_block_; }
  size_t SpreadBytes() const;
  BlockQuantMatrix Matrix(size_t expert, void* spread) const;
  float ZeroPoint(size_t row, size_t block) const;

  size_t n_ = 0;
  size_t k_ = 0;
  int bits_ = 0;
  size_t scale_block_ = 0;   // columns with one scale, K for whole rows
  size_t kernel_block_ = 0;  // columns of the kernel's blocks
  bool row_packed_ = false;  // zero points lie along N
  TensorView weights_;
  const float* scales_ = nullptr;
  const uint8_t* zero_points_ = nullptr;
  const float* bias_ = nullptr;
};

}  // namespace slm

#endif  // SLM_OPS_MOE_WEIGHTS_H_
