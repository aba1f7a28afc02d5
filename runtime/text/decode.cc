// SPDX-License-Identifier: MIT
#include "runtime/text/decode.h"

#include <algorithm>
#include <utility>

#include "runtime/core/utf8.h"
#include "runtime/text/normalize.h"
#include "runtime/text/unicode.h"

namespace slm::text {
namespace {

using Kind = DecoderStep::Kind;

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// The reference's clean-up of English, in its order.
std::string CleanUp(std::string text) {
  static constexpr std::string_view kRows[][2] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& row : kRows) text = ReplaceAll(text, row[0], row[1]);
  return text;
}

std::string Stripped(const DecoderStep& step, std::string_view text) {
  for (size_t i = 0; i < step.start && text.starts_with(step.text); ++i) {
    text.remove_prefix(step.text.size());
  }
  for (size_t i = 0; i < step.stop && text.ends_with(step.text); ++i) {
    text.remove_suffix(step.text.size());
  }
  return std::string(text);
}

std::string WithoutMeta(const DecoderStep& step, std::string_view text,
                        bool first) {
  return ReplaceAll(text, step.text, first && step.drops_first ? "" : " ");
}

std::string WordPieceText(const DecoderStep& step, std::string_view text,
                          bool first) {
  std::string out;
  if (!first && text.starts_with(step.text)) {
    out = text.substr(step.text.size());
  } else {
    if (!first) out = " ";
    out += text;
  }
  return step.cleanup ? CleanUp(std::move(out)) : out;
}

}  // namespace

std::string ReplaceAll(std::string_view text, std::string_view from,
                       std::string_view to) {
  std::string out;
  if (from.empty()) {  // between all characters, as Rust's str::replace
    for (size_t i = 0; i < text.size();) {
      const size_t size = SizeOfLead(text[i]);
      out += to;
      out += text.substr(i, size);
      i += size;
    }
    return out += to;
  }
  size_t done = 0;
  for (size_t at = text.find(from); at != std::string_view::npos;
       at = text.find(from, done)) {
    out += text.substr(done, at - done);
    out += to;
    done = at + from.size();
  }
  return out += text.substr(done);
}

int ByteOfToken(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') {
    return -1;
  }
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  // Rust's from_str_radix takes a sign.
  const int low = digit(token[4]);
  if (token[3] == '+') return low;
  const int high = digit(token[3]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

DecodeChain::DecodeChain(const std::vector<DecoderStep>* steps, bool eager)
    : steps_(steps), stages_(steps->size()), eager_(eager) {
  bool joined = false;
  for (size_t i = 0; i < stages_.size(); ++i) {
    const DecoderStep& step = (*steps)[i];
    stages_[i].joined = joined;
    // What these do to a growing token is not known before it ends.
    stages_[i].ends =
        joined &&
        (step.kind == Kind::kWordPiece || step.kind == Kind::kBpe ||
         step.kind == Kind::kCtc || step.kind == Kind::kByteFallback ||
         (step.kind == Kind::kReplace &&
          (step.pattern.regex != nullptr || step.pattern.splitter != nullptr ||
           step.pattern.literal.empty())));
    joined |= step.kind == Kind::kByteLevel || step.kind == Kind::kFuse ||
              step.kind == Kind::kJoin;
  }
}

void DecodeChain::Push(std::string_view token, std::string* out) {
  Run(0, token, out);
}

void DecodeChain::Flush(std::string* out) {
  for (size_t i = 0; i < stages_.size(); ++i) Finish(i, out);
}

std::string DecodeChain::Replaced(const DecoderStep& step,
                                  std::string_view text) const {
  std::vector<TextSpan> matches;
  // Beyond the engine's limit of steps the text stays as it is: a decoder has
  // no way to fail, and the limit needs a hostile file.
  if (!FindAll(step.pattern, text, &matches).ok()) matches.clear();
  std::string out;
  size_t done = 0;
  for (const TextSpan& m : matches) {
    out += text.substr(done, m.begin - done);
    out += step.text;
    done = m.end;
  }
  return out += text.substr(done);
}

// One token through one stage, and on.
void DecodeChain::Run(size_t stage, std::string_view token, std::string* out) {
  if (stage == stages_.size()) {
    *out += token;
    return;
  }
  Stage& s = stages_[stage];
  if (s.ends) {
    s.held += token;
    s.started = true;
    return;
  }
  const Kind kind = (*steps_)[stage].kind;
  if (s.joined && kind == Kind::kReplace) {
    JoinedReplace(stage, token, out);
  } else if (s.joined && kind == Kind::kStrip) {
    JoinedStrip(stage, token, out);
  } else if (kind == Kind::kByteLevel) {
    ByteLevel(stage, token, out);
  } else if (kind == Kind::kByteFallback) {
    ByteFallback(stage, token, out);
  } else {
    Whole(stage, token, out);
  }
  s.started = true;
}

// Stages that take a token whole.
void DecodeChain::Whole(size_t stage, std::string_view token,
                        std::string* out) {
  const DecoderStep& step = (*steps_)[stage];
  Stage& s = stages_[stage];
  const bool first = s.joined || !s.started;
  switch (step.kind) {
    case Kind::kJoin:
      if (!first) Run(stage + 1, " ", out);
      Run(stage + 1, token, out);
      break;
    case Kind::kWordPiece:
      Run(stage + 1, WordPieceText(step, token, first), out);
      break;
    case Kind::kMetaspace:
      Run(stage + 1, WithoutMeta(step, token, first), out);
      break;
    case Kind::kBpe:  // the last token loses its suffix, others end a word
      if (s.has_held) {
        Run(stage + 1, ReplaceAll(std::exchange(s.held, {}), step.text, " "),
            out);
      }
      s.held = token;
      s.has_held = true;
      break;
    case Kind::kCtc: {
      if (s.started && s.previous == token) break;
      s.previous = token;
      std::string text = ReplaceAll(token, step.text, "");
      if (step.cleanup) {
        text = ReplaceAll(CleanUp(std::move(text)), step.delimiter, " ");
      }
      if (!text.empty()) Run(stage + 1, text, out);
      break;
    }
    case Kind::kReplace:
      Run(stage + 1, Replaced(step, token), out);
      break;
    case Kind::kFuse:
      Run(stage + 1, token, out);
      break;
    case Kind::kStrip:
      Run(stage + 1, Stripped(step, token), out);
      break;
    case Kind::kByteLevel:
    case Kind::kByteFallback:
      break;  // not whole
  }
}

void DecodeChain::Finish(size_t stage, std::string* out) {
  const DecoderStep& step = (*steps_)[stage];
  Stage& s = stages_[stage];
  if (s.ends) {
    if (!s.started && step.kind == Kind::kCtc) return;
    const std::string text = std::exchange(s.held, {});
    switch (step.kind) {
      case Kind::kWordPiece:
        Run(stage + 1, WordPieceText(step, text, /*first=*/true), out);
        break;
      case Kind::kBpe:
        Run(stage + 1, ReplaceAll(text, step.text, ""), out);
        break;
      case Kind::kByteFallback: {
        const int byte = ByteOfToken(text);
        const char c = static_cast<char>(byte);
        Run(stage + 1,
            byte < 0      ? std::string_view(text)
            : byte < 0x80 ? std::string_view(&c, 1)
                          : kReplacement,
            out);
        break;
      }
      case Kind::kCtc:
        s.ends = false;
        Whole(stage, text, out);
        break;
      default:
        Run(stage + 1, Replaced(step, text), out);
        break;
    }
    return;
  }
  switch (step.kind) {
    case Kind::kByteLevel:
      if (!s.held.empty()) {
        Run(stage + 1, ReplaceInvalidUtf8(std::exchange(s.held, {})), out);
      }
      break;
    case Kind::kByteFallback:
      EmitBytes(stage, /*end=*/true, out);
      break;
    case Kind::kBpe:
      if (s.has_held) {
        Run(stage + 1, ReplaceAll(s.held, step.text, ""), out);
        s.has_held = false;
      }
      break;
    case Kind::kReplace:
      if (!s.held.empty()) Run(stage + 1, std::exchange(s.held, {}), out);
      break;
    case Kind::kStrip:
      s.held.clear();  // the characters cut at the end
      break;
    default:
      break;
  }
}

// A token whose characters all stand for bytes gives these bytes, another one
// its text. What is no UTF-8 becomes U+FFFD once that is sure.
void DecodeChain::ByteLevel(size_t stage, std::string_view token,
                            std::string* out) {
  std::string& held = stages_[stage].held;
  const size_t before = held.size();
  for (size_t i = 0; i < token.size();) {
    uint32_t size;
    const int byte = ByteOfChar(CodeAt(token, i, &size));
    if (byte < 0) {
      held.resize(before);
      held += token;
      break;
    }
    held += static_cast<char>(byte);
    i += size;
  }
  const size_t ready = held.size() - IncompleteUtf8Suffix(held);
  if (ready == 0) return;
  const std::string text =
      ReplaceInvalidUtf8(std::string_view(held).substr(0, ready));
  held.erase(0, ready);
  Run(stage + 1, text, out);
}

void DecodeChain::ByteFallback(size_t stage, std::string_view token,
                               std::string* out) {
  const int byte = ByteOfToken(token);
  if (byte >= 0) {
    stages_[stage].held += static_cast<char>(byte);
    if (eager_) EmitBytes(stage, /*end=*/false, out);
    return;
  }
  EmitBytes(stage, /*end=*/true, out);
  Run(stage + 1, token, out);
}

// Sends a run of bytes on: as one token if it is UTF-8, else a U+FFFD for each
// byte. Eager, each character goes as it is complete.
void DecodeChain::EmitBytes(size_t stage, bool end, std::string* out) {
  std::string& held = stages_[stage].held;
  if (held.empty()) return;
  if (!eager_) {
    const std::string run = std::exchange(held, {});
    if (IsValidUtf8(run)) {
      Run(stage + 1, run, out);
    } else {
      for (size_t i = 0; i < run.size(); ++i) Run(stage + 1, kReplacement, out);
    }
    return;
  }
  const std::string run = held;
  const size_t ready =
      end ? run.size() : run.size() - IncompleteUtf8Suffix(run);
  held.erase(0, ready);
  for (size_t i = 0; i < ready;) {
    const Utf8Char c = DecodeUtf8(std::string_view(run).substr(i, ready - i));
    if (c.valid) {
      Run(stage + 1, std::string_view(run).substr(i, c.size), out);
    } else {
      for (uint32_t k = 0; k < c.size; ++k) Run(stage + 1, kReplacement, out);
    }
    i += c.size;
  }
}

// Holds back an end that could be the beginning of a match.
void DecodeChain::JoinedReplace(size_t stage, std::string_view text,
                                std::string* out) {
  const DecoderStep& step = (*steps_)[stage];
  const std::string& literal = step.pattern.literal;
  std::string& held = stages_[stage].held;
  held += text;
  std::string ready;
  size_t done = 0;
  for (size_t at = held.find(literal); at != std::string::npos;
       at = held.find(literal, done)) {
    ready.append(held, done, at - done);
    ready += step.text;
    done = at + literal.size();
  }
  size_t keep = std::min(held.size() - done, literal.size() - 1);
  while (keep > 0 &&
         held.compare(held.size() - keep, keep, literal, 0, keep) != 0) {
    --keep;
  }
  ready.append(held, done, held.size() - keep - done);
  held.erase(0, held.size() - keep);
  if (!ready.empty()) Run(stage + 1, ready, out);
}

// Cuts up to `start` characters at the front, and holds back up to `stop` of
// them at the end.
void DecodeChain::JoinedStrip(size_t stage, std::string_view text,
                              std::string* out) {
  const DecoderStep& step = (*steps_)[stage];
  Stage& s = stages_[stage];
  while (!s.strip_done && !text.empty()) {
    if (s.stripped < step.start && text.starts_with(step.text)) {
      text.remove_prefix(step.text.size());
      ++s.stripped;
    } else {
      s.strip_done = true;
    }
  }
  s.held += text;
  size_t keep = 0;
  for (size_t i = 0; i < step.stop; ++i) {
    const std::string_view rest =
        std::string_view(s.held).substr(0, s.held.size() - keep);
    if (!rest.ends_with(step.text)) break;
    keep += step.text.size();
  }
  const std::string ready = s.held.substr(0, s.held.size() - keep);
  s.held.erase(0, ready.size());
  if (!ready.empty()) Run(stage + 1, ready, out);
}

}  // namespace slm::text
