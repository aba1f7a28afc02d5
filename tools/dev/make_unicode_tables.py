#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes runtime/text/unicode_tables.inc: what the reference tokenizer library
(Python package tokenizers, 0.22.2) believes about each code point. Its parts
use four versions of Unicode (regular expressions 16, Rust's char 16,
categories 9, normal forms 9), so no one library's tables agree with it.

usage: make_unicode_tables.py scripts.rs > runtime/text/unicode_tables.inc
scripts.rs: its source of the UnicodeScripts pre-tokenizer's table. Python must
have Unicode 14 (3.11), as PCRE2 10.42 has.
"""
import re
import sys
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

assert tokenizers.__version__ == "0.22.2", tokenizers.__version__
CODES = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
ALL = "".join(map(chr, CODES))
CATEGORIES = ("Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc "
              "Sk So Zs Zl Zp Cc Cf Cs Co").split()


def matches(pattern):
  out = normalizers.Replace(Regex(pattern), "\x01").normalize_str(ALL)
  return {c for c, o in zip(CODES, out)
          if o == "\x01" and (c != 1 or pattern == r"\p{Cc}")}


def splits(pre_tokenizer):
  return {c for c in CODES
          if len(pre_tokenizer.pre_tokenize_str("a" + chr(c) + "a")) != 1}


def mapped(normalizer):
  return {c: normalizer.normalize_str(chr(c)) for c in CODES}


def ranges(codes):
  out = []
  for c in sorted(codes):
    if out and out[-1][1] == c - 1:
      out[-1][1] = c
    else:
      out.append([c, c])
  return out


def is_nfc_inert(c):
  """NFC leaves it alone whatever stands around it."""
  s = chr(c)
  return (unicodedata.category(s)[0] not in "MC" or c < 0x20) and (
      unicodedata.normalize("NFC", s) == s) and c not in SECONDS and not (
          0x1100 <= c < 0x1200)


SECONDS = set()
for code in CODES:
  parts = unicodedata.decomposition(chr(code)).split()
  if len(parts) == 2 and not parts[0].startswith("<"):
    SECONDS.add(int(parts[1], 16))

category = dict.fromkeys(range(0x110000), 0)
for i, name in enumerate(CATEGORIES):
  if name not in ("Cn", "Cs"):
    for c in matches(r"\p{%s}" % name):
      category[c] = i
category[0] = CATEGORIES.index("Cc")
for c in range(0xD800, 0xE000):
  category[c] = CATEGORIES.index("Cs")

onig_word = matches(r"\w")
space = matches(r"\s")
assert space == splits(pre_tokenizers.WhitespaceSplit())
rust_word = set(CODES) - splits(pre_tokenizers.Whitespace())
numeric = splits(pre_tokenizers.Digits(True))
punctuation = splits(pre_tokenizers.Punctuation("removed"))
clean = mapped(normalizers.BertNormalizer(True, False, False, False))
control = {c for c, s in clean.items() if not s}
accents = mapped(normalizers.BertNormalizer(False, False, True, False))
nonspacing = {c for c, s in accents.items() if not s}
combining = {c for c, s in mapped(normalizers.StripAccents()).items() if not s}
inert = {c for c in CODES if is_nfc_inert(c)} | {0}
decomposed = mapped(normalizers.NFKD())
# Characters that this Python's Unicode gives a decomposition, the reference
# none, and marks that it does not know: both pass through normal forms as they
# are and stop reordering and composition.
opaque = {c for c in CODES if unicodedata.category(chr(c))[0] == "M"
          and c not in combining}
opaque |= {c for c in CODES if decomposed[c] == chr(c)
           and unicodedata.decomposition(chr(c))
           and not 0xAC00 <= c < 0xD7A4}
# Compositions and marks of Unicode 14 to 16, should utf8proc know them.
opaque |= {c for c in CODES if decomposed[c] == chr(c)
           and category[c] in range(6, 9) and c not in combining}
opaque |= set(range(0x1E030, 0x1E06E))

FLAGS = [("word", onig_word), ("rust_word", rust_word), ("space", space),
         ("numeric", numeric), ("punctuation", punctuation),
         ("control", control), ("nonspacing", nonspacing),
         ("combining", combining), ("inert", inert), ("opaque", opaque)]

classes, order = {}, []
code_class = []
for c in range(0x110000):
  bits = sum(1 << i for i, (_, s) in enumerate(FLAGS) if c in s)
  key = (category[c], bits)
  if key not in classes:
    classes[key] = len(order)
    order.append(key)
  code_class.append(classes[key])
assert len(order) <= 256

blocks, block_index = {}, []
for b in range(0, 0x110000, 256):
  block = tuple(code_class[b:b + 256])
  block_index.append(blocks.setdefault(block, len(blocks)))
assert len(blocks) <= 256


def emit(name, kind, values, per_line=16):
  print("inline constexpr %s %s[%d] = {" % (kind, name, len(values)))
  for i in range(0, len(values), per_line):
    print("    " + ", ".join(map(str, values[i:i + per_line])) + ",")
  print("};")


print("// SPDX-License-Identifier: MIT")
print("// Made by tools/dev/make_unicode_tables.py with tokenizers %s; do not"
      % tokenizers.__version__)
print("// edit. clang-format off")
emit("kBlockOfCode", "uint8_t", block_index)
emit("kClassOfCode", "uint8_t", [c for b in blocks for c in b], 32)
print("// General category in the low 5 bits, then flags: "
      + ", ".join(n for n, _ in FLAGS))
emit("kPropertiesOfClass", "uint16_t",
     ["0x%04x" % (cat | bits << 5) for cat, bits in order], 8)

lower = normalizers.Lowercase()
lowered = {c: lower.normalize_str(chr(c)) for c in CODES}
# Upper-case letters newer than Unicode 14 or with an odd mapping: in doubt, in
# the table. utf8proc's own mapping serves for the rest.
odd = {c for c, s in lowered.items()
       if s != chr(c) and (len(s) != 1 or s != chr(c).lower()
                           or unicodedata.category(chr(c)) == "Cn")}
odd |= {c for c, s in lowered.items()
        if s == chr(c) and chr(c).lower() != s}
odd |= {0xA7CB, 0xA7CC, 0xA7CE, 0xA7D2, 0xA7D4, 0xA7DA, 0xA7DC, 0x1C89}
print("struct LowerRow { uint32_t code, lower, second; };")
print("inline constexpr LowerRow kLowerRows[] = {")
for c in sorted(odd):
  s = [ord(x) for x in lowered[c]] + [0]
  assert len(s) <= 3
  print("    {0x%X, 0x%X, 0x%X}," % (c, s[0], s[1]))
print("};")

# Assigned after Unicode 14: what PCRE2 before 10.43 does not know.
added = {c for c in CODES
         if category[c] and unicodedata.category(chr(c)) == "Cn"}
assert unicodedata.unidata_version <= "14.0.0", unicodedata.unidata_version
print("struct AddedRow { uint32_t first, last; uint8_t category; };")
print("inline constexpr AddedRow kAddedSinceUnicode14[] = {")
for cat in range(1, len(CATEGORIES)):
  for first, last in ranges(c for c in added if category[c] == cat):
    print("    {0x%X, 0x%X, %d}," % (first, last, cat))
print("};")

# The script table of the UnicodeScripts pre-tokenizer, read from its source.
rows, names = [], {"Any": 0}
for line in open(sys.argv[1]):
  m = re.match(r"\s+0x([0-9A-F]+)(?:\.\.=0x([0-9A-F]+))? => Script::(\w+)",
               line)
  if m:
    rows.append((int(m[1], 16), int(m[2] or m[1], 16),
                 names.setdefault(m[3], len(names))))
rows.sort()
merged = []
for first, last, script in rows:
  if merged and merged[-1][2] == script and merged[-1][1] == first - 1:
    merged[-1][1] = last
  else:
    merged.append([first, last, script])
fixed = {names[n]: names["Han"] for n in ("Hiragana", "Katakana")}
print("// Numbers of scripts; Hiragana and Katakana count as Han.")
print("inline constexpr uint8_t kScriptHan = %d;" % names["Han"])
print("struct ScriptRow { uint32_t first, last; uint8_t script; };")
print("inline constexpr ScriptRow kScriptRows[] = {")
for first, last, script in merged:
  print("    {0x%X, 0x%X, %d}," % (first, last, fixed.get(script, script)))
print("};")
