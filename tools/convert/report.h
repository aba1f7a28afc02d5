// SPDX-License-Identifier: MIT
// What a conversion came to: conversion_report.json, and a line for a terminal.
#ifndef SLM_TOOLS_CONVERT_REPORT_H_
#define SLM_TOOLS_CONVERT_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "tools/convert/options.h"
#include "tools/convert/self_check.h"

namespace slm::convert {

struct ReportFacts {
  std::string source_name, architecture;
  uint64_t weights = 0;  // values of the source's tensors
  uint64_t source_bytes = 0, output_bytes = 0;
  double seconds = 0;  // before the self-check
  std::optional<SelfCheck> check;
};

// Of everything that was written, for each weight of the source.
double BitsPerWeight(uint64_t bytes, uint64_t weights);

std::string ReportText(const ReportFacts& facts, const Options& options);

// "self-check: 57 tokens of 3 prompts beside the source: KL 0.0031, ...".
std::string CheckLine(const SelfCheck& check);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_REPORT_H_
