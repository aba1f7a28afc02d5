// SPDX-License-Identifier: MIT
// A DecoderSpec into the graph of ONNX Runtime GenAI's model builder, and the
// list of the weights that belong into it. Node, initializer, input and output
// names are the builder's: downstream scripts know them.
#ifndef SLM_TOOLS_CONVERT_GRAPH_H_
#define SLM_TOOLS_CONVERT_GRAPH_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loader/onnx_writer.h"
#include "quant/quantize.h"
#include "tools/convert/decoder_spec.h"
#include "tools/convert/precision.h"
#include "tools/convert/tensors.h"

namespace slm::convert {

enum class Precision { kInt4, kInt8, kFp16, kFp32 };

struct GraphOptions {
  Precision precision = Precision::kInt4;
  QuantizeOptions quantize;    // of int4 and int8
  int64_t accuracy_level = 4;  // of MatMulNBits; 0: attribute left out
  // The first that applies to a node has its bits; those of `quantize` where
  // none does.
  std::vector<PrecisionRule> rules;
  bool quantize_embedding = false;  // one that is not shared, without a rule
  bool qdq = false;  // DequantizeLinear and MatMul instead of MatMulNBits

  bool share_embeddings = true;  // of tied models
  bool must_share = false;       // a model that is not tied is refused

  int expert_bits = 0;  // 4 or 8; 0: those of the other weights
  // Weights of experts that share a scale; 0: all of a row.
  std::optional<size_t> expert_block_size;

  bool quantized() const {
    return precision == Precision::kInt4 || precision == Precision::kInt8;
  }
  // Type of activations, norms and tables.
  DType io() const {
    return precision == Precision::kFp16 ? DType::kF16 : DType::kF32;
  }
};

// Rows [first, first + count) of a source tensor of `rows` rows in all; count 0
// is a whole vector.
struct SourceRows {
  std::string tensor;
  int64_t rows = 0;
  int64_t first = 0, count = 0;
};

enum class WeightKind {
  kVector,            // norms and biases
  kTable,             // [n, k] as it stands: an embedding
  kMatrix,            // [k, n], the transpose of the source
  kQuantized,         // codes, scales and zero points of [n, k] for MatMulNBits
  kQuantizedTable,    // for GatherBlockQuantized
  kQuantizedTurned,   // of [k, n] for DequantizeLinear
  kTaps,              // [n, 1, k], of convolutions
  kExperts,           // [experts, n / experts, k]
  kQuantizedExperts,  // for QMoE
  kRopeCos,
  kRopeSin,
};

// One weight of the graph: source rows on top of each other.
struct Weight {
  WeightKind kind = WeightKind::kVector;
  std::string name;  // of quantised ones: what the three names begin with
  std::vector<SourceRows> sources;  // none: a constant, `add`
  int64_t n = 0, k = 0;             // rows and columns; of vectors n values
  float add = 0;                    // to every value
  int rope = 0;                     // of tables: index into the spec's
  QuantizeOptions quantize = {};    // of quantised ones: their format
  bool kept = false;  // the sources are in that format: their codes are copied
  std::string node = {};   // of matrices and tables: whose rules they follow
  bool bits_open = false;  // no rule and no source has decided its bits
  // Type of its floats: the graph's where it is absent, float32 of scales.
  std::optional<DType> floats = {};
  int64_t experts = 0;
  // Rows come from the sources of each pair in turn: gate, up, gate, up.
  bool in_turn = false;
  bool whole_rows = false;  // of kQuantizedExperts: quantize.block_size is k

  bool quantized() const {
    return kind == WeightKind::kQuantized ||
           kind == WeightKind::kQuantizedTable ||
           kind == WeightKind::kQuantizedTurned ||
           kind == WeightKind::kQuantizedExperts;
  }
};

struct DecoderGraph {
  OnnxGraph graph;  // without initializers
  std::vector<Weight> weights;
  std::vector<std::string> notes;
  // Of patterns that no matrix's node matches.
  std::vector<std::string> unmatched;
};

// Source tensors whose own codes, scales and zero points go into the graph.
using KeptGrids = std::map<std::string, QuantGrid, std::less<>>;

// Fails where an option cannot be honoured.
Result<DecoderGraph> MakeDecoderGraph(const DecoderSpec& spec,
                                      const GraphOptions& options,
                                      const KeptGrids& kept);

// Initializer names of a quantised weight, as the tool that makes such a weight
// has them.
struct QuantizedNames {
  std::string codes, scales, zero_points;
};
QuantizedNames NamesOf(const Weight& weight);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_GRAPH_H_
