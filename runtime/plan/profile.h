// SPDX-License-Identifier: MIT
// Where the time of runs went, by operator and shape. An executor with a
// profile set adds every step; one without pays a comparison a step.
#ifndef SLM_RUNTIME_PLAN_PROFILE_H_
#define SLM_RUNTIME_PLAN_PROFILE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/plan/work.h"

namespace slm {

struct ProfileRow {
  std::string name;   // "MatMulNBits", "(greedy choice)"
  std::string shape;  // ShapeLabel, of the first call
  uint64_t calls = 0;
  double seconds = 0;
  Work work;
  // Attention: tokens that the sequences had after the step, -1: none.
  int64_t shortest = -1, longest = -1;
};

class Profile {
 public:
  // A step that began at `begin` (MonotonicSeconds) and ends now.
  void Add(const Graph& graph, const Step& step, const OpContext& context,
           double begin);
  // Work outside of the plan, under a name of its own.
  void AddOutside(const std::string& name, double seconds);

  std::span<const ProfileRow> rows() const { return rows_; }
  Work Total() const;
  // Seconds that keeping this profile took: no part of what it describes.
  double own_seconds() const { return own_seconds_; }

 private:
  struct Key {
    const OpDef* op = nullptr;
    uint64_t weight_bytes = 0;
    size_t sequences = 0;
    Shape out;
  };

  size_t RowOf(const Key& key);

  std::vector<ProfileRow> rows_;
  std::vector<Key> keys_;  // of rows_
  double own_seconds_ = 0;
};

}  // namespace slm

#endif  // SLM_RUNTIME_PLAN_PROFILE_H_
