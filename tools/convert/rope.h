// SPDX-License-Identifier: MIT
// Rotary embeddings: what config.json says about them, and the cos and sin
// tables that a graph holds. Rounded to float32 where transformers rounds.
#ifndef SLM_TOOLS_CONVERT_ROPE_H_
#define SLM_TOOLS_CONVERT_ROPE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loader/json.h"
#include "runtime/core/result.h"

namespace slm::convert {

struct RopeTable {
  std::vector<float> inverse;  // [rotary size / 2]: angle at position 1
  double magnitude = 1;        // factor of cos and sin
  int64_t length = 0;          // positions

  // [count, rotary size / 2]: cos or sin of positions [first, first + count).
  std::vector<float> Rows(bool cosine, int64_t first, int64_t count) const;
};

struct Rope {
  RopeTable table;
  // longrope: for totals above table.length, another table from position 0.
  std::optional<RopeTable> long_table;
  std::string note;  // what a user should know; empty: nothing
};

struct RopeRequest {
  const JsonValue* scaling = nullptr;  // rope_scaling or null
  double theta = 10000;
  int64_t size = 0;              // rotary size: even
  int64_t context = 0;           // max_position_embeddings
  int64_t original_context = 0;  // the config's own, 0: none
};

// Types default, linear, dynamic, llama3, yarn, longrope ("su").
Result<Rope> ReadRope(const RopeRequest& request);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_ROPE_H_
