// SPDX-License-Identifier: MIT
// A reference: a text in windows and what a model foretold of it, in a file
// (.slmk, README.md has the format) that other models are compared with.
#ifndef SLM_TOOLS_BENCH_REFERENCE_H_
#define SLM_TOOLS_BENCH_REFERENCE_H_

#include <cstdint>
#include <string>

#include "runtime/core/memory.h"
#include "runtime/core/threads.h"
#include "runtime/session.h"
#include "tools/bench/saved_row.h"
#include "tools/bench/score.h"
#include "tools/bench/windows.h"

namespace slm::bench {

struct ReferenceInfo {
  std::string model;           // its name, for people
  std::string tokenizer_hash;  // HashTokenizer
  std::string text_hash;       // SHA-256 of the text, for people
};

// SHA-256 of the text of every token and whether it is a control token: two
// tokenizers with the same hash mean the same by an id.
std::string HashTokenizer(const Tokenizer& tokenizer);

// Of the file.
uint64_t ReferenceBytes(const WindowedText& text, size_t vocab_size);

// Runs the text through the session and writes the file: to PATH.tmp, which
// then gets the name. Nothing is left of a failure.
Status SaveReference(const std::string& path, const ReferenceInfo& info,
                     const WindowedText& text, Session* session,
                     ThreadPool& threads, const OnProgress& progress);

class Reference {
 public:
  // Trusts nothing: sizes, hash, windows and ids are checked, so that Row
  // cannot fail. kInvalid with one line for what is cut, changed or no
  // reference.
  static Result<Reference> Open(const std::string& path);

  const ReferenceInfo& info() const { return info_; }
  const WindowedText& text() const { return text_; }
  size_t vocab_size() const { return vocab_; }
  SavedRow Row(size_t position) const;

 private:
  Reference() = default;
  Status ReadHeader();
  Status CheckHash() const;
  Status ReadWindows();
  Status CheckRow(size_t position) const;

  MappedFile file_;
  ReferenceInfo info_;
  WindowedText text_;
  size_t vocab_ = 0;
  size_t token_count_ = 0, window_count_ = 0;
};

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_REFERENCE_H_
