// SPDX-License-Identifier: MIT
// Which SIMD target the kernels take. SLM_TARGET=NAME restricts the choice;
// SLM_AMX=off leaves out "AMX", AVX3_DL with products of tiles.
#ifndef SLM_RUNTIME_CORE_CPU_H_
#define SLM_RUNTIME_CORE_CPU_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/result.h"

namespace slm {

// Applies SLM_TARGET (one name, e.g. "AVX2"; that target and worse ones stay).
// Refuses names that are unknown or not usable here, listing those that are,
// and other values of SLM_AMX than "off".
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

// Whether kernels of the AVX3_DL target take tiles (runtime/core/amx.h): true
// for the target "AMX", likewise.
bool UseAmx();

// Whether bytes that are read once are best asked for in order and past the
// second cache (prefetchnta). AMD's processors have more lines under way so;
// Intel's have far fewer, those of the first cache only: 21 instead of 53 to 62
// tok/s of decode, and 66 to 87 by pages in turn (quant/lines_ahead-inl.h).
bool FetchesPastSecondCache();
void SetFetchesPastSecondCacheForTest(bool past);

// For tests that execute the instructions of AMX in software: from here on it
// is there, if AVX3_DL is, or not there. Lifts ForceTarget.
void SetAmxForTest(bool there);

// "AMD EPYC 9B45", or "unknown".
std::string CpuName();

// Bytes of the largest data cache, 0 if unknown.
size_t LastCacheBytes();

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_CPU_H_
