// SPDX-License-Identifier: MIT
// ONNX's node tests that do not pass, and why that is right. '*' stands for any
// text, '?' for one character; the first pattern that matches counts.
#ifndef SLM_TESTS_OPS_NODE_EXCLUSIONS_H_
#define SLM_TESTS_OPS_NODE_EXCLUSIONS_H_

#include <string_view>

namespace slm {

struct NodeExclusion {
  std::string_view pattern;
  std::string_view reason;
};

// Nine answers of onnx 1.19.1; the errata are what the reference of onnx 1.23.2
// computes: cap before mask, output 3 with the mask is mode 2.
inline constexpr std::string_view kAttentionErrata =
    "contradicts the errata of Attention";

inline constexpr NodeExclusion kNodeExclusions[] = {
    {"*FLOAT8*", "float8 is not held"},
    {"*FLOAT4E2M1*", "float4 is not held"},
    {"dequantizelinear_e*m*", "float8 is not held"},
    {"dequantizelinear_float4e2m1", "float4 is not held"},
    {"quantizelinear_e*m*", "float8 is not held"},
    {"quantizelinear_float4e2m1", "float4 is not held"},
    {"equal_string*", "strings are not held"},
    {"identity_opt", "optionals are not held"},
    {"identity_sequence", "sequences are not held"},
    {"not_?d", "opset 1: the loader takes 7 to 24"},
    {"training_dropout*", "training is refused"},
    {"l2normalization_axis_0",
     "a zero vector stays zero, as in ONNX Runtime; ONNX's answer is 0 / 0"},
    {"attention_3d_with_past_and_present_qk_matmul_bias", kAttentionErrata},
    {"attention_3d_with_past_and_present_qk_matmul_softcap", kAttentionErrata},
    {"attention_4d_with_past_and_present_qk_matmul_bias*", kAttentionErrata},
    {"attention_4d_with_qk_matmul_bias", kAttentionErrata},
    {"attention_4d_with_qk_matmul_softcap", kAttentionErrata},
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
