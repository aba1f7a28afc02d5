// SPDX-License-Identifier: MIT
#include "runtime/plan/profile.h"

#include <algorithm>

#include "runtime/core/clock.h"

namespace slm {

// A model has some thirty rows: looking at all costs less than a tree.
size_t Profile::RowOf(const Key& key) {
  for (size_t i = 0; i < keys_.size(); ++i) {
    const Key& k = keys_[i];
    if (k.op == key.op && k.weight_bytes == key.weight_bytes &&
        k.sequences == key.sequences && k.out == key.out) {
      return i;
    }
  }
  keys_.push_back(key);
  rows_.emplace_back();
  return keys_.size() - 1;
}

void Profile::Add(const Graph& graph, const Step& step,
                  const OpContext& context, double begin) {
  const double end = MonotonicSeconds();
  const Work work = WorkOf(graph, step, context);
  const bool attends = (step.op->traits & kSequence) && context.batch;
  Key key;
  key.op = step.op;
  key.weight_bytes = work.weight_bytes;
  key.sequences = attends ? context.batch->sequences.size() : 0;
  if (!context.outputs.empty()) key.out = context.Out(0).shape;
  ProfileRow& row = rows_[RowOf(key)];
  if (row.calls == 0) {
    row.name = step.op->type;
    row.shape = ShapeLabel(graph, step, context);
  }
  ++row.calls;
  row.seconds += end - begin;
  row.work += work;
  for (size_t i = 0; i < key.sequences; ++i) {
    const BatchSequence& s = context.batch->sequences[i];
    const int64_t length = static_cast<int64_t>(s.first + s.count);
    row.shortest = row.shortest < 0 ? length : std::min(row.shortest, length);
    row.longest = std::max(row.longest, length);
  }
  own_seconds_ += MonotonicSeconds() - end;
}

void Profile::AddOutside(const std::string& name, double seconds) {
  size_t i = 0;
  while (i < rows_.size() && (keys_[i].op || rows_[i].name != name)) ++i;
  if (i == rows_.size()) {
    keys_.emplace_back();
    rows_.emplace_back();
    rows_.back().name = name;
  }
  ++rows_[i].calls;
  rows_[i].seconds += seconds;
}

Work Profile::Total() const {
  Work total;
  for (const ProfileRow& row : rows_) total += row.work;
  return total;
}

}  // namespace slm
