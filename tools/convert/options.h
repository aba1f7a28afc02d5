// SPDX-License-Identifier: MIT
// The flags of slm-convert as plain values.
#ifndef SLM_TOOLS_CONVERT_OPTIONS_H_
#define SLM_TOOLS_CONVERT_OPTIONS_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "tools/convert/adapter.h"
#include "tools/convert/graph.h"

namespace slm::convert {

enum class Action { kRun, kCheck, kHelp, kHelpAll, kVersion };

// Statistics of activations, which the search then weighs errors with.
struct CalibrationOptions {
  bool used = false;
  std::string file;   // a text or saved statistics; empty: sampled text
  std::string save;   // where the statistics go; empty: nowhere
  size_t tokens = 0;  // 0: as many as are needed
  bool gptq = false;  // the search's grids, errors passed on
};

struct Options {
  Action action = Action::kRun;
  std::string source, output;  // of kCheck: the source alone
  std::vector<AdapterRequest> adapters;
  GraphOptions graph;
  // What of `graph` the user named: the rest follows a quantised source.
  struct {
    bool precision = false, block_size = false, symmetry = false;
    bool accuracy = false;
  } given;
  double target_bpw = 0;    // of --mixed auto; 0: not asked for
  bool requantize = false;  // do not keep a source's own codes
  CalibrationOptions calibration;
  std::string name;                // of the model; empty: the output folder's
  size_t threads = 0;              // 0: all cores
  std::vector<std::string> notes;  // on flags that were accepted for nothing
  // An ONNX source is packed anew, whatever its weights are (Olive's passes
  // that quantise nothing).
  bool keeps_weights = false;
  bool force = false;
  bool dry_run = false;
  bool check = true;  // the output beside its source
  bool quiet = false;
};

// `args` without the program's name. Every failure is kUsage.
Result<Options> ParseOptions(std::span<const std::string> args);

// Refuses what does not go together, and gives k_quant its zero points.
Status SettleGraphOptions(GraphOptions* graph);

// All flags and what goes with them; help.h has the short one.
std::string HelpAll();

// "int4", "search".
const char* PrecisionName(Precision precision);
const char* AlgorithmName(QuantAlgorithm algorithm);
const char* AlgorithmName(const Options& options);  // or "gptq"

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_OPTIONS_H_
