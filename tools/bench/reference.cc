// SPDX-License-Identifier: MIT
#include "tools/bench/reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "runtime/core/file.h"
#include "runtime/core/file_output.h"
#include "runtime/core/sha256.h"
#include "runtime/core/shape.h"

namespace slm::bench {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the file is little-endian, as are all machines of slm");

constexpr uint32_t kVersion = 1;
constexpr size_t kHashSize = 64;  // hexadecimal

// The file: Header, tokens int32[tokens], Entry[windows], rows[positions], and
// the hash of all that.
struct Header {
  char magic[4];
  uint32_t version;
  uint32_t vocab;
  uint32_t top;  // logits of a row: min(64, vocab)
  int32_t bos;   // stands for the first token of every window; -1: nothing
  uint32_t window;
  uint32_t stride;
  uint32_t zero;
  uint64_t tokens;
  uint64_t windows;
  uint64_t positions;
  uint64_t scored_bytes;
  char tokenizer_hash[kHashSize];
  char text_hash[kHashSize];
  char model[64];  // UTF-8, zeros behind it
};
static_assert(sizeof(Header) == 256);

struct Entry {
  uint64_t begin;
  uint32_t size;
  uint32_t first;
};
static_assert(sizeof(Entry) == 16);

// A row: log_sum f64, rest_mass f64, token_logit f32, ids int32[top],
// logits f32[top].
size_t RowBytes(size_t top) { return 20 + 8 * top; }

size_t TopOf(size_t vocab) { return std::min(kTopLogits, vocab); }

// nullopt where it does not fit into 64 bits.
std::optional<size_t> FileBytes(size_t tokens, size_t windows, size_t positions,
                                size_t vocab) {
  const auto a = CheckedMul(tokens, sizeof(int32_t));
  const auto b = CheckedMul(windows, sizeof(Entry));
  const auto c = CheckedMul(positions, RowBytes(TopOf(vocab)));
  if (!a || !b || !c) return std::nullopt;
  auto sum = CheckedAdd(*a, *b);
  if (sum) sum = CheckedAdd(*sum, *c);
  if (sum) sum = CheckedAdd(*sum, sizeof(Header) + kHashSize);
  return sum;
}

// Moves a value between its place in the file and memory.
template <typename T>
const uint8_t* Take(const uint8_t* from, T* to, size_t count = 1) {
  std::memcpy(to, from, count * sizeof(T));
  return from + count * sizeof(T);
}
template <typename T>
uint8_t* Put(uint8_t* to, const T* from, size_t count = 1) {
  std::memcpy(to, from, count * sizeof(T));
  return to + count * sizeof(T);
}

constexpr size_t kMostRowBytes = 20 + 8 * kTopLogits;

size_t PackRow(const SavedRow& row, uint8_t* out) {
  uint8_t* at = Put(out, &row.log_sum);
  at = Put(at, &row.rest_mass);
  at = Put(at, &row.token_logit);
  at = Put(at, row.ids.data(), row.count);
  at = Put(at, row.logits.data(), row.count);
  return static_cast<size_t>(at - out);
}

void SetText(const std::string& text, char* out, size_t size) {
  std::memcpy(out, text.data(), std::min(text.size(), size));
}

std::string HashOf(std::string_view bytes) {
  Sha256 sha;
  sha.Add(bytes);
  return sha.Finish();
}

Header HeaderOf(const ReferenceInfo& info, const WindowedText& text,
                size_t vocab) {
  Header h = {};
  std::memcpy(h.magic, "SLMK", 4);
  h.version = kVersion;
  h.vocab = static_cast<uint32_t>(vocab);
  h.top = static_cast<uint32_t>(TopOf(vocab));
  h.bos = text.bos;
  h.window = static_cast<uint32_t>(text.window);
  h.stride = static_cast<uint32_t>(text.stride);
  h.tokens = text.tokens.size();
  h.windows = text.windows.size();
  h.positions = text.positions;
  h.scored_bytes = text.scored_bytes;
  SetText(info.tokenizer_hash, h.tokenizer_hash, kHashSize);
  SetText(info.text_hash, h.text_hash, kHashSize);
  SetText(info.model, h.model, sizeof(h.model));
  return h;
}

// All before the rows. `*rows` becomes their offset.
Status WriteHead(const ReferenceInfo& info, const WindowedText& text,
                 size_t vocab, FileWriter* file, uint64_t* rows) {
  const Header header = HeaderOf(info, text, vocab);
  SLM_RETURN_IF_ERROR(file->WriteAt(0, &header, sizeof(header)));
  *rows = sizeof(header);
  const size_t bytes = text.tokens.size() * sizeof(int32_t);
  SLM_RETURN_IF_ERROR(file->WriteAt(*rows, text.tokens.data(), bytes));
  *rows += bytes;
  for (const Window& w : text.windows) {
    const Entry entry{w.begin, static_cast<uint32_t>(w.size),
                      static_cast<uint32_t>(w.first)};
    SLM_RETURN_IF_ERROR(file->WriteAt(*rows, &entry, sizeof(entry)));
    *rows += sizeof(entry);
  }
  return OkStatus();
}

// Rows go to their places from all threads.
Status WriteRows(const WindowedText& text, Session* session,
                 ThreadPool& threads, uint64_t begin, FileWriter* file,
                 const OnProgress& progress) {
  std::vector<Candidates> scratch(threads.size());
  std::mutex mutex;
  Status written;
  const auto use = [&](const ScoredToken& t) {
    const SavedRow row = SaveRow(t.logits[0], t.token, &scratch[t.worker]);
    uint8_t bytes[kMostRowBytes];
    const size_t size = PackRow(row, bytes);
    const Status status = file->WriteAt(begin + t.position * size, bytes, size);
    if (!status.ok()) {
      const std::lock_guard lock(mutex);
      written = status;
    }
    return status.ok() && std::isfinite(row.log_sum);
  };
  const Status status =
      ScoreWindows({&session, 1}, text, threads, use, progress);
  SLM_RETURN_IF_ERROR(written);
  return status;
}

Status WriteFile(const std::string& path, const ReferenceInfo& info,
                 const WindowedText& text, Session* session,
                 ThreadPool& threads, const OnProgress& progress) {
  SLM_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
  const size_t vocab = session->spec().vocab_size;
  uint64_t rows = 0;
  SLM_RETURN_IF_ERROR(WriteHead(info, text, vocab, &file, &rows));
  SLM_RETURN_IF_ERROR(WriteRows(text, session, threads, rows, &file, progress));
  // Read back for the hash: rows came in any order.
  const uint64_t size = rows + text.positions * RowBytes(TopOf(vocab));
  std::string hash;
  {
    SLM_ASSIGN_OR_RETURN(const MappedFile written, MappedFile::Open(path));
    if (written.size() != size) {
      return Error(ErrorKind::kRuntime, "\"%s\" has %zu bytes, not %llu",
                   Printable(path, 400).c_str(), written.size(),
                   static_cast<unsigned long long>(size));
    }
    hash = HashOf(written.view());
  }
  SLM_RETURN_IF_ERROR(file.WriteAt(size, hash.data(), hash.size()));
  return file.Close(size + hash.size());
}

}  // namespace

std::string HashTokenizer(const Tokenizer& tokenizer) {
  Sha256 sha;
  for (size_t i = 0; i < tokenizer.vocab_size(); ++i) {
    const int32_t id = static_cast<int32_t>(i);
    const std::string_view text = tokenizer.TokenText(id);
    sha.Add(Format("%zu %zu %d ", i, text.size(),
                   static_cast<int>(tokenizer.IsSpecial(id))));
    sha.Add(text);
  }
  return sha.Finish();
}

uint64_t ReferenceBytes(const WindowedText& text, size_t vocab_size) {
  return FileBytes(text.tokens.size(), text.windows.size(), text.positions,
                   vocab_size)
      .value_or(SIZE_MAX);
}

Status SaveReference(const std::string& path, const ReferenceInfo& info,
                     const WindowedText& text, Session* session,
                     ThreadPool& threads, const OnProgress& progress) {
  const std::string temporary = path + ".tmp";
  // Not after hours, when the file is to get its name.
  if (IsFolder(path)) {
    return Error(ErrorKind::kRuntime, "cannot write \"%s\": it is a folder",
                 Printable(path, 400).c_str());
  }
  // One that a killed process left.
  std::remove(temporary.c_str());
  const Status status =
      WriteFile(temporary, info, text, session, threads, progress);
  std::error_code error;
  if (status.ok()) std::filesystem::rename(temporary, path, error);
  if (status.ok() && !error) return OkStatus();
  std::remove(temporary.c_str());
  if (!status.ok()) return status;
  return Error(ErrorKind::kRuntime, "cannot write \"%s\": %s",
               Printable(path, 400).c_str(), error.message().c_str());
}

Status Reference::ReadHeader() {
  Header h;
  if (file_.size() < sizeof(h) || std::memcmp(file_.data(), "SLMK", 4) != 0) {
    return Invalid("not a reference of slm-bench ref");
  }
  Take(file_.data(), &h);
  if (h.version != kVersion) {
    return Invalid("version %u, this slm-bench reads %u; save it again",
                   h.version, kVersion);
  }
  if (h.vocab == 0 || h.top != TopOf(h.vocab)) {
    return Invalid("%u logits of a row of %u, expected %zu", h.top, h.vocab,
                   TopOf(h.vocab));
  }
  const auto size =
      slm::bench::FileBytes(h.tokens, h.windows, h.positions, h.vocab);
  if (!size || *size != file_.size()) {
    return Invalid("%zu bytes, its header says %s; it is cut or damaged",
                   file_.size(),
                   size ? Format("%zu", *size).c_str() : "more than exist");
  }
  if (h.tokens < 2 || h.windows == 0 || h.positions == 0) {
    return Invalid("%zu tokens, %zu windows, %zu scored: nothing to compare",
                   size_t{h.tokens}, size_t{h.windows}, size_t{h.positions});
  }
  vocab_ = h.vocab;
  token_count_ = h.tokens;
  window_count_ = h.windows;
  text_.bos = h.bos;
  text_.window = h.window;
  text_.stride = h.stride;
  text_.positions = h.positions;
  text_.scored_bytes = h.scored_bytes;
  info_.tokenizer_hash.assign(h.tokenizer_hash, kHashSize);
  info_.text_hash.assign(h.text_hash, kHashSize);
  info_.model.assign(h.model, strnlen(h.model, sizeof(h.model)));
  return OkStatus();
}

Status Reference::CheckHash() const {
  const std::string_view all = file_.view();
  const std::string_view content = all.substr(0, all.size() - kHashSize);
  if (HashOf(content) == all.substr(content.size())) return OkStatus();
  return Invalid("its content does not match its hash; it is damaged");
}

Status Reference::ReadWindows() {
  text_.tokens.resize(token_count_);
  const uint8_t* at =
      Take(file_.data() + sizeof(Header), text_.tokens.data(), token_count_);
  const auto known = [&](int32_t id) {
    return id >= 0 && static_cast<size_t>(id) < vocab_;
  };
  for (const int32_t id : text_.tokens) {
    if (!known(id)) return Invalid("token %d of %zu", id, vocab_);
  }
  if (text_.bos != -1 && !known(text_.bos)) {
    return Invalid("token %d of %zu", text_.bos, vocab_);
  }
  size_t positions = 0;
  for (size_t i = 0; i < window_count_; ++i) {
    Entry e;
    at = Take(at, &e);
    if (e.first == 0 || e.first >= e.size || e.begin > token_count_ ||
        e.size > token_count_ - e.begin) {
      return Invalid("window %zu: tokens %llu + %u, scored from %u, of %zu", i,
                     static_cast<unsigned long long>(e.begin), e.size, e.first,
                     token_count_);
    }
    text_.windows.push_back({e.begin, e.size, e.first});
    positions += e.size - e.first;  // at most 2^32 a window of the file
  }
  if (positions == text_.positions) return OkStatus();
  return Invalid("its windows score %zu tokens, its header says %zu", positions,
                 text_.positions);
}

SavedRow Reference::Row(size_t position) const {
  SavedRow row;
  row.count = TopOf(vocab_);
  const uint8_t* at =
      file_.data() + sizeof(Header) + token_count_ * sizeof(int32_t) +
      window_count_ * sizeof(Entry) + position * RowBytes(row.count);
  at = Take(at, &row.log_sum);
  at = Take(at, &row.rest_mass);
  at = Take(at, &row.token_logit);
  at = Take(at, row.ids.data(), row.count);
  Take(at, row.logits.data(), row.count);
  return row;
}

Status Reference::CheckRow(size_t position) const {
  const SavedRow row = Row(position);
  std::array<int32_t, kTopLogits> ids = row.ids;
  std::sort(ids.begin(), ids.begin() + row.count);
  // -infinity is a logit, as of a token that the graph masks.
  bool good = std::isfinite(row.log_sum) && row.rest_mass >= 0 &&
              row.rest_mass < 2 && row.token_logit <= row.logits[0] &&
              std::isfinite(row.logits[0]) &&
              double{row.logits[0]} <= row.log_sum && ids[0] >= 0 &&
              static_cast<size_t>(ids[row.count - 1]) < vocab_;
  for (size_t i = 1; i < row.count; ++i) {
    good = good && ids[i - 1] < ids[i] && row.logits[i] <= row.logits[i - 1];
  }
  if (good) return OkStatus();
  return Invalid("row %zu is not one of logits", position);
}

Result<Reference> Reference::Open(const std::string& path) {
  Reference r;
  SLM_ASSIGN_OR_RETURN(r.file_, MappedFile::Open(path));
  const std::string context =
      Format("reference \"%s\"", Printable(path, 400).c_str());
  SLM_RETURN_IF_ERROR(r.ReadHeader().In(context));
  SLM_RETURN_IF_ERROR(r.CheckHash().In(context));
  SLM_RETURN_IF_ERROR(r.ReadWindows().In(context));
  for (size_t i = 0; i < r.text_.positions; ++i) {
    SLM_RETURN_IF_ERROR(r.CheckRow(i).In(context));
  }
  return r;
}

}  // namespace slm::bench
