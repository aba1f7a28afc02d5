// SPDX-License-Identifier: MIT
#ifndef SLM_RUNTIME_CORE_CLOCK_H_
#define SLM_RUNTIME_CORE_CLOCK_H_

#include <cstdint>

namespace slm {

// Seconds of a clock that never goes back.
double MonotonicSeconds();

// Processor seconds of all threads of this process, 0 if unknown.
double ProcessCpuSeconds();

struct LocalTime {
  int year, month, day;  // 2026, 1..12, 1..31
  int hour, minute, second;
};
LocalTime Now();

// 32 bits of the system's entropy.
uint32_t RandomSeed();

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_CLOCK_H_
