// SPDX-License-Identifier: MIT
#include "runtime/text/split.h"

#include <utility>

#include "runtime/text/normalize.h"
#include "runtime/text/unicode.h"

namespace slm::text {
namespace {

// Scratch of one PreTokenize call.
struct Scratch {
  std::vector<TextSpan> matches;
  std::vector<Stretch> stretches;
  std::vector<TextSpan> parts;
};

// Every character of the class is a match of its own.
template <typename F>
void FindChars(std::string_view text, F is_match,
               std::vector<TextSpan>* matches) {
  for (size_t i = 0; i < text.size();) {
    uint32_t size;
    const uint32_t code = CodeAt(text, i, &size);
    if (is_match(code)) matches->push_back({i, i + size});
    i += size;
  }
}

// \w+|[^\w\s]+ with Rust's classes.
void FindWords(std::string_view text, std::vector<TextSpan>* matches) {
  const auto kind = [](uint32_t code) {
    const uint16_t p = PropertiesOf(code);
    return (p & kWordRust) != 0 ? 1 : (p & kSpace) != 0 ? 0 : 2;
  };
  int last = 0;
  for (size_t i = 0; i < text.size();) {
    uint32_t size;
    const int k = kind(CodeAt(text, i, &size));
    if (k != 0) {
      if (k == last) {
        matches->back().end = i + size;
      } else {
        matches->push_back({i, i + size});
      }
    }
    last = k;
    i += size;
  }
}

void Emit(const Piece& from, const std::vector<TextSpan>& parts,
          std::vector<Piece>* out) {
  for (const TextSpan& p : parts) {
    out->push_back({{from.span.begin + p.begin, from.span.begin + p.end},
                    -1,
                    from.at_start && p.begin == 0});
  }
}

// Splits every piece at the matches that find(text, &matches) gives.
template <typename F>
Status SplitAt(F find, bool invert, SplitBehavior behavior, Scratch* scratch,
               Pieces* pieces) {
  std::vector<Piece> out;
  out.reserve(pieces->pieces.size());
  for (const Piece& piece : pieces->pieces) {
    if (piece.added_id >= 0) {
      out.push_back(piece);
      continue;
    }
    const std::string_view text = pieces->text.substr(
        piece.span.begin, piece.span.end - piece.span.begin);
    scratch->matches.clear();
    scratch->stretches.clear();
    scratch->parts.clear();
    SLM_RETURN_IF_ERROR(find(text, &scratch->matches));
    CoverText(scratch->matches, text.size(), invert, &scratch->stretches);
    ApplySplit(scratch->stretches, behavior, &scratch->parts);
    Emit(piece, scratch->parts, &out);
  }
  pieces->pieces = std::move(out);
  return OkStatus();
}

template <typename F>
Status SplitAtChars(F is_match, SplitBehavior behavior, Scratch* scratch,
                    Pieces* pieces) {
  return SplitAt(
      [&](std::string_view text, std::vector<TextSpan>* matches) {
        FindChars(text, is_match, matches);
        return OkStatus();
      },
      /*invert=*/false, behavior, scratch, pieces);
}

Status SplitAtPattern(const PreTokenizerStep& step, SplitBehavior behavior,
                      Scratch* scratch, Pieces* pieces) {
  return SplitAt(
      [&](std::string_view text, std::vector<TextSpan>* matches) {
        return FindAll(step.pattern, text, matches);
      },
      step.invert, behavior, scratch, pieces);
}

// Rewrites every piece that is text: rewrite(piece, text, &out) appends.
template <typename F>
void Rewrite(F rewrite, Pieces* pieces) {
  std::string out;
  out.reserve(pieces->text.size() + pieces->text.size() / 4 + 16);
  for (Piece& piece : pieces->pieces) {
    const std::string_view text = pieces->text.substr(
        piece.span.begin, piece.span.end - piece.span.begin);
    const size_t begin = out.size();
    if (piece.added_id >= 0) {
      out += text;
    } else {
      rewrite(piece, text, &out);
    }
    piece.span = {begin, out.size()};
  }
  pieces->owned = std::move(out);
  pieces->text = pieces->owned;
}

Status ByteLevel(const PreTokenizerStep& step, bool raw_bytes, Scratch* scratch,
                 Pieces* pieces) {
  if (step.add_prefix_space) {
    Rewrite(
        [](const Piece&, std::string_view text, std::string* out) {
          if (!text.empty() && text[0] != ' ') *out += ' ';
          *out += text;
        },
        pieces);
  }
  if (step.use_pattern) {
    SLM_RETURN_IF_ERROR(
        SplitAtPattern(step, SplitBehavior::kIsolated, scratch, pieces));
  }
  if (!raw_bytes) {
    Rewrite([](const Piece&, std::string_view text,
               std::string* out) { AppendByteLevel(text, out); },
            pieces);
  }
  return OkStatus();
}

Status Metaspace(const PreTokenizerStep& step, Scratch* scratch,
                 Pieces* pieces) {
  using Prepend = PreTokenizerStep::Prepend;
  Rewrite(
      [&](const Piece& piece, std::string_view text, std::string* out) {
        if (text.empty()) return;
        const bool starts =
            text[0] == ' ' || text.starts_with(step.replacement);
        if (!starts && (step.prepend == Prepend::kAlways ||
                        (step.prepend == Prepend::kFirst && piece.at_start))) {
          *out += step.replacement;
        }
        for (const char c : text) {
          if (c == ' ') {
            *out += step.replacement;
          } else {
            *out += c;
          }
        }
      },
      pieces);
  if (!step.split) return OkStatus();
  Pattern pattern;
  pattern.literal = step.replacement;
  return SplitAt(
      [&](std::string_view text, std::vector<TextSpan>* matches) {
        return FindAll(pattern, text, matches);
      },
      /*invert=*/false, SplitBehavior::kMergedWithNext, scratch, pieces);
}

// Cuts where the script changes; characters that belong to any script (the
// space) stay with what is before them.
void UnicodeScripts(std::string_view text, std::vector<TextSpan>* matches) {
  int last = -1;  // 0 = any
  size_t begin = 0;
  bool open = false;
  for (size_t i = 0; i < text.size();) {
    uint32_t size;
    const int script = ScriptOf(CodeAt(text, i, &size));
    if (script != 0 && last != 0 && last != script) {
      if (open) matches->push_back({begin, i});
      begin = i;
      open = true;
    }
    if (script != 0) last = script;
    i += size;
  }
  if (open) matches->push_back({begin, text.size()});
}

void FixedLength(std::string_view text, size_t length,
                 std::vector<TextSpan>* matches) {
  size_t begin = 0, count = 0;
  for (size_t i = 0; i < text.size();) {
    i += SizeOfLead(text[i]);
    if (++count == length || i >= text.size()) {
      matches->push_back({begin, i});
      begin = i;
      count = 0;
    }
  }
}

Status RunStep(const PreTokenizerStep& step, bool raw_bytes, Scratch* scratch,
               Pieces* pieces) {
  using Kind = PreTokenizerStep::Kind;
  const auto is_space = [](uint32_t c) { return Has(c, kSpace); };
  const auto is_punctuation = [](uint32_t c) { return Has(c, kPunctuation); };
  switch (step.kind) {
    case Kind::kByteLevel:
      return ByteLevel(step, raw_bytes, scratch, pieces);
    case Kind::kBert:
      SLM_RETURN_IF_ERROR(
          SplitAtChars(is_space, SplitBehavior::kRemoved, scratch, pieces));
      return SplitAtChars(is_punctuation, SplitBehavior::kIsolated, scratch,
                          pieces);
    case Kind::kWhitespace:
      return SplitAt(
          [](std::string_view text, std::vector<TextSpan>* matches) {
            FindWords(text, matches);
            return OkStatus();
          },
          /*invert=*/true, SplitBehavior::kRemoved, scratch, pieces);
    case Kind::kWhitespaceSplit:
      return SplitAtChars(is_space, SplitBehavior::kRemoved, scratch, pieces);
    case Kind::kMetaspace:
      return Metaspace(step, scratch, pieces);
    case Kind::kCharDelimiter: {
      uint32_t size;
      const uint32_t delimiter = CodeAt(step.replacement, 0, &size);
      return SplitAtChars([=](uint32_t c) { return c == delimiter; },
                          SplitBehavior::kRemoved, scratch, pieces);
    }
    case Kind::kSplit:
      return SplitAtPattern(step, step.behavior, scratch, pieces);
    case Kind::kPunctuation:
      return SplitAtChars(is_punctuation, step.behavior, scratch, pieces);
    case Kind::kDigits:
      return SplitAtChars([](uint32_t c) { return Has(c, kNumeric); },
                          step.individual_digits ? SplitBehavior::kIsolated
                                                 : SplitBehavior::kContiguous,
                          scratch, pieces);
    case Kind::kUnicodeScripts:
    case Kind::kFixedLength:
      return SplitAt(
          [&](std::string_view text, std::vector<TextSpan>* matches) {
            if (step.kind == Kind::kUnicodeScripts) {
              UnicodeScripts(text, matches);
            } else {
              FixedLength(text, step.length, matches);
            }
            return OkStatus();
          },
          // The matches are the parts; what no match covers is dropped.
          /*invert=*/true, SplitBehavior::kRemoved, scratch, pieces);
  }
  return OkStatus();
}

}  // namespace

Status PreTokenize(const std::vector<PreTokenizerStep>& steps, bool raw_bytes,
                   Pieces* pieces) {
  Scratch scratch;
  for (const PreTokenizerStep& step : steps) {
    SLM_RETURN_IF_ERROR(RunStep(step, raw_bytes, &scratch, pieces));
  }
  return OkStatus();
}

}  // namespace slm::text
