// SPDX-License-Identifier: MIT
#include "runtime/text/unicode.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "utf8proc.h"

namespace slm::text {
namespace {

#include "runtime/text/unicode_tables.inc"

// Decomposes text[begin, end), free of opaque characters, into `codes`, in
// canonical order, and composes it where asked.
void NormalizeRun(std::string_view run, NormalForm form,
                  std::vector<utf8proc_int32_t>* codes, std::string* out) {
  const bool compose = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  const bool compat = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  int options = UTF8PROC_STABLE |
                (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                (compat ? UTF8PROC_COMPAT : 0);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(run.data());
  const auto size = static_cast<utf8proc_ssize_t>(run.size());
  // No character expands beyond 18 code points; most do not expand.
  if (codes->size() < run.size()) codes->resize(run.size());
  utf8proc_ssize_t count = utf8proc_decompose(
      bytes, size, codes->data(), static_cast<utf8proc_ssize_t>(codes->size()),
      static_cast<utf8proc_option_t>(options));
  if (count < 0) {  // not UTF-8: callers have checked, so keep it as it is
    *out += run;
    return;
  }
  if (static_cast<size_t>(count) > codes->size()) {
    codes->resize(static_cast<size_t>(count));
    count = utf8proc_decompose(bytes, size, codes->data(), count,
                               static_cast<utf8proc_option_t>(options));
  }
  count = utf8proc_normalize_utf32(codes->data(), count,
                                   static_cast<utf8proc_option_t>(options));
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    AppendUtf8(static_cast<uint32_t>((*codes)[static_cast<size_t>(i)]), out);
  }
}

}  // namespace

uint16_t PropertiesOf(uint32_t code) {
  return kPropertiesOfClass[kClassOfCode[kBlockOfCode[code >> 8] * 256u +
                                         (code & 255)]];
}

size_t AddedRangeCount() { return std::size(kAddedSinceUnicode14); }

AddedRange AddedRangeAt(size_t i) {
  const AddedRow& row = kAddedSinceUnicode14[i];
  return {row.first, row.last, static_cast<Category>(row.category)};
}

uint8_t ScriptOf(uint32_t code) {
  if (code == 0x30FC) return kScriptHan;  // the mark of long vowels
  if (code == ' ') return 0;
  const ScriptRow* row = std::upper_bound(
      std::begin(kScriptRows), std::end(kScriptRows), code,
      [](uint32_t c, const ScriptRow& r) { return c < r.first; });
  if (row == std::begin(kScriptRows)) return 0;
  --row;
  return code <= row->last ? row->script : 0;
}

void AppendLower(uint32_t code, std::string* out) {
  if (code < 0x80) {
    *out += static_cast<char>(code >= 'A' && code <= 'Z' ? code + 32 : code);
    return;
  }
  const LowerRow* row = std::lower_bound(
      std::begin(kLowerRows), std::end(kLowerRows), code,
      [](const LowerRow& r, uint32_t c) { return r.code < c; });
  if (row != std::end(kLowerRows) && row->code == code) {
    AppendUtf8(row->lower, out);
    if (row->second != 0) AppendUtf8(row->second, out);
    return;
  }
  AppendUtf8(static_cast<uint32_t>(
                 utf8proc_tolower(static_cast<utf8proc_int32_t>(code))),
             out);
}

bool IsNormalQuick(std::string_view text, NormalForm form) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<uint8_t>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    if (form != NormalForm::kNfc) return false;
    uint32_t size;
    if (!Has(CodeAt(text, i, &size), kNfcInert)) return false;
    i += size;
  }
  return true;
}

// Opaque characters are starters without decomposition to the reference:
// nothing is reordered or composed across them.
void AppendNormalForm(std::string_view text, NormalForm form,
                      std::string* out) {
  std::vector<utf8proc_int32_t> codes;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    uint32_t size;
    const uint32_t code = CodeAt(text, i, &size);
    if (code >= 0x80 && Has(code, kOpaque)) {
      if (begin < i) {
        NormalizeRun(text.substr(begin, i - begin), form, &codes, out);
      }
      *out += text.substr(i, size);
      begin = i + size;
    }
    i += size;
  }
  if (begin < text.size()) {
    NormalizeRun(text.substr(begin), form, &codes, out);
  }
}

size_t GraphemeSize(std::string_view text) {
  uint32_t size;
  uint32_t last = CodeAt(text, 0, &size);
  utf8proc_int32_t state = 0;
  size_t end = size;
  while (end < text.size()) {
    const uint32_t code = CodeAt(text, end, &size);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last),
                                         static_cast<utf8proc_int32_t>(code),
                                         &state)) {
      break;
    }
    end += size;
    last = code;
  }
  return end;
}

uint32_t CodeBefore(std::string_view text, size_t at) {
  size_t begin = at - 1;
  while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) {
    --begin;
  }
  uint32_t size;
  return CodeAt(text, begin, &size);
}

}  // namespace slm::text
