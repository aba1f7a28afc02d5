// SPDX-License-Identifier: MIT
// Rows of a graph's weight out of its source tensors, adapters merged.
#ifndef SLM_TOOLS_CONVERT_WEIGHT_READER_H_
#define SLM_TOOLS_CONVERT_WEIGHT_READER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "runtime/core/result.h"
#include "runtime/core/threads.h"
#include "tools/convert/adapter.h"
#include "tools/convert/graph.h"
#include "tools/convert/tensors.h"

namespace slm::convert {

class WeightReader {
 public:
  WeightReader(const TensorSource& source, const AdapterSet& adapters,
               ThreadPool& threads)
      : source_(source), adapters_(adapters), threads_(threads) {}

  // Before the rows of another weight.
  void Begin(const Weight& weight);

  // out [rows, k] = rows [first, first + rows), finite.
  Status Read(const Weight& weight, int64_t first, int64_t rows, float* out);

  // The same rows of a weight that is kept (Weight::kept).
  Status ReadKept(const Weight& weight, int64_t first, int64_t rows,
                  const QuantizedRows& out);

  // These rows are not needed any more.
  void Release(const Weight& weight, int64_t first, int64_t rows) const;

 private:
  // Rows [at, at + count) of a source are those from `done` on of the range.
  using Piece = std::function<void(const SourceRows& source, int64_t at,
                                   int64_t count, int64_t done)>;
  static void ForEachPiece(const Weight& weight, int64_t first, int64_t rows,
                           const Piece& body);
  // Calls body as ForEachPiece does, from all threads, with what is best read
  // at once.
  void ForEachPieceParallel(const Weight& weight, int64_t first, int64_t rows,
                            const Piece& body);
  Status NotFinite(const Weight& weight, int64_t row) const;

  const TensorSource& source_;
  const AdapterSet& adapters_;
  ThreadPool& threads_;
  std::map<std::string, RowMerger> mergers_;  // of the weight's sources
};

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_WEIGHT_READER_H_
