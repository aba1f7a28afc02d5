// SPDX-License-Identifier: MIT
// The one place that names Highway for -inl.h files. A kernel's .cc does
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "ops/kernels/x.cc"
//   #include "hwy/foreach_target.h"  // IWYU pragma: keep
//   #include "runtime/core/vec-inl.h"
// HWY_WANT_AVX3_DL (the VNNI target of Ice Lake) is set for all by CMake.
#if defined(SLM_RUNTIME_CORE_VEC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_RUNTIME_CORE_VEC_INL_H_
#undef SLM_RUNTIME_CORE_VEC_INL_H_
#else
#define SLM_RUNTIME_CORE_VEC_INL_H_
#endif

#include "hwy/highway.h"

// Without HWY_BEFORE_NAMESPACE: clang warns of a region without functions.
namespace slm {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
}  // namespace HWY_NAMESPACE
}  // namespace slm

#endif
