// SPDX-License-Identifier: MIT
#include "tools/bench/score.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "runtime/core/file_output.h"
#include "tools/bench/statistics.h"

namespace slm::bench {
namespace {

// 55 rows of 151936 tokens, at which a window of 512 takes as long as in one
// piece (within 5 %); half as many are 10 to 25 % slower.
constexpr size_t kMostLogits = size_t{8} << 20;

// Inputs [begin, begin + count) of a window. The logits of input i foretell
// token i + 1.
struct Piece {
  size_t begin = 0, count = 0;
  LogitsFor logits = LogitsFor::kNone;
};

// The last token of a window foretells nothing that is known.
std::vector<Piece> PiecesOf(const Window& window, size_t rows) {
  std::vector<Piece> pieces;
  if (window.first > 1) pieces.push_back({0, window.first - 1});
  for (size_t at = window.first - 1; at + 1 < window.size; at += rows) {
    pieces.push_back(
        {at, std::min(rows, window.size - 1 - at), LogitsFor::kAll});
  }
  return pieces;
}

// How a model wants its windows.
struct Rows {
  size_t most = SIZE_MAX;  // rows of logits in a piece
  bool whole = false;      // a window is one piece
};

Rows RowsFor(std::span<Session* const> sessions) {
  Rows rows;
  for (const Session* session : sessions) {
    const size_t vocab = std::max<size_t>(1, session->spec().vocab_size);
    rows.most = std::min(rows.most, std::max<size_t>(1, kMostLogits / vocab));
    rows.whole = rows.whole || !session->plan().ragged;
  }
  for (const Session* session : sessions) {
    // The graph gives the last row alone.
    if (!session->plan().pruned_logits) continue;
    rows.most = 1;
    rows.whole = false;
  }
  return rows;
}

class Scorer {
 public:
  Scorer(std::span<Session* const> sessions, ThreadPool& threads,
         const UseToken& use)
      : sessions_(sessions), threads_(threads), use_(use) {}

  Status Run(const WindowedText& text, const OnProgress& progress) {
    const Rows rows = RowsFor(sessions_);
    size_t position = 0;
    for (const Window& window : text.windows) {
      ids_ = text.TokensOf(window);
      std::vector<SequenceId> sequences;
      for (Session* session : sessions_) {
        sequences.push_back(session->NewSequence());
      }
      const std::vector<Piece> pieces =
          rows.whole ? std::vector<Piece>{{0, window.size - 1, LogitsFor::kAll}}
                     : PiecesOf(window, rows.most);
      Status status;
      for (size_t i = 0; i < pieces.size() && status.ok(); ++i) {
        status = RunPiece(sequences, pieces[i], window, &position);
        if (progress) progress(position);
      }
      for (size_t i = 0; i < sessions_.size(); ++i) {
        sessions_[i]->Drop(sequences[i]);
      }
      SLM_RETURN_IF_ERROR(status);
    }
    return OkStatus();
  }

 private:
  Status RunPiece(std::span<const SequenceId> sequences, const Piece& piece,
                  const Window& window, size_t* position) {
    if (HeldSignal()) return Error(ErrorKind::kRuntime, "interrupted");
    for (size_t i = 0; i < sessions_.size(); ++i) {
      Session& session = *sessions_[i];
      const LogitsFor logits =
          piece.logits == LogitsFor::kAll && session.plan().pruned_logits
              ? LogitsFor::kLast
              : piece.logits;
      const Session::Item item{
          sequences[i], std::span(ids_).subspan(piece.begin, piece.count),
          logits, /*prompt_total=*/window.size};
      SLM_RETURN_IF_ERROR(session.Run({&item, 1}));
      if (piece.logits == LogitsFor::kAll &&
          session.logit_rows() != piece.count) {
        return Invalid("%zu rows of logits for %zu tokens",
                       session.logit_rows(), piece.count);
      }
    }
    if (piece.logits == LogitsFor::kNone) return OkStatus();
    // The rows of a whole window begin before what is scored.
    const size_t skip =
        window.first - 1 > piece.begin ? window.first - 1 - piece.begin : 0;
    SLM_RETURN_IF_ERROR(
        UseRows(piece.begin + skip, skip, piece.count - skip, *position));
    *position += piece.count - skip;
    return OkStatus();
  }

  // Rows [row, row + count) belong to inputs from `input` on. A row of the
  // smallest vocabularies takes some microseconds, of the largest half a
  // millisecond: grains of 16 are worth a thread.
  Status UseRows(size_t input, size_t row, size_t count, size_t position) {
    std::atomic<bool> finite{true};
    ParallelForEach(
        threads_, count, 16, [&](size_t begin, size_t end, size_t worker) {
          std::vector<std::span<const float>> logits;
          for (size_t i = begin; i < end; ++i) {
            logits.clear();
            for (const Session* session : sessions_) {
              logits.push_back(session->Logits(row + i));
            }
            if (!use_({position + i, ids_[input + i + 1], logits, worker})) {
              finite = false;
            }
          }
        });
    if (finite) return OkStatus();
    return Error(ErrorKind::kRuntime,
                 "the model's logits are not finite for tokens %zu..%zu of the "
                 "scored ones",
                 position, position + count - 1);
  }

  const std::span<Session* const> sessions_;
  ThreadPool& threads_;
  const UseToken& use_;
  std::vector<int32_t> ids_;  // of the window
};

}  // namespace

Status ScoreWindows(std::span<Session* const> sessions,
                    const WindowedText& text, ThreadPool& threads,
                    const UseToken& use, const OnProgress& progress) {
  return Scorer(sessions, threads, use).Run(text, progress);
}

MeanError MeanOf(std::span<const double> values) {
  if (values.empty()) return {NAN, NAN};
  const double n = static_cast<double>(values.size());
  return {Mean(values), n < 2 ? NAN : StdDev(values) / std::sqrt(n)};
}

}  // namespace slm::bench
