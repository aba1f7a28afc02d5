// SPDX-License-Identifier: MIT
#include "runtime/core/cpu.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if !defined(_WIN32)
#include <unistd.h>
#endif

#include "hwy/highway.h"
#include "hwy/targets.h"
#include "runtime/core/amx.h"

#if HWY_ARCH_X86 && defined(_MSC_VER)
#include <intrin.h>
#elif HWY_ARCH_X86
#include <cpuid.h>
#endif

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

bool CpuHasAvxVnni() {
#if HWY_ARCH_X86
  int leaf[4] = {};
#if defined(_MSC_VER)
  __cpuidex(leaf, 7, 1);
#else
  unsigned a = 0, b, c, d;
  __get_cpuid_count(7, 1, &a, &b, &c, &d);
  leaf[0] = static_cast<int>(a);
#endif
  return leaf[0] >> 4 & 1;
#else
  return false;
#endif
}

bool CpuIsAmd() {
#if HWY_ARCH_X86
  int vendor[4] = {};  // eax, ebx, ecx, edx
#if defined(_MSC_VER)
  __cpuid(vendor, 0);
#else
  unsigned a = 0, b = 0, c = 0, d = 0;
  __get_cpuid(0, &a, &b, &c, &d);
  vendor[1] = static_cast<int>(b);
#endif
  constexpr int kAuth = 0x68747541;  // "AuthenticAMD" begins so
  return vendor[1] == kAuth;
#else
  return false;
#endif
}

// Part of the choice of target, which Highway keeps for the whole process, too.
std::atomic<bool>& AvxVnni() {
  static std::atomic<bool> used{CpuHasAvxVnni()};
  return used;
}

bool AmxForbidden() {
  const char* wanted = std::getenv("SLM_AMX");
  return wanted && std::strcmp(wanted, "off") == 0;
}

// Of the CPU, or of a test.
std::atomic<bool>& AmxThere() {
  static std::atomic<bool> there{!AmxForbidden() && (Usable() & HWY_AVX3_DL) &&
                                 CpuHasAmx()};
  return there;
}

// Like AvxVnni.
std::atomic<bool>& Amx() {
  static std::atomic<bool> used{AmxThere().load()};
  return used;
}

struct Target {
  std::string name;
  int64_t highway;
  bool avx_vnni = false, amx = false;
};

// Best first: Highway gives better targets lower bits.
std::vector<Target> Targets() {
  std::vector<Target> targets;
  const int64_t usable = Usable();
  for (int bit = 0; bit < 63; ++bit) {
    const int64_t target = int64_t{1} << bit;
    if (!(usable & target)) continue;
    if (target == HWY_AVX3_DL && Amx()) {
      targets.push_back({.name = "AMX", .highway = target, .amx = true});
    }
    if (target == HWY_AVX2 && AvxVnni()) {
      targets.push_back(
          {.name = "AVX2_VNNI", .highway = target, .avx_vnni = true});
    }
    targets.push_back({.name = hwy::TargetName(target), .highway = target});
  }
  return targets;
}

std::string Join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

std::atomic<bool>& PastSecondCache() {
  static std::atomic<bool> past{CpuIsAmd()};
  return past;
}

}  // namespace

std::vector<std::string> UsableTargets() {
  std::vector<std::string> names;
  for (const Target& target : Targets()) names.push_back(target.name);
  return names;
}

std::string CurrentTarget() { return UsableTargets().front(); }

bool UseAvxVnni() { return AvxVnni().load(std::memory_order_relaxed); }

bool UseAmx() { return Amx().load(std::memory_order_relaxed); }

bool FetchesPastSecondCache() {
  return PastSecondCache().load(std::memory_order_relaxed);
}

void SetFetchesPastSecondCacheForTest(bool past) { PastSecondCache() = past; }

void SetAmxForTest(bool there) {
  (void)ForceTarget("");
  AmxThere() = there && (Usable() & HWY_AVX3_DL);
  Amx() = AmxThere().load();
}

Status ForceTarget(const std::string& name) {
  hwy::SetSupportedTargetsForTest(0);
  hwy::DisableTargets(0);
  AvxVnni() = CpuHasAvxVnni();
  Amx() = AmxThere().load();
  if (name.empty()) {
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return OkStatus();
  }
  int64_t better = 0;
  for (const Target& target : Targets()) {
    if (name == target.name) {
      hwy::DisableTargets(better & ~target.highway);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      AvxVnni() = target.avx_vnni;
      Amx() = target.amx;
      return OkStatus();
    }
    better |= target.highway;
  }
  return Error(ErrorKind::kCpu,
               "SIMD target \"%s\" is not usable on this machine; usable: %s",
               Printable(name).c_str(), Join(UsableTargets()).c_str());
}

Status InitTargets() {
  const char* amx = std::getenv("SLM_AMX");
  if (amx && *amx && !AmxForbidden()) {
    return Error(ErrorKind::kCpu,
                 "SLM_AMX is \"%s\": only off, which forbids AMX, is known",
                 Printable(amx).c_str());
  }
  const char* wanted = std::getenv("SLM_TARGET");
  if (!wanted || !*wanted) return OkStatus();
  return ForceTarget(wanted).In("SLM_TARGET");
}

size_t LastCacheBytes() {
  size_t most = 0;
#if defined(_SC_LEVEL4_CACHE_SIZE)
  for (const int name :
       {_SC_LEVEL4_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE}) {
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
