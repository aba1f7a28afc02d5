// SPDX-License-Identifier: MIT
#include "tools/convert/calibration_text.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <span>
#include <utility>

#include "runtime/core/file.h"
#include "runtime/sampler.h"
#include "runtime/session.h"

namespace slm::convert {
namespace {

constexpr size_t kFewestTokens = 64;
constexpr size_t kFileDocument = 512;     // tokens
constexpr size_t kSampledDocument = 256;  // "
// Sequences in a batch: decoding reads the weights once for all of them.
constexpr size_t kSlots = 32;
constexpr uint32_t kSeed = 20260101;

// What the tokenizer puts before a text.
Result<std::vector<int32_t>> Prefix(const Model& model) {
  SLM_ASSIGN_OR_RETURN(
      std::vector<int32_t> ids,
      model.tokenizer().Encode("", EncodeOptions{.add_special_tokens = true}));
  const auto bos = model.config().bos_token_id;
  if (ids.empty() || !bos || ids[0] != *bos) ids.clear();
  if (ids.size() > 1) ids.resize(1);  // what follows stands behind a text
  return ids;
}

// A text that ends at a character's end, long enough for `count` tokens: they
// have 64 bytes at most in all but odd cases.
std::string Beginning(std::string text, size_t count) {
  const size_t bytes = count * 64;
  if (text.size() <= bytes) return text;
  size_t end = bytes;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text;
}

// A token with probability exp(logit) / sum: by walking along the vocabulary,
// where a Sampler without filters would sort it.
int32_t Draw(std::span<const float> logits, std::mt19937& random) {
  const double max = double{*std::max_element(logits.begin(), logits.end())};
  double sum = 0;
  for (const float v : logits) sum += std::exp(double{v} - max);
  double left = Canonical(random) * sum;
  size_t best = 0;  // the last with any probability, should roundings add up
  for (size_t i = 0; i < logits.size(); ++i) {
    const double weight = std::exp(double{logits[i]} - max);
    if (weight > 0) best = i;
    left -= weight;
    if (left < 0) return static_cast<int32_t>(i);
  }
  return static_cast<int32_t>(best);
}

// A sequence while it grows.
struct Slot {
  SequenceId sequence;
  std::mt19937 random;
  std::vector<int32_t> tokens;
};

class DocumentSampler {
 public:
  DocumentSampler(const Model& model, int32_t first, size_t count,
                  ThreadPool& threads)
      : model_(model),
        first_(first),
        count_(count),
        session_(model.plan(), model.decoder(), threads, SessionOptions()) {
    longest_ = std::min(kSampledDocument, model.decoder().context_length);
  }

  Result<Documents> Sample(const CalibrationProgress& progress) {
    while (made_ < count_) {
      SLM_RETURN_IF_ERROR(progress("sampling text", made_, count_));
      while (slots_.size() < kSlots && made_ + slots_.size() < count_) Begin();
      SLM_RETURN_IF_ERROR(Step());
    }
    for (Slot& slot : slots_) documents_.push_back(std::move(slot.tokens));
    return std::move(documents_);
  }

 private:
  void Begin() {
    slots_.push_back(
        {session_.NewSequence(), std::mt19937(kSeed + begun_++), {first_}});
    ++made_;
  }

  // One more token for every sequence.
  Status Step() {
    std::vector<Session::Item> items;
    for (const Slot& slot : slots_) {
      items.push_back({slot.sequence, std::span(slot.tokens).last(1),
                       LogitsFor::kLast, longest_});
    }
    SLM_RETURN_IF_ERROR(session_.Run(items));
    for (size_t i = 0; i < slots_.size() && made_ < count_; ++i) {
      slots_[i].tokens.push_back(Draw(session_.Logits(i), slots_[i].random));
      ++made_;
    }
    for (size_t i = slots_.size(); i-- > 0;) {
      if (!Ended(slots_[i].tokens)) continue;
      session_.Drop(slots_[i].sequence);
      documents_.push_back(std::move(slots_[i].tokens));
      slots_.erase(slots_.begin() + static_cast<ptrdiff_t>(i));
    }
    return OkStatus();
  }

  // Not at an end token: in a chat model it ends a turn, and what comes behind
  // it, answers above all, would never be seen.
  bool Ended(const std::vector<int32_t>& tokens) const {
    return tokens.size() >= longest_;
  }

  const Model& model_;
  const int32_t first_;
  const size_t count_;
  Session session_;
  size_t longest_ = 0;
  std::vector<Slot> slots_;
  uint32_t begun_ = 0;  // documents
  size_t made_ = 0;     // tokens
  Documents documents_;
};

}  // namespace

size_t CountTokens(const Documents& documents) {
  size_t count = 0;
  for (const auto& document : documents) count += document.size();
  return count;
}

Result<Documents> TokensOfFile(const Model& model, const std::string& path,
                               size_t count) {
  SLM_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  SLM_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                       model.tokenizer().Encode(
                           Beginning(std::move(text), count), EncodeOptions()));
  if (ids.size() < kFewestTokens) {
    return Error(ErrorKind::kUsage,
                 "--imatrix: \"%s\" has %zu tokens, at least %zu are needed",
                 Printable(path, 400).c_str(), ids.size(), kFewestTokens);
  }
  SLM_ASSIGN_OR_RETURN(const std::vector<int32_t> prefix, Prefix(model));
  const size_t length =
      std::min(kFileDocument, model.decoder().context_length) - prefix.size();
  ids.resize(std::min(ids.size(), count));
  Documents documents;
  for (size_t at = 0; at < ids.size(); at += length) {
    std::vector<int32_t> document = prefix;
    const size_t end = std::min(ids.size(), at + length);
    document.insert(document.end(), ids.begin() + static_cast<ptrdiff_t>(at),
                    ids.begin() + static_cast<ptrdiff_t>(end));
    documents.push_back(std::move(document));
  }
  return documents;
}

Result<Documents> SampleDocuments(const Model& model, int32_t first,
                                  size_t count, ThreadPool& threads,
                                  const CalibrationProgress& progress) {
  return DocumentSampler(model, first, count, threads).Sample(progress);
}

}  // namespace slm::convert
