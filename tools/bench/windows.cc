// SPDX-License-Identifier: MIT
#include "tools/bench/windows.h"

#include <algorithm>

#include "runtime/core/utf8.h"

namespace slm::bench {
namespace {

constexpr size_t kUsualWindow = 512;

// What a post-processor puts around every text.
struct Surround {
  std::vector<int32_t> before, after;
};

Result<Surround> SurroundOf(const Tokenizer& tokenizer) {
  constexpr const char* kText = "a";
  SLM_ASSIGN_OR_RETURN(const auto plain,
                       tokenizer.Encode(kText, EncodeOptions()));
  SLM_ASSIGN_OR_RETURN(const auto whole,
                       tokenizer.Encode(kText, {.add_special_tokens = true}));
  const auto at =
      std::search(whole.begin(), whole.end(), plain.begin(), plain.end());
  Surround surround;
  if (at == whole.end()) return surround;
  surround.before.assign(whole.begin(), at);
  surround.after.assign(at + static_cast<ptrdiff_t>(plain.size()), whole.end());
  return surround;
}

size_t FirstInvalidByte(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Char c = DecodeUtf8(text.substr(at));
    if (!c.valid) return at;
    at += c.size;
  }
  return at;
}

void CutSideBySide(size_t window, size_t count, WindowedText* text) {
  for (size_t i = 0; i < count; ++i) {
    text->windows.push_back({i * window, window, window / 2 + 1});
  }
}

void CutSliding(size_t window, size_t stride, WindowedText* text) {
  const size_t total = text->tokens.size();
  size_t scored = 1;  // nothing comes before the first token
  for (size_t begin = 0; scored < total; begin += stride) {
    const size_t end = std::min(begin + window, total);
    // With a stride of a whole window its first token has nothing before it.
    const size_t first = std::max(scored, begin + 1);
    text->windows.push_back({begin, end - begin, first - begin});
    scored = end;
    if (end == total) break;
  }
  // A last window of one token has nothing to score.
  if (text->windows.back().first == text->windows.back().size) {
    text->windows.pop_back();
  }
}

// A character that several tokens make belongs to the last of them.
void CountScoredBytes(const Tokenizer& tokenizer, const Surround& surround,
                      bool parse_special, WindowedText* text) {
  std::vector<bool> scored(text->tokens.size());
  for (const Window& w : text->windows) {
    for (size_t i = w.first; i < w.size; ++i) scored[w.begin + i] = true;
  }
  TokenStream stream(tokenizer, /*skip_special_tokens=*/!parse_special);
  const size_t end = text->tokens.size() - surround.after.size();
  text->scored_bytes = 0;
  for (size_t i = surround.before.size(); i < end; ++i) {
    const size_t bytes = stream.Push(text->tokens[i]).size();
    if (scored[i]) text->scored_bytes += bytes;
  }
}

}  // namespace

std::vector<int32_t> WindowedText::TokensOf(const Window& w) const {
  const auto begin = tokens.begin() + static_cast<ptrdiff_t>(w.begin);
  std::vector<int32_t> ids(begin, begin + static_cast<ptrdiff_t>(w.size));
  if (bos >= 0) ids[0] = bos;
  return ids;
}

Status CutIntoWindows(const WindowOptions& options, WindowedText* text) {
  const size_t total = text->tokens.size();
  text->window = options.window;
  text->stride = options.stride;
  text->windows.clear();
  text->note.clear();
  if (total < 2) {
    return Usage("the text has %zu tokens: a score needs 2 at least", total);
  }
  if (total < options.window) {
    text->windows.push_back({0, total, 1});
    text->note = Format(
        "the text has %zu tokens, less than a window of %zu: one window, all "
        "tokens but the first are scored",
        total, options.window);
  } else if (options.stride > 0) {
    CutSliding(options.window, options.stride, text);
  } else {
    const size_t count = total / options.window;
    CutSideBySide(options.window, count, text);
    if (const size_t left = total - count * options.window; left > 0) {
      text->note =
          Format("the last %zu of %zu tokens fill no window and are not scored",
                 left, total);
    }
  }
  if (options.most_windows > 0 && text->windows.size() > options.most_windows) {
    text->note = Format("the first %zu of %zu windows are scored",
                        options.most_windows, text->windows.size());
    text->windows.resize(options.most_windows);
  }
  text->positions = 0;
  for (const Window& w : text->windows) text->positions += w.size - w.first;
  return OkStatus();
}

Result<WindowedText> MakeWindows(const Tokenizer& tokenizer,
                                 size_t context_length, size_t vocab_size,
                                 std::string_view bytes,
                                 const WindowOptions& given) {
  WindowOptions options = given;
  if (options.window == 0) {
    options.window = std::min(kUsualWindow, context_length);
  }
  if (options.window > context_length) {
    return Error(ErrorKind::kOverflow,
                 "a window of %zu tokens exceeds the model's context of %zu; "
                 "make -c smaller",
                 options.window, context_length);
  }
  // Of three tokens the second half is the last one.
  if (options.window < 3) {
    return Usage("a window of %zu tokens is too short, 3 is the least",
                 options.window);
  }
  if (options.stride > options.window) {
    return Usage(
        "a stride of %zu leaves out tokens between windows of %zu; make "
        "--stride smaller or -c larger",
        options.stride, options.window);
  }
  if (const size_t at = FirstInvalidByte(bytes); at < bytes.size()) {
    return Usage("the text is not UTF-8 at byte %zu", at);
  }
  SLM_ASSIGN_OR_RETURN(const Surround surround, SurroundOf(tokenizer));
  SLM_ASSIGN_OR_RETURN(
      const auto ids,
      tokenizer.Encode(bytes, {.parse_special = options.parse_special}));
  WindowedText text;
  text.tokens = surround.before;
  text.tokens.insert(text.tokens.end(), ids.begin(), ids.end());
  text.tokens.insert(text.tokens.end(), surround.after.begin(),
                     surround.after.end());
  for (const int32_t id : text.tokens) {
    if (id >= 0 && static_cast<size_t>(id) < vocab_size) continue;
    return Invalid("the tokenizer gives token %d, the model has logits of %zu",
                   id, vocab_size);
  }
  if (!surround.before.empty() && options.stride == 0) {
    text.bos = surround.before[0];
  }
  SLM_RETURN_IF_ERROR(CutIntoWindows(options, &text));
  CountScoredBytes(tokenizer, surround, options.parse_special, &text);
  return text;
}

}  // namespace slm::bench
