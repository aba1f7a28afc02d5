// SPDX-License-Identifier: MIT
// Values of Olive's and of the model builder's flags, as options of
// slm-convert. Every failure is kUsage and names the key.
#ifndef SLM_TOOLS_CONVERT_OLIVE_VALUES_H_
#define SLM_TOOLS_CONVERT_OLIVE_VALUES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "tools/convert/options.h"

namespace slm::convert {

std::string Lower(std::string_view text);

// "a,b", or a JSON list of strings as ShowJson prints it.
std::vector<std::string> ListOf(const std::string& text, char separator);

Result<int64_t> NumberOf(const std::string& key, const std::string& text);

// "int4", "uint8" (zero points), "fp16".
Status SetPrecision(const std::string& text, GraphOptions* graph);

Status SetBlockSize(const std::string& key, const std::string& text,
                    GraphOptions* graph);

// "cpu", "CPUExecutionProvider".
Status CheckProvider(std::string_view what, const std::string& text);

Status CheckTask(const std::string& task);

// One of the builder's extra_options, under its new or its int4_ name.
Status SetBuilderOption(const std::string& given, const std::string& value,
                        Options* o);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_OLIVE_VALUES_H_
