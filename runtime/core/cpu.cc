// SPDX-License-Identifier: MIT
#include "runtime/core/cpu.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if !defined(_WIN32)
#include <unistd.h>
#endif

#include "hwy/highway.h"
#include "hwy/targets.h"

namespace slm {
namespace {

// Targets compiled into this binary (the same for all kernels).
int64_t Usable() {
  const int64_t supported = hwy::SupportedTargets();
  // Highway 1.2's SupportedTargets lets dispatch take every target again, also
  // those that DisableTargets has ruled out.
  hwy::GetChosenTarget().Update(supported);
  return supported & HWY_TARGETS;
}

std::string Join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

}  // namespace

std::vector<std::string> UsableTargets() {
  std::vector<std::string> names;
  // Highway gives better targets lower bits.
  for (int bit = 0; bit < 63; ++bit) {
    const int64_t target = int64_t{1} << bit;
    if (Usable() & target) names.push_back(hwy::TargetName(target));
  }
  return names;
}

std::string CurrentTarget() { return UsableTargets().front(); }

Status ForceTarget(const std::string& name) {
  hwy::SetSupportedTargetsForTest(0);
  hwy::DisableTargets(0);
  if (name.empty()) {
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return OkStatus();
  }
  const std::vector<std::string> usable = UsableTargets();
  int64_t better = 0;
  for (int bit = 0; bit < 63; ++bit) {
    const int64_t target = int64_t{1} << bit;
    if (!(Usable() & target)) continue;
    if (name == hwy::TargetName(target)) {
      hwy::DisableTargets(better);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      return OkStatus();
    }
    better |= target;
  }
  return Error(ErrorKind::kCpu,
               "SIMD target \"%s\" is not usable on this machine; usable: %s",
               Printable(name).c_str(), Join(usable).c_str());
}

Status InitTargets() {
  const char* wanted = std::getenv("SLM_TARGET");
  if (!wanted || !*wanted) return OkStatus();
  return ForceTarget(wanted).In("SLM_TARGET");
}

size_t LastCacheBytes() {
  size_t most = 0;
#if defined(_SC_LEVEL4_CACHE_SIZE)
  for (const int name : {_SC_LEVEL4_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE,
                         _SC_LEVEL2_CACHE_SIZE}) {
    const long bytes = sysconf(name);
    if (bytes > 0) most = std::max(most, static_cast<size_t>(bytes));
  }
#endif
  return most;
}

std::string CpuName() {
  std::string name = "unknown";
  if (std::FILE* f = std::fopen("/proc/cpuinfo", "r")) {
    char line[512];
    while (std::fgets(line, sizeof line, f)) {
      if (std::strncmp(line, "model name", 10) != 0) continue;
      if (const char* colon = std::strchr(line, ':')) {
        name = colon + 2;
        while (!name.empty() && name.back() == '\n') name.pop_back();
      }
      break;
    }
    std::fclose(f);
  }
  return name;
}

}  // namespace slm
