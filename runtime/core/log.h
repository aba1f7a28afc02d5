// SPDX-License-Identifier: MIT
// Warnings and notes go to a sink that the host passes; the library itself
// writes to no stream.
#ifndef SLM_RUNTIME_CORE_LOG_H_
#define SLM_RUNTIME_CORE_LOG_H_

#include <functional>
#include <string_view>

namespace slm {

enum class LogLevel { kError, kWarn, kInfo, kDebug };

// An empty function discards.
using LogSink = std::function<void(LogLevel, std::string_view message)>;

inline void Log(const LogSink& sink, LogLevel level, std::string_view message) {
  if (sink) sink(level, message);
}

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_LOG_H_
