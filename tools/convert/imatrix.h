// SPDX-License-Identifier: MIT
// Statistics of the activations that each matrix is multiplied with, and their
// file:
//   slm-imatrix 2 SIZE\n
//   SIZE bytes of JSON: {"model", "tokens", "text", "weights": [{"name",
//   "columns"}, ...]}
//   float32, little-endian: the moments of each weight [columns, 32], in the
//   order of the list
// In Python: n = int(f.readline().split()[2]); json.loads(f.read(n));
// numpy.fromfile(f, "<f4").
#ifndef SLM_TOOLS_CONVERT_IMATRIX_H_
#define SLM_TOOLS_CONVERT_IMATRIX_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "tools/convert/graph.h"
#include "tools/convert/source.h"

namespace slm::convert {

struct Imatrix {
  std::string model;    // Fingerprint of the source
  uint64_t tokens = 0;  // over which the means are
  std::string text;     // where they are from: "sampled", or a file's name
  // By the name of the weight [K, kMomentColumns] (quant/round_together.h): the
  // means of x_c x_j for each column c and the columns j of its group.
  std::map<std::string, std::vector<float>> moments;
};

// Of the config, the names, types and shapes of the tensors, the first row of
// each, and what adapters change: tells models apart without reading them
// whole.
Result<std::string> Fingerprint(const Source& source);

// Matrices that are quantised, and not copied with the source's codes.
inline bool IsCalibrated(const Weight& weight) {
  return !weight.kept && (weight.kind == WeightKind::kQuantized ||
                          weight.kind == WeightKind::kQuantizedTurned);
}

// Whether a file begins as SaveImatrix writes.
bool IsImatrixFile(const std::string& path);
Status SaveImatrix(const Imatrix& imatrix, const std::string& path);
Result<Imatrix> LoadImatrix(const std::string& path);

// A file of another model: a quantised weight that it lacks or that has other
// columns. `path` is for the message.
Status CheckImatrix(const Imatrix& imatrix, const std::vector<Weight>& weights,
                    const std::string& path);

// What the search weighs the errors of each column with: the mean of x_c^2,
// over its mean. Empty if nothing is known of the weight.
std::vector<float> ImportanceOf(const Imatrix& imatrix,
                                const std::string& weight);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_IMATRIX_H_
