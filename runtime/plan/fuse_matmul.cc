// SPDX-License-Identifier: MIT
// Weights that stand behind a Transpose or a DequantizeLinear: read in place
// where the layout allows, else repacked once, never dequantised to memory.
#include <algorithm>
#include <cstring>

#include "runtime/plan/fusions.h"

namespace slm {
namespace {

const TensorView* ConstantOf(const Graph& graph, ValueId id) {
  return graph.IsConstant(id) ? &*graph.values[id].constant : nullptr;
}

// Transpose of a matrix.
bool SwapsAxes(const Node* node) {
  if (!IsOp(node, "Transpose")) return false;
  const Attribute* perm = node->Find("perm");
  return perm && perm->ints == std::vector<int64_t>{1, 0};
}

// A constant matrix behind DequantizeLinear, as the product of A [.., K] wants
// it: element (k, n).
struct QuantizedWeight {
  const TensorView* q = nullptr;      // [K, N], or [N, K] if transposed
  const TensorView* scale = nullptr;  // scalar, [N], or blocked like q
  const TensorView* zero = nullptr;   // like scale; nullptr: 0
  bool transposed = false;
  size_t k = 0, n = 0;
  size_t block = 0;  // of the file along K; 0: one scale for a column or all

  int bits() const { return Info(q->dtype).bits; }
  bool is_signed() const {
    return q->dtype == DType::kI4 || q->dtype == DType::kI8;
  }
};

// An element of a 4- or 8-bit tensor, as MatMulNBits counts it: unsigned.
uint8_t Unsigned(const TensorView& t, size_t i, bool is_signed) {
  if (Info(t.dtype).bits == 8) {
    return static_cast<uint8_t>(t.Raw()[i] ^ (is_signed ? 0x80 : 0));
  }
  const uint8_t nibble = (t.Raw()[i / 2] >> (i % 2 * 4)) & 0xF;
  return static_cast<uint8_t>(nibble ^ (is_signed ? 0x8 : 0));
}

// Index of block b of column n among scales or zero points.
size_t BlockIndex(const QuantizedWeight& w, size_t b, size_t n) {
  const size_t count = w.scale->Count();
  if (count == 1) return 0;
  if (w.block == 0) return n;
  const size_t blocks = CeilDiv(w.k, w.block);
  return w.transposed ? n * blocks + b : b * w.n + n;
}

// "" and *weight, or why this product stays as it is.
std::string Recognise(const Graph& graph, const Node& dequantize,
                      bool transposed, QuantizedWeight* weight) {
  QuantizedWeight w;
  w.q = ConstantOf(graph, dequantize.Input(0));
  w.scale = ConstantOf(graph, dequantize.Input(1));
  w.zero = ConstantOf(graph, dequantize.Input(2));
  w.transposed = transposed;
  if (!w.q || !w.scale) return "its weight is not constant";
  if (dequantize.Input(2) != kNoValue && !w.zero) {
    return "its zero point is not constant";
  }
  if (w.q->shape.rank() != 2) return "its weight is no matrix";
  const int bits = w.bits();
  if ((bits != 4 && bits != 8) || w.q->dtype == DType::kBool) {
    return std::string("weights of type ") + Name(w.q->dtype);
  }
  if (w.scale->dtype != DType::kF32 && !IsHalf(w.scale->dtype)) {
    return std::string("scales of type ") + Name(w.scale->dtype);
  }
  w.k = static_cast<size_t>(w.q->shape[transposed ? 1 : 0]);
  w.n = static_cast<size_t>(w.q->shape[transposed ? 0 : 1]);
  const auto axis = NormalizeAxis(dequantize.Int("axis", 1), 2);
  const size_t k_axis = transposed ? 1 : 0;
  w.block = static_cast<size_t>(
      std::max<int64_t>(0, dequantize.Int("block_size", 0)));
  if (w.block > 0) {
    if (!axis || *axis != k_axis) return "blocks do not run along K";
    if (w.block < 16 || w.block > 256 || (w.block & (w.block - 1))) {
      return "block size " + std::to_string(w.block);
    }
    if (w.scale->Count() != CeilDiv(w.k, w.block) * w.n) {
      return "scales do not fit its blocks";
    }
  } else if (w.scale->Count() != 1 &&
             (!axis || *axis == k_axis || w.scale->Count() != w.n)) {
    return "scales run along K";
  }
  if (w.zero &&
      (w.zero->Count() != w.scale->Count() || w.zero->dtype != w.q->dtype)) {
    return "zero points do not fit the scales";
  }
  *weight = w;
  return "";
}

// One scale for a whole column is given to every block of this size.
constexpr size_t kColumnBlock = 128;

// MatMulNBits' inputs made of the weight: B [N, blocks, bytes], scales
// [N, blocks], zero points [N, bytes].
struct Packed {
  ValueId b, scales, zeros;
};

Result<Packed> Pack(Graph* graph, const QuantizedWeight& w,
                    const std::string& name) {
  const size_t block = w.block ? w.block : kColumnBlock;
  const size_t blocks = CeilDiv(w.k, block);
  const size_t bits = static_cast<size_t>(w.bits());
  const size_t block_bytes = block * bits / 8;
  const size_t zero_bytes = CeilDiv(blocks * bits, 8);
  const auto n64 = static_cast<int64_t>(w.n);
  const auto blocks64 = static_cast<int64_t>(blocks);
  Packed packed;
  SLM_ASSIGN_OR_RETURN(
      packed.b,
      graph->AddConstant(name + ".packed", DType::kU8,
                         {n64, blocks64, static_cast<int64_t>(block_bytes)}));
  SLM_ASSIGN_OR_RETURN(
      packed.scales,
      graph->AddConstant(name + ".scales", w.scale->dtype, {n64, blocks64}));
  SLM_ASSIGN_OR_RETURN(
      packed.zeros,
      graph->AddConstant(name + ".zeros", DType::kU8,
                         {n64, static_cast<int64_t>(zero_bytes)}));
  auto* b = graph->values[packed.b].constant->Mutable<uint8_t>();
  auto* zeros = graph->values[packed.zeros].constant->Mutable<uint8_t>();
  auto* scales =
      static_cast<uint8_t*>(graph->values[packed.scales].constant->data);
  std::memset(b, 0, w.n * blocks * block_bytes);
  std::memset(zeros, 0, w.n * zero_bytes);
  const size_t scale_size = BytesFor(w.scale->dtype, 1);
  // Tiles of 64 columns keep the lines of a [K, N] source in L1 while a block
  // is turned.
  constexpr size_t kTile = 64;
  for (size_t n0 = 0; n0 < w.n; n0 += kTile) {
    const size_t n1 = std::min(w.n, n0 + kTile);
    for (size_t k = 0; k < w.k; ++k) {
      const size_t at = k / block * block_bytes + k % block * bits / 8;
      for (size_t n = n0; n < n1; ++n) {
        const size_t i = w.transposed ? n * w.k + k : k * w.n + n;
        b[n * blocks * block_bytes + at] |= static_cast<uint8_t>(
            Unsigned(*w.q, i, w.is_signed()) << (bits == 4 ? k % 2 * 4 : 0));
      }
    }
  }
  const uint8_t no_zero = w.is_signed() ? (bits == 4 ? 0x8 : 0x80) : 0;
  for (size_t n = 0; n < w.n; ++n) {
    for (size_t j = 0; j < blocks; ++j) {
      const size_t i = BlockIndex(w, j, n);
      std::memcpy(scales + (n * blocks + j) * scale_size,
                  w.scale->Raw() + i * scale_size, scale_size);
      const uint8_t zero =
          w.zero ? Unsigned(*w.zero, i, w.is_signed()) : no_zero;
      zeros[n * zero_bytes + j * bits / 8] |=
          static_cast<uint8_t>(zero << (bits == 4 ? j % 2 * 4 : 0));
    }
  }
  return packed;
}

// Whether a product's packed zero points are what it has without any, 2^(bits -
// 1); the bits behind a row's last may be anything.
bool AreDefaultZeroPoints(const Node& product, const TensorView& zeros) {
  const int64_t n = product.Int("N", 0), k = product.Int("K", 0);
  const int64_t bits = product.Int("bits", 4);
  const int64_t block = product.Int("block_size", 0);
  if (zeros.dtype != DType::kU8 || n <= 0 || k <= 0 || block <= 0) return false;
  if (bits != 2 && bits != 4 && bits != 8) return false;
  const auto fields =
      CheckedMul(CeilDiv(static_cast<size_t>(k), static_cast<size_t>(block)),
                 static_cast<size_t>(bits));
  if (!fields) return false;
  const size_t row = CeilDiv(*fields, size_t{8});
  const auto count = CheckedMul(static_cast<size_t>(n), row);
  // The operator refuses another size; it must see it.
  if (!count || zeros.Count() != *count) return false;
  const uint8_t all = bits == 8 ? 0x80 : bits == 4 ? 0x88 : 0xAA;
  const uint8_t last = *fields % 8 ? (1u << *fields % 8) - 1 : 0xFF;
  for (size_t at = 0; at < *count; at += row) {
    const uint8_t* bytes = zeros.Raw() + at;
    if ((bytes[row - 1] ^ all) & last) return false;
    if (!std::all_of(bytes, bytes + row - 1,
                     [all](uint8_t byte) { return byte == all; })) {
      return false;
    }
  }
  return true;
}

}  // namespace

// MatMulNBits without zero points that say nothing: kernels then multiply whole
// integers.
Status DropDefaultZeroPoints(FusionContext* context) {
  constexpr size_t kZeros = 3;
  Graph& graph = *context->graph;
  for (Node& node : graph.nodes) {
    if (!IsNBitsProduct(&node)) continue;
    const TensorView* zeros = ConstantOf(graph, node.Input(kZeros));
    if (!zeros || !AreDefaultZeroPoints(node, *zeros)) continue;
    node.inputs[kZeros] = kNoValue;
    context->Done(node);
  }
  return OkStatus();
}

// MatMul(A, Transpose(W)) -> FusedMatMul(A, W, transB)
Status FuseTransposedMatMul(FusionContext* context) {
  Graph& graph = *context->graph;
  for (Node& node : graph.nodes) {
    if (!IsOp(&node, "MatMul")) continue;
    const Node* transpose = graph.Producer(node.Input(1));
    if (!SwapsAxes(transpose) || !graph.IsConstant(transpose->Input(0))) {
      continue;
    }
    node.inputs[1] = transpose->inputs[0];
    node.domain = "com.microsoft";
    node.type = "FusedMatMul";
    node.version = 1;
    node.attributes = {IntAttribute("transB", 1)};
    context->Done(node);
  }
  return graph.Normalize();
}

// MatMul(A, DequantizeLinear(Q)) -> MatMulNBits, with Q [K, N] or, behind a
// Transpose, [N, K]. Accuracy level 4, as onnxruntime runs this pair.
Status FuseQuantizedMatMul(FusionContext* context) {
  Graph& graph = *context->graph;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    // As FuseTransposedMatMul makes it: one from a file may scale, too.
    const bool fused = node.domain == "com.microsoft" &&
                       node.type == "FusedMatMul" && node.Int("transB", 0) &&
                       node.attributes.size() == 1;
    if (!IsOp(&node, "MatMul") && !fused) continue;
    const Node* producer = graph.Producer(node.Input(1));
    const bool transposed = fused || SwapsAxes(producer);
    if (!fused && transposed) producer = graph.Producer(producer->Input(0));
    if (!IsOp(producer, "DequantizeLinear")) continue;
    QuantizedWeight weight;
    const std::string reason = Recognise(graph, *producer, transposed, &weight);
    if (!reason.empty()) {
      context->Refused(node, reason);
      continue;
    }
    // Pack adds values, which moves the views that `weight` points to.
    const TensorView q = *weight.q, scale = *weight.scale;
    const TensorView zero = weight.zero ? *weight.zero : TensorView();
    weight.q = &q;
    weight.scale = &scale;
    if (weight.zero) weight.zero = &zero;
    SLM_ASSIGN_OR_RETURN(const Packed packed, Pack(&graph, weight, node.name));
    Node& product = graph.nodes[i];
    product.domain = "com.microsoft";
    product.type = "MatMulNBits";
    product.version = 1;
    product.inputs = {product.inputs[0], packed.b, packed.scales, packed.zeros};
    const size_t block = weight.block ? weight.block : kColumnBlock;
    product.attributes = {
        IntAttribute("K", static_cast<int64_t>(weight.k)),
        IntAttribute("N", static_cast<int64_t>(weight.n)),
        IntAttribute("bits", weight.bits()),
        IntAttribute("block_size", static_cast<int64_t>(block)),
        IntAttribute("accuracy_level", 4)};
    context->Done(product);
  }
  return graph.Normalize();
}

// Gather(Transpose(W), ids) -> GatherColumns(W, ids): a tied table that is
// stored for the logits only. Gather(DequantizeLinear(Q), ids) with one scale
// -> DequantizeLinear(Gather(Q, ids)).
Status FuseTransposedGather(FusionContext* context) {
  Graph& graph = *context->graph;
  const size_t count = graph.nodes.size();
  for (size_t i = 0; i < count; ++i) {
    Node& node = graph.nodes[i];
    if (!IsOp(&node, "Gather") || node.Int("axis", 0) != 0) continue;
    const Node* table = graph.Producer(node.Input(0));
    if (SwapsAxes(table) && graph.IsConstant(table->Input(0))) {
      node.inputs[0] = table->inputs[0];
      node.domain = "slm";
      node.type = "GatherColumns";
      node.version = 1;
      node.attributes.clear();
      context->Done(node);
      continue;
    }
    if (!IsOp(table, "DequantizeLinear") ||
        !graph.IsConstant(table->Input(0))) {
      continue;
    }
    const TensorView* scale = ConstantOf(graph, table->Input(1));
    if (!scale || scale->Count() != 1) {
      context->Refused(node, "the table has more than one scale");
      continue;
    }
    Node dequantize = *table;
    dequantize.name = node.name + "/DequantizeLinear";
    dequantize.outputs = node.outputs;
    const ValueId rows = graph.AddValue(node.name + "/rows");
    dequantize.inputs[0] = rows;
    graph.nodes[i].inputs[0] = table->inputs[0];
    graph.nodes[i].outputs = {rows};
    context->Done(graph.nodes[i]);
    graph.nodes.push_back(std::move(dequantize));
  }
  return graph.Normalize();
}

}  // namespace slm
