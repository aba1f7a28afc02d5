// SPDX-License-Identifier: MIT
#include "tools/convert/kept.h"

#include <algorithm>

namespace slm::convert {
namespace {

// What the user's flags make of a grid.
Result<QuantGrid> Asked(const std::string& name, const QuantGrid& own,
                        const Options& options) {
  const QuantizeOptions& q = options.graph.quantize;
  QuantGrid grid = own;
  if (options.given.precision) grid.bits = q.bits;
  if (options.given.block_size) {
    if (q.block_size > own.block_size) {
      return Usage(
          "tensor \"%s\" has blocks of %zu, not %zu; leave the block size out "
          "to keep them, or quantise again with --requantize",
          Printable(name).c_str(), own.block_size, q.block_size);
    }
    grid.block_size = q.block_size;
  }
  if (options.given.symmetry) {
    if (q.symmetric && !own.symmetric) {
      return Usage(
          "tensor \"%s\" has zero points; leave --symmetric out to keep them, "
          "or quantise again with --requantize",
          Printable(name).c_str());
    }
    grid.symmetric = q.symmetric;
  }
  return grid;
}

bool FitsFlags(const QuantGrid& own, const Options& options) {
  const QuantizeOptions& q = options.graph.quantize;
  return !(options.given.block_size && q.block_size > own.block_size) &&
         !(options.given.symmetry && q.symmetric && !own.symmetric);
}

// "1 quantised tensor is", "2 quantised tensors are".
std::string Tensors(size_t count, const char* one, const char* more) {
  return Format("%zu quantised tensor%s ", count, count == 1 ? "" : "s") +
         (count == 1 ? one : more);
}

}  // namespace

void FollowSource(const TensorSource& source, Options* options) {
  if (options->given.precision) return;
  int bits = 0;
  for (const auto& [name, tensor] : source.tensors()) {
    const int own = tensor.grid ? tensor.grid->bits : tensor.bits;
    if (own > 0) bits = bits == 0 ? own : std::min(bits, own);
  }
  if (bits != 8) return;
  options->graph.precision = Precision::kInt8;
  options->graph.quantize.bits = 8;
}

Result<KeptGrids> ChooseKept(const TensorSource& source,
                             const AdapterSet& adapters, const Options& options,
                             std::vector<std::string>* notes) {
  KeptGrids kept;
  const bool quantized = options.graph.quantized();
  const int bits = options.graph.quantize.bits;
  size_t all = 0, merged = 0, off_grid = 0, wider = 0, unfit = 0;
  size_t requantized = 0;
  for (const auto& [name, tensor] : source.tensors()) {
    if (!tensor.quantized && !tensor.grid) continue;
    ++all;
    if (!quantized) continue;
    if (options.requantize) {
      ++requantized;
    } else if (adapters.Find(name)) {
      ++merged;
    } else if (!tensor.grid) {
      ++off_grid;
    } else if (tensor.grid->bits > bits && options.given.precision) {
      ++wider;
    } else if (source.mixed_types() && !FitsFlags(*tensor.grid, options)) {
      ++unfit;
    } else {
      SLM_ASSIGN_OR_RETURN(const QuantGrid grid,
                           Asked(name, *tensor.grid, options));
      kept.emplace(name, grid);
    }
  }
  if (all == 0) return kept;
  const auto note = [&](size_t count, const char* one, const char* more,
                        const char* what) {
    if (count > 0) notes->push_back(Tensors(count, one, more) + what);
  };
  const auto again = [&](size_t count, const char* why) {
    note(count, "is", "are", why);
  };
  if (!quantized) note(all, "becomes", "become", " floats");
  note(kept.size(), "keeps", "keep",
       " the values: codes and scales are copied");
  again(requantized, " quantised again (--requantize)");
  again(merged, " quantised again: an adapter is merged");
  again(wider, " quantised again: more bits than asked for");
  again(unfit, " quantised again: blocks smaller than asked for");
  again(off_grid,
        source.mixed_types()
            ? " quantised again: values on no grid of MatMulNBits"
            : " quantised again: groups that are no blocks of 16 columns or "
              "more");
  return kept;
}

}  // namespace slm::convert
