// SPDX-License-Identifier: MIT
// What this machine can do at most, each measured in a tenth of a second: the
// two limits that decode (reading) and prefill (multiplying) run against.
#ifndef SLM_OPS_KERNELS_MACHINE_LIMITS_H_
#define SLM_OPS_KERNELS_MACHINE_LIMITS_H_

#include <cstddef>

#include "runtime/core/result.h"
#include "runtime/core/threads.h"

namespace slm {

// Bytes a second that the pool's threads read together: the sum of a buffer of
// `buffer_bytes`, which should be several times the last-level cache. Best of
// several passes. Fails where there is no such memory.
Result<double> MeasureReadBandwidth(ThreadPool& pool, size_t buffer_bytes);

// Operations a second (two a multiply-add) of 8-bit products in registers on
// the SIMD target that dispatch takes, all threads together. With VNNI and on
// Arm four products are summed into a lane of 32 bits; on older x86 two into
// one of 16 bits: a kernel must widen these once a block, on top.
double MeasureInt8Peak(ThreadPool& pool);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_MACHINE_LIMITS_H_
