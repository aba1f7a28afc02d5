// SPDX-License-Identifier: MIT
// Models and prompts for tests of the runtime: tests/data/tiny-model, and
// exports of the shared fixtures.
#ifndef SLM_TESTS_RUNTIME_MODEL_TEST_UTIL_H_
#define SLM_TESTS_RUNTIME_MODEL_TEST_UTIL_H_

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/model.h"

namespace slm {

inline std::string TinyModelPath() {
  return std::string(SLM_TEST_DATA_DIR) + "/tiny-model";
}

// nullptr after a test failure.
inline std::unique_ptr<Model> OpenForTest(const std::string& path,
                                          const ModelOptions& options = {}) {
  auto model = Model::Open(path, options);
  EXPECT_TRUE(model.ok()) << path << ": " << model.status().message();
  return model.ok() ? std::move(model).value() : nullptr;
}

inline std::vector<int32_t> EncodeForTest(const Model& model,
                                          const std::string& text) {
  auto tokens = model.tokenizer().Encode(text, EncodeOptions());
  EXPECT_TRUE(tokens.ok()) << tokens.status().message();
  return tokens.ok() ? *tokens : std::vector<int32_t>();
}

// `count` tokens below `vocab`, the same for the same seed.
inline std::vector<int32_t> SomeTokens(size_t count, size_t vocab,
                                       uint64_t seed) {
  std::vector<int32_t> tokens;
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    tokens.push_back(static_cast<int32_t>((state >> 33) % vocab));
  }
  return tokens;
}

}  // namespace slm

#endif  // SLM_TESTS_RUNTIME_MODEL_TEST_UTIL_H_
