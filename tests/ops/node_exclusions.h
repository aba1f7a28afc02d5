// SPDX-License-Identifier: MIT
// ONNX's node tests that do not pass, and why that is right. '*' stands for any
// text; the first pattern that matches counts.
#ifndef SLM_TESTS_OPS_NODE_EXCLUSIONS_H_
#define SLM_TESTS_OPS_NODE_EXCLUSIONS_H_

#include <string_view>

namespace slm {

struct NodeExclusion {
  std::string_view pattern;
  std::string_view reason;
};

inline constexpr NodeExclusion kNodeExclusions[] = {
    {"*FLOAT8*", "float8 is not held"},
};

// Registered operators of ONNX's domain that no case covers.
struct UntestedOp {
  std::string_view type;
  std::string_view reason;
};

inline constexpr UntestedOp kUntestedOps[] = {
    {"SimplifiedLayerNormalization", "has no ONNX schema: ONNX Runtime's own"},
};

}  // namespace slm

#endif  // SLM_TESTS_OPS_NODE_EXCLUSIONS_H_
