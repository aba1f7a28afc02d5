// SPDX-License-Identifier: MIT
#include "runtime/text/normalize.h"

#include <array>
#include <utility>

namespace slm::text {
namespace {

constexpr size_t kMaxReplaced = size_t{1} << 28;

constexpr bool StandsForItself(uint32_t byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) ||
         byte >= 0xAE;
}

constexpr std::array<uint16_t, 256> MakeCharOfByte() {
  std::array<uint16_t, 256> chars{};
  uint16_t next = 256;
  for (uint16_t b = 0; b < 256; ++b) {
    chars[b] = StandsForItself(b) ? b : next++;
  }
  return chars;
}
constexpr std::array<uint16_t, 256> kCharOfByte = MakeCharOfByte();

constexpr std::array<int16_t, 512> MakeByteOfChar() {
  std::array<int16_t, 512> bytes{};
  for (int16_t& b : bytes) b = -1;
  for (int16_t b = 0; b < 256; ++b) {
    bytes[kCharOfByte[static_cast<size_t>(b)]] = b;
  }
  return bytes;
}
constexpr std::array<int16_t, 512> kByteOfChar = MakeByteOfChar();

// Calls f(code, bytes of the character) for each character.
template <typename F>
void ForEachChar(std::string_view text, F f) {
  for (size_t i = 0; i < text.size();) {
    uint32_t size;
    const uint32_t code = CodeAt(text, i, &size);
    f(code, text.substr(i, size));
    i += size;
  }
}

// Keeps characters for which keep(code) holds.
template <typename F>
void Filter(std::string* text, bool* keeps_start, F keep) {
  std::string out;
  out.reserve(text->size());
  bool first = true;
  ForEachChar(*text, [&](uint32_t code, std::string_view bytes) {
    if (keep(code)) {
      out += bytes;
    } else if (first) {
      *keeps_start = false;
    }
    first = false;
  });
  *text = std::move(out);
}

void Lowercase(std::string* text) {
  std::string out;
  out.reserve(text->size());
  ForEachChar(
      *text, [&](uint32_t code, std::string_view) { AppendLower(code, &out); });
  *text = std::move(out);
}

void Strip(const NormalizerStep& step, std::string* text, bool* keeps_start) {
  size_t begin = 0, end = text->size();
  uint32_t size;
  while (step.strip_left && begin < end &&
         Has(CodeAt(*text, begin, &size), kSpace)) {
    begin += size;
  }
  while (step.strip_right && end > begin &&
         Has(CodeBefore(*text, end), kSpace)) {
    do {
      --end;
    } while ((static_cast<uint8_t>((*text)[end]) & 0xC0) == 0x80);
  }
  if (begin > 0) *keeps_start = false;
  text->erase(end);
  text->erase(0, begin);
}

void ToNormalForm(NormalForm form, std::string* text) {
  if (IsNormalQuick(*text, form)) return;
  std::string out;
  out.reserve(text->size() + text->size() / 2);
  AppendNormalForm(*text, form, &out);
  *text = std::move(out);
}

bool IsChinese(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

void Bert(const NormalizerStep& step, std::string* text, bool* keeps_start) {
  if (step.clean_text) {
    Filter(text, keeps_start, [](uint32_t c) {
      return c != 0 && c != 0xFFFD && !Has(c, kControl);
    });
    std::string out;
    ForEachChar(*text, [&](uint32_t c, std::string_view bytes) {
      if (Has(c, kSpace)) {
        out += ' ';
      } else {
        out += bytes;
      }
    });
    *text = std::move(out);
  }
  if (step.chinese_chars) {
    std::string out;
    ForEachChar(*text, [&](uint32_t c, std::string_view bytes) {
      if (!IsChinese(c)) {
        out += bytes;
        return;
      }
      out += ' ';
      out += bytes;
      out += ' ';
    });
    *text = std::move(out);
  }
  if (step.strip_accents) {
    ToNormalForm(NormalForm::kNfd, text);
    Filter(text, keeps_start, [](uint32_t c) { return !Has(c, kNonspacing); });
  }
  if (step.lowercase) Lowercase(text);
}

Status Replace(const NormalizerStep& step, std::string* text,
               bool* keeps_start) {
  std::vector<TextSpan> matches;
  SLM_RETURN_IF_ERROR(FindAll(step.pattern, *text, &matches));
  if (matches.empty()) return OkStatus();
  // A match of one character hands its place to the content, a longer one
  // that of its last character.
  const TextSpan& first = matches.front();
  if (first.begin == 0 && first.end > 0 &&
      (step.content.empty() || SizeOfLead((*text)[0]) < first.end)) {
    *keeps_start = false;
  }
  // A hostile file could blow up short texts without this.
  if (step.content.size() > kMaxReplaced / matches.size()) {
    return Invalid(
        "normalizer Replace makes %zu x %zu bytes of a text, limit "
        "%zu",
        matches.size(), step.content.size(), kMaxReplaced);
  }
  std::string out;
  size_t end = 0;
  for (const TextSpan& m : matches) {
    out.append(*text, end, m.begin - end);
    out += step.content;
    end = m.end;
  }
  out.append(*text, end, std::string::npos);
  *text = std::move(out);
  return OkStatus();
}

bool NmtRemoves(uint32_t c) {
  return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) ||
         c == 0x7F || c == 0x8F || c == 0x9F;
}

bool NmtMakesSpace(uint32_t c) {
  return c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
         c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

void Nmt(std::string* text, bool* keeps_start) {
  Filter(text, keeps_start, [](uint32_t c) { return !NmtRemoves(c); });
  std::string out;
  ForEachChar(*text, [&](uint32_t c, std::string_view bytes) {
    if (NmtMakesSpace(c)) {
      out += ' ';
    } else {
      out += bytes;
    }
  });
  *text = std::move(out);
}

// Short graphemes are looked up whole, then character by character: not what
// SentencePiece does, but what the reference does.
void Precompiled(const Charsmap& map, std::string* text) {
  std::string out;
  out.reserve(text->size());
  const std::string_view all = *text;
  std::string_view replacement;
  for (size_t i = 0; i < all.size();) {
    const std::string_view grapheme =
        all.substr(i, GraphemeSize(all.substr(i)));
    i += grapheme.size();
    if (grapheme.size() < 6 && map.Lookup(grapheme, &replacement)) {
      out += replacement;
      continue;
    }
    ForEachChar(grapheme, [&](uint32_t, std::string_view bytes) {
      out += map.Lookup(bytes, &replacement) ? replacement : bytes;
    });
  }
  *text = std::move(out);
}

Status RunStep(const NormalizerStep& step, std::string* text,
               bool* keeps_start) {
  using Kind = NormalizerStep::Kind;
  switch (step.kind) {
    case Kind::kNormalForm:
      ToNormalForm(step.form, text);
      break;
    case Kind::kLowercase:
      Lowercase(text);
      break;
    case Kind::kStrip:
      Strip(step, text, keeps_start);
      break;
    case Kind::kStripAccents:
      Filter(text, keeps_start, [](uint32_t c) { return !Has(c, kCombining); });
      break;
    case Kind::kBert:
      Bert(step, text, keeps_start);
      break;
    case Kind::kReplace:
      return Replace(step, text, keeps_start);
    case Kind::kPrepend:
      if (!text->empty()) text->insert(0, step.content);
      break;
    case Kind::kByteLevel: {
      std::string out;
      AppendByteLevel(*text, &out);
      *text = std::move(out);
      break;
    }
    case Kind::kNmt:
      Nmt(text, keeps_start);
      break;
    case Kind::kPrecompiled:
      Precompiled(step.charsmap, text);
      break;
  }
  return OkStatus();
}

}  // namespace

uint32_t CharOfByte(uint8_t byte) { return kCharOfByte[byte]; }

int ByteOfChar(uint32_t code) {
  return code < kByteOfChar.size() ? kByteOfChar[code] : -1;
}

void AppendByteLevel(std::string_view bytes, std::string* out) {
  for (const char c : bytes) {
    AppendUtf8(kCharOfByte[static_cast<uint8_t>(c)], out);
  }
}

// The units of the Darts-clone double array: label in bits 0..7 and 31, leaf
// flag in bit 8, offset in bits 10..30, shifted by 8 if bit 9 is set.
bool Charsmap::Lookup(std::string_view chunk, std::string_view* text) const {
  const auto offset = [](uint32_t u) { return (u >> 10) << ((u & 512) >> 6); };
  if (trie.empty()) return false;
  size_t at = offset(trie[0]);
  for (const char c : chunk) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte == 0) return false;
    at ^= byte;
    if (at >= trie.size()) return false;
    const uint32_t unit = trie[at];
    if ((unit & 0x800000FFu) != byte) return false;
    at ^= offset(unit);
    if ((unit >> 8 & 1) == 0) continue;
    if (at >= trie.size()) return false;
    const size_t begin = trie[at] & 0x7FFFFFFFu;
    if (begin > texts.size()) return false;
    const size_t end = texts.find('\0', begin);
    *text = std::string_view(texts).substr(
        begin, end == std::string::npos ? end : end - begin);
    return true;
  }
  return false;
}

Status Normalize(const std::vector<NormalizerStep>& steps, std::string* text,
                 bool* keeps_start) {
  for (const NormalizerStep& step : steps) {
    SLM_RETURN_IF_ERROR(RunStep(step, text, keeps_start));
  }
  return OkStatus();
}

bool LeavesAlone(const std::vector<NormalizerStep>& steps,
                 std::string_view text) {
  for (const NormalizerStep& step : steps) {
    if (step.kind != NormalizerStep::Kind::kNormalForm ||
        !IsNormalQuick(text, step.form)) {
      return false;
    }
  }
  return true;
}

}  // namespace slm::text
