// SPDX-License-Identifier: MIT
// The order in which lines of a share are asked for "in turn": for one target,
// it is the same for all.
#include "quant/lines_ahead-inl.h"

#include <map>
#include <vector>

#include "gtest/gtest.h"

namespace slm {
namespace HWY_NAMESPACE {
namespace {

constexpr size_t kStep = 4;  // lines that a kernel asks for at a time

TEST(LinesAhead, EveryLineOfAShareOnce) {
  for (size_t row_bytes : {16, 48, 448, 896, 1440, 2432, 4864, 8192}) {
    for (size_t n : {32, 64, 896, 1152}) {
      const std::vector<uint8_t> weights(n * row_bytes);
      for (size_t threads : {1, 2, 3}) {
        const NextWeights rows = {.b = weights.data(),
                                  .scales = weights.data(),
                                  .n = n,
                                  .row_bytes = row_bytes,
                                  .scale_row_bytes = 2};
        QGemmArgs g = {};
        g.threads = threads;
        for (size_t worker = 0; worker < threads; ++worker) {
          SCOPED_TRACE(testing::Message() << n << " rows of " << row_bytes
                                          << ", worker " << worker << " of "
                                          << threads);
          const ShareInTurn share(rows, g, worker);
          const auto first = reinterpret_cast<uintptr_t>(weights.data());
          const size_t begin = first + g.FirstColumn(n, worker) * row_bytes;
          const size_t end = first + g.FirstColumn(n, worker + 1) * row_bytes;
          if (begin == end) {  // more workers than tiles: never walked
            EXPECT_EQ(share.lines(), 0u);
            continue;
          }
          std::map<uintptr_t, int> asked;
          LinesAhead walk = share.From(0).b;
          for (size_t i = 0; i < share.lines(); i += kStep) {
            // From the middle as from the beginning: tiles begin anywhere.
            const LinesAhead here = share.From(i).b;
            ASSERT_EQ(here.at, walk.at);
            ASSERT_EQ(here.left, walk.left);
            for (size_t line = 0; line < kStep; ++line) {
              ++asked[reinterpret_cast<uintptr_t>(walk.at) +
                      line * static_cast<size_t>(walk.stride)];
            }
            walk.Fetch(kStep);
          }
          for (size_t line = begin; line < end; line += kLineBytes) {
            ASSERT_EQ(asked[line], 1) << (line - begin) / kLineBytes;
          }
          // What is asked for behind the share: less than a line of each
          // stream, and a piece is no more than what tiles are behind.
          EXPECT_EQ(asked.size(), share.lines());
          EXPECT_LT(share.lines() * kLineBytes,
                    end - begin +
                        share.pieces * LinesAhead::kStreams * kLineBytes);
          EXPECT_LE(share.lines() / share.pieces, kAheadInTurn);
        }
      }
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
