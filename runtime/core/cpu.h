// SPDX-License-Identifier: MIT
// Which SIMD target the kernels take. SLM_TARGET=NAME restricts the choice.
#ifndef SLM_RUNTIME_CORE_CPU_H_
#define SLM_RUNTIME_CORE_CPU_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/result.h"

namespace slm {

// Applies SLM_TARGET (one name, e.g. "AVX2"; that target and worse ones stay).
// Refuses names that are unknown or not usable here, listing those that are.
// Call once before kernels run; not thread-safe against running kernels.
Status InitTargets();

// Names of the targets that this binary holds and this CPU runs, best first.
std::vector<std::string> UsableTargets();
// The one that dispatch takes now.
std::string CurrentTarget();

// Dispatch takes `name` until ForceTarget("") lifts it.
Status ForceTarget(const std::string& name);

// Whether kernels of the AVX2 target take VPDPBUSD in its VEX form: true for
// the target "AVX2_VNNI", which Highway does not know.
bool UseAvxVnni();

// "AMD EPYC 9B45", or "unknown".
std::string CpuName();

// Bytes of the largest data cache, 0 if unknown.
size_t LastCacheBytes();

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_CPU_H_
