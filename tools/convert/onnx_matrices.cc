// SPDX-License-Identifier: MIT
#include "tools/convert/onnx_matrices.h"

#include <algorithm>
#include <string_view>

#include "runtime/core/shape.h"

namespace slm::convert {
namespace {

constexpr int kLongestChain = 8;
constexpr int64_t kMostSide = int64_t{1} << 31;

using Form = OnnxMatrix::Form;
using Op = OnnxUse::Op;

bool IsMicrosoft(const DocumentNode& node, const char* type) {
  return node.domain == "com.microsoft" && node.type == type;
}
bool IsOnnx(const DocumentNode& node, const char* type) {
  return node.domain.empty() && node.type == type;
}

bool IsBlockSize(size_t size) {
  return size >= 16 && size <= 256 && (size & (size - 1)) == 0;
}

// Blocks as MatMulNBits has them: [n, blocks, block bytes].
struct Sizes {
  size_t blocks, codes, zero_points;
};
Sizes SizesOf(const OnnxMatrix& m) {
  const auto n = static_cast<size_t>(m.n);
  const auto bits = static_cast<size_t>(m.bits);
  const size_t blocks = CeilDiv(static_cast<size_t>(m.k), m.block_size);
  return {blocks, n * blocks * (m.block_size * bits / 8),
          n * ((blocks * bits + 7) / 8)};
}

class Finder {
 public:
  explicit Finder(const OnnxDocument& document)
      : document_(document), names_(document) {}

  Result<OnnxUses> Find() {
    for (size_t g = 0; g < document_.graphs().size(); ++g) {
      const auto& nodes = document_.graphs()[g].nodes;
      for (size_t i = 0; i < nodes.size(); ++i) {
        graph_ = static_cast<int>(g);
        node_ = static_cast<int>(i);
        const Status status = Look(nodes[i]);
        if (!status.ok()) {
          return status.In("node \"" + Printable(nodes[i].name, 200) + "\"");
        }
      }
    }
    return std::move(found_);
  }

 private:
  Status Look(const DocumentNode& node) {
    OnnxUse use;
    use.graph = graph_;
    use.node = node_;
    if (IsOnnx(node, "MatMul") && node.inputs.size() == 2) {
      return AddProduct(node, Op::kMatMul, true, &use);
    }
    if (IsMicrosoft(node, "FusedMatMul") && IsPlainFused()) {
      const bool turned = Int("transB", 0) == 0;
      return AddProduct(node, Op::kMatMul, turned, &use);
    }
    if (IsOnnx(node, "Gemm") && node.inputs.size() >= 2 && IsPlainGemm()) {
      return AddProduct(node, Op::kGemm, Int("transB", 0) == 0, &use);
    }
    if (IsMicrosoft(node, "MatMulNBits")) return AddNBits(node, &use);
    if (IsOnnx(node, "Gather") && node.inputs.size() == 2 &&
        Int("axis", 0) == 0 && IsTokenIndex(node.inputs[1])) {
      if (Constant(node.inputs[0], false, &use) && !use.matrix.quantized()) {
        use.op = Op::kGather;
        found_.uses.push_back(std::move(use));
      }
      return OkStatus();
    }
    if (IsMicrosoft(node, "GatherBlockQuantized")) return AddTable(node, &use);
    for (const char* type :
         {"MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat",
          "QLinearMatMul", "MatMulBnb4", "QMoE", "MoE"}) {
      if (node.type == type) ++found_.unread[type];
    }
    return OkStatus();
  }

  int64_t Int(const char* name, int64_t otherwise) const {
    return document_.Int(graph_, node_, name).value_or(otherwise);
  }
  float Float(const char* name, float otherwise) const {
    return document_.Float(graph_, node_, name).value_or(otherwise);
  }
  bool IsPlainGemm() const {
    return Int("transA", 0) == 0 && Float("alpha", 1) == 1 &&
           Float("beta", 1) == 1;
  }
  bool IsPlainFused() const {
    return Int("transA", 0) == 0 && Int("transBatchA", 0) == 0 &&
           Int("transBatchB", 0) == 0 && Float("alpha", 1) == 1;
  }

  const DocumentTensor* Tensor(int index) const {
    return index < 0 ? nullptr
                     : &document_.tensors()[static_cast<size_t>(index)];
  }
  int TensorNamed(const std::string& name) const {
    return name.empty() ? -1 : names_.Find(graph_, name).tensor;
  }

  // An embedding's rows, and not those of a table of positions.
  bool IsTokenIndex(std::string name) const {
    int graph = graph_;
    for (int step = 0; step < kLongestChain; ++step) {
      const OnnxOrigin origin = names_.Find(graph, name);
      if (origin.input) return name != "position_ids";
      if (origin.node < 0) return false;
      const DocumentNode& node = NodeAt(origin);
      const bool plain = IsOnnx(node, "Identity") || IsOnnx(node, "Reshape") ||
                         IsOnnx(node, "Cast") || IsOnnx(node, "Unsqueeze");
      if (!plain || node.inputs.empty()) return false;
      graph = origin.graph;
      name = node.inputs[0];
    }
    return false;
  }

  const DocumentNode& NodeAt(const OnnxOrigin& origin) const {
    return document_.graphs()[static_cast<size_t>(origin.graph)]
        .nodes[static_cast<size_t>(origin.node)];
  }

  // Follows `name` to a constant: Cast to a wider type, Transpose, Identity,
  // DequantizeLinear. False where it is none.
  bool Constant(std::string name, bool turned, OnnxUse* use) {
    int graph = graph_;
    std::optional<DType> type;    // that the last Cast makes
    std::optional<DType> narrow;  // nothing is lost if the tensor has it
    for (int step = 0; step < kLongestChain; ++step) {
      const OnnxOrigin origin = names_.Find(graph, name);
      if (origin.tensor >= 0) {
        if (!IsFloatMatrix(origin.tensor, turned, &use->matrix)) return false;
        const DType stored = Tensor(origin.tensor)->view->dtype;
        use->matrix.type = type.value_or(stored);
        if (origin.node >= 0) use->chain.push_back({origin.graph, origin.node});
        return !narrow || *narrow == stored;
      }
      if (origin.node < 0) return false;
      const DocumentNode& node = NodeAt(origin);
      if (node.inputs.empty()) return false;
      use->chain.push_back({origin.graph, origin.node});
      graph = origin.graph;
      name = node.inputs[0];
      if (IsOnnx(node, "DequantizeLinear")) {
        if (!Linear(origin, turned, use)) return false;
        const DType made = use->matrix.type;
        use->matrix.type = type.value_or(made);
        return !narrow || *narrow == made;
      }
      if (IsOnnx(node, "Cast")) {
        const int64_t to =
            document_.Int(origin.graph, origin.node, "to").value_or(0);
        const auto dtype = DTypeFromOnnx(static_cast<int>(to));
        if (!dtype || !IsFloat(*dtype)) return false;
        if (!type) type = dtype;
        if (*dtype != DType::kF32) {
          if (narrow && *narrow != *dtype) return false;
          narrow = dtype;
        }
      } else if (IsOnnx(node, "Transpose")) {
        const auto perm = document_.Ints(origin.graph, origin.node, "perm");
        if (perm && *perm != std::vector<int64_t>{1, 0}) return false;
        turned = !turned;
      } else if (!IsOnnx(node, "Identity")) {
        return false;
      }
    }
    return false;
  }

  bool IsMatrixShape(const TensorView& view, bool turned, OnnxMatrix* m) const {
    if (view.shape.rank() != 2) return false;
    m->turned = turned;
    m->n = view.shape[turned ? 1 : 0];
    m->k = view.shape[turned ? 0 : 1];
    return m->n > 0 && m->k > 0 && m->n < kMostSide && m->k < kMostSide;
  }

  bool IsFloatMatrix(int tensor, bool turned, OnnxMatrix* m) const {
    const auto& view = Tensor(tensor)->view;
    if (!view || !IsFloat(view->dtype) || view->dtype == DType::kF64) {
      return false;
    }
    m->form = Form::kFloat;
    m->values = tensor;
    return IsMatrixShape(*view, turned, m);
  }

  // DequantizeLinear(values, scales, zero_points) of constants.
  bool Linear(const OnnxOrigin& origin, bool turned, OnnxUse* use) {
    const DocumentNode& node = NodeAt(origin);
    OnnxMatrix& m = use->matrix;
    m.form = Form::kLinear;
    const auto tensor = [&](size_t i) {
      return i < node.inputs.size() && !node.inputs[i].empty()
                 ? names_.Find(origin.graph, node.inputs[i])
                 : OnnxOrigin{};
    };
    const OnnxOrigin parts[] = {tensor(0), tensor(1), tensor(2)};
    m.values = parts[0].tensor;
    m.scales = parts[1].tensor;
    m.zero_points = parts[2].tensor;
    for (const OnnxOrigin& part : parts) {
      if (part.tensor >= 0 && part.node >= 0) {
        use->chain.push_back({part.graph, part.node});
      }
    }
    const bool has_zero = node.inputs.size() > 2 && !node.inputs[2].empty();
    if (m.values < 0 || m.scales < 0 || (has_zero && m.zero_points < 0)) {
      return false;
    }
    const auto& values = Tensor(m.values)->view;
    const auto& scales = Tensor(m.scales)->view;
    if (!values || !scales || !IsFloat(scales->dtype) ||
        scales->dtype == DType::kF64) {
      return false;
    }
    m.type = scales->dtype;
    const DType stored = values->dtype;
    m.is_signed = stored == DType::kI4 || stored == DType::kI8;
    if (!m.is_signed && stored != DType::kU4 && stored != DType::kU8) {
      return false;
    }
    m.bits = Info(stored).bits;
    m.symmetric = m.is_signed && m.zero_points < 0;
    if (!IsMatrixShape(*values, turned, &m)) return false;
    if (has_zero) {
      const auto& zero = Tensor(m.zero_points)->view;
      if (!zero || zero->dtype != stored || !(zero->shape == scales->shape)) {
        return false;
      }
    }
    return LinearSteps(origin, scales->shape, &m);
  }

  // Where the scale of [r, c] is.
  bool LinearSteps(const OnnxOrigin& origin, const Shape& scales,
                   OnnxMatrix* m) const {
    const auto attribute = [&](const char* name, int64_t otherwise) {
      return document_.Int(origin.graph, origin.node, name).value_or(otherwise);
    };
    int64_t axis = attribute("axis", 1);
    if (axis < 0) axis += 2;
    if (axis != 0 && axis != 1) return false;
    const bool along_k = m->turned ? axis == 0 : axis == 1;
    const int64_t block = attribute("block_size", 0);
    const auto n = static_cast<size_t>(m->n), k = static_cast<size_t>(m->k);
    if (block > 0) {
      if (!along_k) return false;
      m->block_size = static_cast<size_t>(block);
      const auto blocks = static_cast<int64_t>(CeilDiv(k, m->block_size));
      const Shape expected =
          m->turned ? Shape{blocks, m->n} : Shape{m->n, blocks};
      if (!(scales == expected)) return false;
      m->row_step = m->turned ? 1 : static_cast<size_t>(blocks);
      m->block_step = m->turned ? n : 1;
      m->has_grid = IsBlockSize(m->block_size);
      return true;
    }
    if (scales.Count() == 1) {  // one for all
      m->block_size = k;
      return true;
    }
    if (scales.rank() != 1 || scales[0] != (along_k ? m->k : m->n)) {
      return false;
    }
    m->block_size = along_k ? 1 : k;
    (along_k ? m->block_step : m->row_step) = 1;
    return true;
  }

  Status AddProduct(const DocumentNode& node, Op op, bool turned,
                    OnnxUse* use) {
    use->op = op;
    if (names_.Find(graph_, node.inputs[0]).tensor >= 0) return OkStatus();
    if (Constant(node.inputs[1], turned, use)) {
      found_.uses.push_back(std::move(*use));
    }
    return OkStatus();
  }

  Status ReadBlocks(OnnxMatrix* m) const {
    const Sizes sizes = SizesOf(*m);
    const auto bytes = [&](int i) { return Tensor(i)->bytes.size(); };
    const size_t scales = sizes.blocks * static_cast<size_t>(m->n);
    if (bytes(m->values) != sizes.codes ||
        Tensor(m->scales)->view->Count() != scales) {
      return Invalid(
          "its weight has %zu bytes and %zu scales, %lld x %lld in blocks of "
          "%zu need %zu and %zu",
          bytes(m->values), Tensor(m->scales)->view->Count(),
          static_cast<long long>(m->n), static_cast<long long>(m->k),
          m->block_size, sizes.codes, scales);
    }
    if (m->zero_points >= 0 && bytes(m->zero_points) != sizes.zero_points) {
      return Invalid("its weight has %zu bytes of zero points, expected %zu",
                     bytes(m->zero_points), sizes.zero_points);
    }
    return OkStatus();
  }

  Status AddNBits(const DocumentNode& node, OnnxUse* use) {
    use->op = Op::kMatMulNBits;
    OnnxMatrix& m = use->matrix;
    m.form = Form::kPacked;
    m.n = Int("N", 0);
    m.k = Int("K", 0);
    m.bits = static_cast<int>(std::clamp<int64_t>(Int("bits", 4), 0, 64));
    m.block_size =
        static_cast<size_t>(std::max<int64_t>(Int("block_size", 0), 0));
    m.has_grid = true;
    const auto input = [&](size_t i) {
      return i < node.inputs.size() ? node.inputs[i] : std::string();
    };
    if (m.n <= 0 || m.k <= 0 || m.n >= kMostSide || m.k >= kMostSide ||
        !IsBlockSize(m.block_size) ||
        (m.bits != 2 && m.bits != 4 && m.bits != 8)) {
      return Invalid(
          "K = %lld, N = %lld, bits = %d, block_size = %zu are not "
          "supported",
          static_cast<long long>(m.k), static_cast<long long>(m.n), m.bits,
          m.block_size);
    }
    m.values = TensorNamed(input(1));
    m.scales = TensorNamed(input(2));
    m.zero_points = TensorNamed(input(3));
    m.symmetric = input(3).empty();
    if (m.values < 0 || m.scales < 0 || (!m.symmetric && m.zero_points < 0)) {
      use->fixed = "its weight is no constant";
    } else if (!input(4).empty()) {
      use->fixed = "its weight has a g_idx";
    } else if (!Tensor(m.values)->view || !Tensor(m.scales)->view ||
               (m.zero_points >= 0 &&
                (!Tensor(m.zero_points)->view ||
                 Tensor(m.zero_points)->view->dtype != DType::kU8))) {
      use->fixed = "its zero points are floats";
    } else {
      m.type = Tensor(m.scales)->view->dtype;
      SLM_RETURN_IF_ERROR(ReadBlocks(&m));
    }
    for (const std::string& name : document_.AttributeNames(graph_, node_)) {
      const bool known = name == "K" || name == "N" || name == "bits" ||
                         name == "block_size" || name == "accuracy_level";
      if (!known) use->fixed = "its attribute " + name + " is not known";
    }
    found_.uses.push_back(std::move(*use));
    return OkStatus();
  }

  // GatherBlockQuantized; its data may be MatMulNBits' codes in another shape.
  Status AddTable(const DocumentNode& node, OnnxUse* use) {
    use->op = Op::kGatherQuantized;
    OnnxMatrix& m = use->matrix;
    m.form = Form::kTable;
    const auto input = [&](size_t i) {
      return i < node.inputs.size() ? node.inputs[i] : std::string();
    };
    OnnxOrigin data = names_.Find(graph_, input(0));
    if (data.tensor < 0 && data.node >= 0 && IsOnnx(NodeAt(data), "Reshape")) {
      use->chain.push_back({data.graph, data.node});
      data = names_.Find(data.graph, NodeAt(data).inputs[0]);
    }
    m.values = data.tensor;
    m.scales = TensorNamed(input(2));
    m.zero_points = TensorNamed(input(3));
    use->fixed = TableFields(input(3), &m);
    found_.uses.push_back(std::move(*use));
    return OkStatus();
  }

  std::string TableFields(const std::string& zero_input, OnnxMatrix* m) const {
    if (m->values < 0 || m->scales < 0 ||
        (!zero_input.empty() && m->zero_points < 0)) {
      return "its table is no constant";
    }
    const auto& values = Tensor(m->values)->view;
    const auto& scales = Tensor(m->scales)->view;
    if (!values || !scales || scales->shape.rank() != 2 ||
        values->shape.rank() < 2) {
      return "its table is not two-dimensional";
    }
    const DType stored = values->dtype;
    m->is_signed = stored == DType::kI4;
    m->bits = stored == DType::kU8
                  ? static_cast<int>(std::clamp<int64_t>(Int("bits", 4), 0, 64))
                  : 4;
    if (stored != DType::kU8 && stored != DType::kI4 && stored != DType::kU4) {
      return std::string("its table is of type ") + Name(stored);
    }
    if (m->bits != 4 && m->bits != 8) return "its bits are not 4 or 8";
    m->block_size =
        static_cast<size_t>(std::max<int64_t>(Int("block_size", 128), 0));
    if (!IsBlockSize(m->block_size)) return "its block size is not supported";
    m->n = values->shape[0];
    const auto row = values->shape.CountOf(1, values->shape.rank());
    m->k = static_cast<int64_t>(
        stored == DType::kU8 ? row * 8 / static_cast<size_t>(m->bits) : row);
    if (m->n <= 0 || m->k <= 0 || m->n >= kMostSide || m->k >= kMostSide) {
      return "its table is empty";
    }
    const int64_t quantize_axis = Int("quantize_axis", 1);
    if (Int("gather_axis", 0) != 0 ||
        (quantize_axis != 1 && quantize_axis != -1)) {
      return "its axes are not supported";
    }
    const auto blocks =
        static_cast<int64_t>(CeilDiv(static_cast<size_t>(m->k), m->block_size));
    if (!(scales->shape == Shape{m->n, blocks})) {
      return "its scales have another shape";
    }
    m->type = scales->dtype;
    m->symmetric = m->zero_points < 0 && stored != DType::kU4;
    if (m->zero_points >= 0) {
      const size_t fields = static_cast<size_t>(m->n * blocks);
      const size_t packed =
          stored == DType::kU8
              ? static_cast<size_t>(m->n) *
                    CeilDiv(static_cast<size_t>(blocks * m->bits), 8)
              : (fields + 1) / 2;
      if (Tensor(m->zero_points)->bytes.size() != packed) {
        return "its zero points have another shape";
      }
    }
    m->has_grid = true;
    return "";
  }

  const OnnxDocument& document_;
  OnnxNames names_;
  OnnxUses found_;
  int graph_ = 0, node_ = 0;
};

}  // namespace

OnnxNames::OnnxNames(const OnnxDocument& document) : document_(document) {
  scopes_.resize(document.graphs().size());
  for (size_t g = 0; g < scopes_.size(); ++g) {
    const DocumentGraph& graph = document.graphs()[g];
    for (const OnnxValue& input : graph.inputs) {
      scopes_[g].inputs.insert(input.name);
    }
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      for (const std::string& output : graph.nodes[i].outputs) {
        if (!output.empty()) scopes_[g].nodes[output] = static_cast<int>(i);
      }
    }
  }
  for (size_t i = 0; i < document.tensors().size(); ++i) {
    const DocumentTensor& tensor = document.tensors()[i];
    scopes_[static_cast<size_t>(tensor.graph)].tensors[tensor.name] =
        static_cast<int>(i);
  }
}

OnnxOrigin OnnxNames::Find(int graph, const std::string& name) const {
  for (int g = graph; g >= 0;
       g = document_.graphs()[static_cast<size_t>(g)].parent) {
    const Scope& scope = scopes_[static_cast<size_t>(g)];
    OnnxOrigin origin;
    origin.graph = g;
    const auto tensor = scope.tensors.find(name);
    const auto node = scope.nodes.find(name);
    if (tensor != scope.tensors.end()) origin.tensor = tensor->second;
    if (node != scope.nodes.end()) origin.node = node->second;
    if (origin.tensor >= 0 || origin.node >= 0) return origin;
    if (scope.inputs.count(name)) {
      origin.input = true;
      return origin;
    }
  }
  return {};
}

Result<OnnxUses> FindMatrices(const OnnxDocument& document) {
  return Finder(document).Find();
}

}  // namespace slm::convert
