// SPDX-License-Identifier: MIT
// GPTQ of a whole model in one pass of its float form over the calibration
// text: all tokens go through the layers together, and before a product is
// computed its matrix is quantised for the rows that arrive there, and takes
// part in the rest of the pass as its codes stand for. So each matrix is
// fitted to what the quantised ones before it give.
#ifndef SLM_TOOLS_CONVERT_GPTQ_PASS_H_
#define SLM_TOOLS_CONVERT_GPTQ_PASS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "quant/quantize.h"
#include "runtime/core/memory.h"
#include "runtime/core/result.h"
#include "runtime/core/threads.h"
#include "runtime/model.h"
#include "tools/convert/calibration_text.h"
#include "tools/convert/graph.h"
#include "tools/convert/imatrix.h"
#include "tools/convert/source.h"

namespace slm::convert {

// Codes that are found already, in a file of their own: rows as QuantizeRows
// gives them.
class FoundCodes {
 public:
  FoundCodes() = default;
  explicit FoundCodes(MappedFile file) : file_(std::move(file)) {}

  // Offsets of codes, scales and zero points.
  struct Place {
    uint64_t codes = 0, scales = 0, zeros = 0;
  };
  void Add(const std::string& weight, const Place& place) {
    places_[weight] = place;
  }
  bool Has(const std::string& weight) const {
    return places_.count(weight) > 0;
  }
  void Read(const Weight& weight, int64_t first, int64_t rows,
            const QuantizedRows& out) const;

 private:
  MappedFile file_;
  std::map<std::string, Place> places_;
};

// What was measured before the weights are written.
struct Calibration {
  Imatrix imatrix;
  FoundCodes codes;
  std::vector<std::string> notes;
};

// `path` is the file for the codes; `model` and `text` of the statistics are
// the caller's. The plan must be ragged. A matrix with
// fewer than two tokens a column, or whose H is not positive definite, is
// left to the search, as is the head of a tied model; notes say how many.
Result<Calibration> RunGptq(const Model& model, const Documents& documents,
                            const Source& source,
                            const std::vector<Weight>& weights,
                            const std::string& path, ThreadPool& threads,
                            const CalibrationProgress& progress);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_GPTQ_PASS_H_
