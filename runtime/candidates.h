// SPDX-License-Identifier: MIT
// The largest entries of a row of logits in descending order, as many as are
// asked for and no more sorted than that.
#ifndef SLM_RUNTIME_CANDIDATES_H_
#define SLM_RUNTIME_CANDIDATES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace slm {

struct Candidate {
  float score = 0;
  int32_t id = 0;
};

// Descending by score, equal scores ascending by id; not for NaN. An object, as
// compilers do not inline what sorting gets as a pointer.
inline constexpr auto Better = [](const Candidate& a, const Candidate& b) {
  return a.score > b.score || (a.score == b.score && a.id < b.id);
};

// Index of the first maximum; NaN never wins. 0 for an empty row.
int32_t ArgMax(std::span<const float> scores);

// One object per thread of generation: it owns the scratch, which grows to
// what the rows ask for and is then reused.
class Candidates {
 public:
  // Starts a row [V]. The row must not change or go while it is asked about.
  void Reset(std::span<const float> scores);

  // The largest entry, -infinity if there is no number in the row.
  float max() const { return max_; }

  // The min(count, V) largest entries or more, largest first, equal ones by
  // id; NaN counts as -infinity. Valid until the next call.
  std::span<const Candidate> Top(size_t count);

 private:
  void Gather(size_t count);
  void SortTo(size_t count);
  void GatherAtLeast(float threshold);
  void SortAll();

  std::span<const float> scores_;
  float max_ = 0;
  std::vector<float> block_max_;  // [ceil(V / kBlock)]
  std::vector<float> order_;      // scratch for the order of block_max_
  // entries_[0, sorted_) are in order; the rest of entries_ is not, and is
  // smaller than those; what is not in entries_ is below floor_.
  std::vector<Candidate> entries_;
  std::vector<Candidate> swap_;  // scratch of SortAll
  size_t sorted_ = 0;
  float floor_ = 0;
};

}  // namespace slm

#endif  // SLM_RUNTIME_CANDIDATES_H_
