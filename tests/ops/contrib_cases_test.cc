// SPDX-License-Identifier: MIT
// Operators against onnxruntime: tests/data/contrib holds cases with inputs,
// its outputs and the largest difference that arithmetic explains; see
// tests/ops/make_contrib_cases.py for the format and the bounds.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "runtime/core/cpu.h"
#include "tests/ops/op_test_util.h"

namespace slm {
namespace {

struct Expected {
  bool present = false;
  TestTensor tensor;
  double tolerance = 0;
};

struct Case {
  std::string title;
  std::string domain, type;
  int version = 0;
  std::vector<Attribute> attributes;
  struct Given {
    bool present = false, constant = false;
    TestTensor tensor;
  };
  std::vector<Given> inputs;
  std::vector<Expected> outputs;
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// "DTYPE DIMS @ OFFSET" and what follows.
TestTensor ReadTensor(std::istringstream& line, const std::string& blob) {
  TestTensor t;
  std::string word;
  line >> word;
  for (const DTypeInfo& info : kDTypes) {
    if (word == info.name) t.dtype = info.dtype;
  }
  while (line >> word && word != "@") t.shape.Append(std::stoll(word));
  size_t offset = 0;
  line >> offset;
  const size_t bytes = BytesFor(t.dtype, t.Count());
  SLM_CHECK(offset + bytes <= blob.size());
  t.bytes.assign(blob.begin() + static_cast<ptrdiff_t>(offset),
                 blob.begin() + static_cast<ptrdiff_t>(offset + bytes));
  return t;
}

Attribute ReadAttribute(std::istringstream& line) {
  Attribute a;
  std::string type;
  line >> a.name >> type;
  if (type == "int") {
    line >> a.i;
  } else if (type == "float") {
    a.type = Attribute::Type::kFloat;
    line >> a.f;
  } else if (type == "string") {
    a.type = Attribute::Type::kString;
    line >> a.s;
  } else {
    a.type = Attribute::Type::kInts;
    for (int64_t value; line >> value;) a.ints.push_back(value);
  }
  return a;
}

std::vector<Case> ReadCases(const std::string& family) {
  const std::string base = SLM_TEST_DATA_DIR "/contrib/" + family;
  const std::string blob = ReadFile(base + ".bin");
  std::istringstream text(ReadFile(base + ".txt"));
  std::vector<Case> cases;
  for (std::string row; std::getline(text, row);) {
    std::istringstream line(row);
    std::string key, word;
    line >> key;
    if (key == "case") {
      cases.emplace_back().title = row.substr(5);
    } else if (key == "op") {
      Case& c = cases.back();
      line >> c.domain >> c.type >> c.version;
      if (c.domain == "ai.onnx") c.domain = "";
    } else if (key == "attr") {
      cases.back().attributes.push_back(ReadAttribute(line));
    } else if (key == "in") {
      Case::Given given;
      line >> word;
      given.present = word != "none";
      given.constant = word == "const";
      if (given.present) given.tensor = ReadTensor(line, blob);
      cases.back().inputs.push_back(std::move(given));
    } else if (key == "out") {
      Expected expected;
      expected.present = row != "out none";
      if (expected.present) {
        expected.tensor = ReadTensor(line, blob);
        line >> word >> expected.tolerance;
      }
      cases.back().outputs.push_back(std::move(expected));
    }
  }
  return cases;
}

double ValueAt(const TestTensor& t, size_t i) {
  switch (t.dtype) {
    case DType::kI32:
      return t.At<int32_t>(i);
    case DType::kU8:
      return t.At<uint8_t>(i);
    case DType::kI8:
      return t.At<int8_t>(i);
    case DType::kI64:
      return static_cast<double>(t.At<int64_t>(i));
    default:
      return t.Float(i);
  }
}

void Compare(const TestTensor& actual, const Expected& expected, size_t k) {
  ASSERT_EQ(actual.shape.ToString(), expected.tensor.shape.ToString())
      << "output " << k;
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < actual.Count(); ++i) {
    const double difference =
        std::fabs(ValueAt(actual, i) - ValueAt(expected.tensor, i));
    if (!(difference <= worst)) {
      worst = difference;
      at = i;
      if (std::isnan(difference)) break;
    }
  }
  EXPECT_TRUE(worst <= expected.tolerance)
      << "output " << k << ", element " << at << ": " << ValueAt(actual, at)
      << ", onnxruntime " << ValueAt(expected.tensor, at) << ", allowed "
      << expected.tolerance;
}

void RunCase(const Case& c, size_t threads) {
  OpTest test(c.domain, c.type, c.version);
  test.Threads(threads);
  for (const Attribute& a : c.attributes) test.Attr(a);
  for (const Case::Given& in : c.inputs) {
    if (in.present) {
      test.Input(in.tensor, in.constant);
    } else {
      test.NoInput();
    }
  }
  std::vector<bool> wanted;
  for (const Expected& e : c.outputs) wanted.push_back(e.present);
  test.Outputs(wanted);
  const auto results = test.Run();
  ASSERT_TRUE(results.ok()) << results.status().message();
  for (size_t k = 0; k < c.outputs.size(); ++k) {
    if (c.outputs[k].present) Compare((*results)[k], c.outputs[k], k);
  }
}

class ContribCases : public testing::TestWithParam<const char*> {};

TEST_P(ContribCases, AreWhatOnnxruntimeComputes) {
  const std::vector<Case> cases = ReadCases(GetParam());
  ASSERT_FALSE(cases.empty());
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    for (const Case& c : cases) {
      SCOPED_TRACE(c.title + " [" + target + "]");
      RunCase(c, 1);
      RunCase(c, 3);
    }
  }
  ASSERT_TRUE(ForceTarget("").ok());
}

INSTANTIATE_TEST_SUITE_P(Families, ContribCases,
                         testing::Values("norm", "matmul", "nbits", "moe",
                                         "conv", "integer", "gqa", "mha",
                                         "rotary"),
                         [](const auto& family) {
                           return std::string(family.param);
                         });

}  // namespace
}  // namespace slm
