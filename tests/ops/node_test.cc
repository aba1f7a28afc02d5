// SPDX-License-Identifier: MIT
// ONNX's own node tests: every case of a registered operator passes or is in
// the table of exclusions with its reason (tests/ops/node_exclusions.h).
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "loader/onnx_graph.h"
#include "ops/nibble.h"
#include "ops/op.h"
#include "runtime/core/half.h"
#include "runtime/plan/executor.h"
#include "tests/ops/node_exclusions.h"

namespace slm {
namespace {

namespace fs = std::filesystem;

// '*' stands for any text, '?' for one character.
bool Matches(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern[0] == '*') {
    for (size_t i = 0; i <= name.size(); ++i) {
      if (Matches(pattern.substr(1), name.substr(i))) return true;
    }
    return false;
  }
  return !name.empty() && (pattern[0] == '?' || pattern[0] == name[0]) &&
         Matches(pattern.substr(1), name.substr(1));
}

// float16 as stored, everything else as it runs.
double ValueAt(const TensorView& t, size_t i) {
  switch (t.dtype) {
    case DType::kF32:
      return t.As<float>()[i];
    case DType::kF64:
      return t.As<double>()[i];
    case DType::kI4:
    case DType::kU4:
      return NibbleAt(t, i);
    default:
      break;
  }
  uint16_t half;
  std::memcpy(&half, t.Raw() + 2 * i, sizeof half);
  return t.dtype == DType::kF16 ? FloatFromF16(half) : FloatFromBF16(half);
}

bool IsClose(double got, double want, double rtol, double atol) {
  if (std::isnan(want)) return std::isnan(got);
  if (std::isinf(want)) return got == want;
  return std::abs(got - want) <= atol + rtol * std::abs(want);
}

Status Compare(const TensorView& got, const TensorView& want, size_t output) {
  if (got.dtype != RunType(want.dtype) || !(got.shape == want.shape)) {
    return Invalid("output %zu is %s %s, expected %s %s", output,
                   Name(got.dtype), got.shape.ToString().c_str(),
                   Name(want.dtype), want.shape.ToString().c_str());
  }
  if (!IsFloat(want.dtype) && Info(want.dtype).bits >= 8) {
    if (want.Bytes() && std::memcmp(got.data, want.data, want.Bytes()) != 0) {
      return Invalid("output %zu differs", output);
    }
    return OkStatus();
  }
  // ONNX's own rtol; atol as the fixtures' notes on these tests state it. The
  // expected half values are rounded, ours are float32.
  const double atol = IsHalf(want.dtype) ? 1e-2 : 1e-5;
  const double rtol = want.dtype == DType::kBF16 ? 1e-2 : 1e-3;
  for (size_t i = 0; i < want.Count(); ++i) {
    const double g = ValueAt(got, i), w = ValueAt(want, i);
    if (!IsClose(g, w, rtol, atol)) {
      return Invalid("output %zu, element %zu: %.9g, expected %.9g", output, i,
                     g, w);
    }
  }
  return OkStatus();
}

Result<HeldTensor> ReadTensor(Executor* executor, const std::string& path,
                              GraphStorage* storage) {
  SLM_ASSIGN_OR_RETURN(const TensorView stored, LoadOnnxTensor(path, storage));
  SLM_ASSIGN_OR_RETURN(
      HeldTensor fed, executor->NewTensor(RunType(stored.dtype), stored.shape));
  if (IsHalf(stored.dtype)) {
    for (size_t i = 0; i < stored.Count(); ++i) {
      fed.view.Mutable<float>()[i] = static_cast<float>(ValueAt(stored, i));
    }
  } else if (stored.Bytes() > 0) {
    std::memcpy(fed.view.data, stored.data, stored.Bytes());
  }
  return fed;
}

Status RunCase(const fs::path& folder) {
  SLM_ASSIGN_OR_RETURN(auto graph, LoadOnnxGraph(folder / "model.onnx"));
  SLM_ASSIGN_OR_RETURN(const auto plan, BuildPlan(std::move(graph), {}));
  ThreadPool threads(2);
  Executor executor(*plan, threads);
  GraphStorage storage;
  const Graph& g = *plan->graph;
  for (size_t i = 0; i < g.inputs.size(); ++i) {
    SLM_ASSIGN_OR_RETURN(
        auto fed,
        ReadTensor(&executor, folder / ("input_" + std::to_string(i) + ".pb"),
                   &storage));
    executor.Feed(g.inputs[i], std::move(fed));
  }
  SLM_RETURN_IF_ERROR(executor.Run());
  for (size_t i = 0; i < g.outputs.size(); ++i) {
    SLM_ASSIGN_OR_RETURN(
        const TensorView want,
        LoadOnnxTensor(folder / ("output_" + std::to_string(i) + ".pb"),
                       &storage));
    SLM_RETURN_IF_ERROR(Compare(executor.Output(i).view, want, i));
  }
  return OkStatus();
}

// Types of the operators of a case; empty if one is not registered in any
// version.
std::vector<std::string> RegisteredOps(const fs::path& folder,
                                       const std::set<std::string>& known) {
  std::ifstream file(folder / "ops.txt");
  std::vector<std::string> types;
  std::string domain, type;
  while (file >> domain >> type) {
    if (type == "Constant") continue;  // the loader's
    if (domain != "ai.onnx") type = domain + "." + type;
    if (!known.count(type)) return {};
    types.push_back(type);
  }
  return types;
}

// "Add", "com.microsoft.QuickGelu"
std::set<std::string> RegisteredTypes() {
  std::set<std::string> types;
  for (std::span<const OpDef> family : OpFamilies()) {
    for (const OpDef& op : family) {
      std::string type(op.type);
      if (!op.domain.empty()) type = std::string(op.domain) + "." + type;
      types.insert(std::move(type));
    }
  }
  return types;
}

const NodeExclusion* FindExclusion(const std::string& name) {
  for (const NodeExclusion& e : kNodeExclusions) {
    if (Matches(e.pattern, name)) return &e;
  }
  return nullptr;
}

TEST(OnnxNodeTests, EveryRegisteredOperatorPassesOrIsListed) {
  const fs::path root = SLM_NODE_TEST_DIR;
  if (!fs::exists(root / "VERSION")) {
    ASSERT_EQ(std::getenv("CI"), nullptr) << "no node tests in " << root;
    GTEST_SKIP() << "no node tests in " << root
                 << ": run tests/ops/make_node_tests.py with PyPI onnx";
  }
  std::set<std::string> known = RegisteredTypes(), tested;
  std::set<std::string> used_patterns;
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  size_t passed = 0, excluded = 0, foreign = 0;
  for (const fs::path& folder : folders) {
    const std::string name = folder.filename();
    const auto types = RegisteredOps(folder, known);
    if (types.empty()) {
      ++foreign;
      continue;
    }
    const Status status = RunCase(folder);
    if (const NodeExclusion* e = FindExclusion(name)) {
      used_patterns.emplace(e->pattern);
      ++excluded;
      EXPECT_FALSE(status.ok()) << name << " passes: drop " << e->pattern;
      continue;
    }
    EXPECT_TRUE(status.ok()) << name << ": " << status.message();
    if (!status.ok()) continue;
    ++passed;
    tested.insert(types.begin(), types.end());
  }
  std::printf("%zu passed, %zu excluded, %zu of operators not registered\n",
              passed, excluded, foreign);
  for (const NodeExclusion& e : kNodeExclusions) {
    EXPECT_TRUE(used_patterns.count(std::string(e.pattern)))
        << "exclusion " << e.pattern << " matches no case";
  }
  for (const UntestedOp& op : kUntestedOps) {
    EXPECT_FALSE(tested.count(std::string(op.type))) << op.type << " is tested";
    tested.emplace(op.type);
  }
  for (const std::string& type : known) {
    if (type.find('.') != std::string::npos) continue;  // not ONNX's own
    EXPECT_TRUE(tested.count(type)) << type << " has no test and no reason";
  }
}

}  // namespace
}  // namespace slm
