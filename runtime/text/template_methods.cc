// SPDX-License-Identifier: MIT
// Methods of str, dict, list, tuple and int.
#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/core/utf8.h"
#include "runtime/text/template_builtins.h"
#include "runtime/text/template_format.h"
#include "runtime/text/template_ops.h"
#include "runtime/text/template_print.h"
#include "runtime/text/template_strings.h"

namespace slm::jinja {
namespace {

using Type = Value::Type;

const StringObject& Self(const Call& call) { return call.self.AsString(); }

// The text of argument i, which must be a string.
bool TextArgument(Call& call, size_t i, std::string_view* out) {
  if (call[i].IsString()) {
    *out = call[i].Text();
    return true;
  }
  if (call[i].IsUndefined()) {
    call.rt.FailUndefined(call[i]);
  } else {
    call.rt.TypeError(Format("%s: must be str, not %s", call.builtin.name,
                             TypeName(call[i])));
  }
  return false;
}

using AppendCase = void (*)(uint32_t code, std::string* out);

// Every character through `pick(index)`, marks kept.
template <typename Pick>
Value MapCase(Call& call, const Pick& pick) {
  const StringObject& s = Self(call);
  const std::string_view text = s.text;
  StringBuilder out;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(i));
    std::string mapped;
    pick(i, c.code)(c.code, &mapped);
    out.Append(mapped, IsMarked(s, i, i + c.size));
    i += c.size;
  }
  return call.rt.String(out.Take(s.markup));
}

void AppendFinalSigma(uint32_t, std::string* out) { *out += "\xCF\x82"; }

// A sigma that ends a word has its own lower case (Unicode, Final_Sigma).
AppendCase LowerAt(std::string_view text, size_t at, uint32_t code) {
  if (code != 0x3A3) return AppendLower;
  size_t before = at;
  while (before > 0 &&
         (static_cast<unsigned char>(text[before - 1]) & 0xC0) == 0x80) {
    --before;
  }
  if (before == 0) return AppendLower;
  const bool letter_before = IsCased(DecodeUtf8(text.substr(before - 1)).code);
  const size_t after = at + 2;
  const bool letter_after =
      after < text.size() && IsCased(DecodeUtf8(text.substr(after)).code);
  return letter_before && !letter_after ? AppendFinalSigma : AppendLower;
}

Value Upper(Call& call) {
  return MapCase(call, [](size_t, uint32_t) { return AppendUpper; });
}
Value Lower(Call& call) {
  const std::string_view text = Self(call).text;
  return MapCase(call, [text](size_t at, uint32_t code) {
    return LowerAt(text, at, code);
  });
}
Value Casefold(Call& call) {
  return MapCase(call, [](size_t, uint32_t) { return AppendFolded; });
}
Value Capitalize(Call& call) {
  const std::string_view text = Self(call).text;
  return MapCase(call, [text](size_t at, uint32_t code) {
    return at == 0 ? AppendTitle : LowerAt(text, at, code);
  });
}
Value Title(Call& call) {
  const std::string_view text = Self(call).text;
  bool inside = false;
  return MapCase(call, [&](size_t at, uint32_t code) {
    const AppendCase pick = inside ? LowerAt(text, at, code) : AppendTitle;
    inside = IsCased(code);
    return pick;
  });
}
Value Swapcase(Call& call) {
  const std::string_view text = Self(call).text;
  return MapCase(call, [text](size_t at, uint32_t code) {
    return IsUpper(code) ? LowerAt(text, at, code)
           : IsLower(code)
               ? AppendUpper
               : +[](uint32_t c, std::string* out) { AppendUtf8(c, out); };
  });
}

Value StripWith(Call& call, bool left, bool right) {
  std::string_view chars;
  const bool has = call.Has(0, /*none_is_absent=*/true);
  if (has && !TextArgument(call, 0, &chars)) return {};
  const StringObject& s = Self(call);
  const TextSpan kept = StripRange(s.text, has ? &chars : nullptr, left, right);
  return call.rt.String(Substring(s, kept.begin, kept.end));
}
Value Strip(Call& call) { return StripWith(call, true, true); }
Value Lstrip(Call& call) { return StripWith(call, true, false); }
Value Rstrip(Call& call) { return StripWith(call, false, true); }

// ---- split

using Spans = std::vector<TextSpan>;

// At most `limit` cuts; from the right if `reverse`.
Spans SplitAtSpace(std::string_view text, uint64_t limit, bool reverse) {
  Spans words;
  size_t begin = 0, end = text.size();
  while (true) {
    const TextSpan rest = StripRange(text.substr(begin, end - begin), nullptr,
                                     !reverse || words.size() < limit,
                                     reverse || words.size() < limit);
    end = begin + rest.end;
    begin += rest.begin;
    if (begin == end) break;
    if (words.size() >= limit) {
      words.push_back({begin, end});
      break;
    }
    size_t cut = reverse ? end : begin;
    while (reverse ? cut > begin : cut < end) {
      size_t at = reverse ? cut - 1 : cut;
      while (reverse && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) {
        --at;
      }
      const Utf8Char c = DecodeUtf8(text.substr(at));
      if (IsSpace(c.code)) break;
      cut = reverse ? at : at + c.size;
    }
    words.push_back(reverse ? TextSpan{cut, end} : TextSpan{begin, cut});
    (reverse ? end : begin) = cut;
  }
  if (reverse) std::reverse(words.begin(), words.end());
  return words;
}

Spans SplitAt(std::string_view text, std::string_view separator, uint64_t limit,
              bool reverse) {
  Spans parts;
  size_t begin = 0, end = text.size();
  while (parts.size() < limit) {
    const size_t at = reverse ? (end < separator.size()
                                     ? text.npos
                                     : text.substr(0, end).rfind(separator))
                              : text.find(separator, begin);
    if (at == text.npos) break;
    parts.push_back(reverse ? TextSpan{at + separator.size(), end}
                            : TextSpan{begin, at});
    (reverse ? end : begin) = reverse ? at : at + separator.size();
  }
  parts.push_back({begin, end});
  if (reverse) std::reverse(parts.begin(), parts.end());
  return parts;
}

Value Pieces(Call& call, const Spans& spans) {
  std::vector<Value> items;
  items.reserve(spans.size());
  for (const TextSpan& span : spans) {
    items.push_back(
        call.rt.String(Substring(Self(call), span.begin, span.end)));
    if (call.rt.failed()) return {};
  }
  return call.rt.List(std::move(items));
}

Value SplitFrom(Call& call, bool reverse) {
  const int64_t most = call.Int(1, -1);
  const uint64_t limit = most < 0 ? std::numeric_limits<uint64_t>::max()
                                  : static_cast<uint64_t>(most);
  const std::string_view text = Self(call).text;
  call.rt.Step(text.size() / 64);
  if (!call.Has(0, /*none_is_absent=*/true)) {
    return Pieces(call, SplitAtSpace(text, limit, reverse));
  }
  std::string_view separator;
  if (!TextArgument(call, 0, &separator)) return {};
  if (separator.empty()) return call.rt.Fail("ValueError", "empty separator");
  return Pieces(call, SplitAt(text, separator, limit, reverse));
}
Value Split(Call& call) { return SplitFrom(call, false); }
Value Rsplit(Call& call) { return SplitFrom(call, true); }

bool IsLineEnd(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
         c == 0x2028 || c == 0x2029;
}

Value Splitlines(Call& call) {
  const bool keep = call.Bool(0, false);
  const std::string_view text = Self(call).text;
  Spans lines;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(i));
    size_t next = i + c.size;
    if (IsLineEnd(c.code)) {
      if (c.code == '\r' && next < text.size() && text[next] == '\n') ++next;
      lines.push_back({begin, keep ? next : i});
      begin = next;
    }
    i = next;
  }
  if (begin < text.size()) lines.push_back({begin, text.size()});
  return Pieces(call, lines);
}

Value PartitionAt(Call& call, bool reverse) {
  std::string_view separator;
  if (!TextArgument(call, 0, &separator)) return {};
  if (separator.empty()) return call.rt.Fail("ValueError", "empty separator");
  const StringObject& s = Self(call);
  const size_t at = reverse ? s.text.rfind(separator) : s.text.find(separator);
  const size_t size = s.text.size();
  TextSpan parts[3] = {{0, size}, {size, size}, {size, size}};
  if (at != s.text.npos) {
    const size_t after = at + separator.size();
    parts[0] = {0, at};
    parts[1] = {at, after};
    parts[2] = {after, size};
  } else if (reverse) {
    parts[0] = parts[1] = {0, 0};
    parts[2] = {0, size};
  }
  std::vector<Value> items;
  for (const TextSpan& part : parts) {
    items.push_back(call.rt.String(Substring(s, part.begin, part.end)));
  }
  return call.rt.Tuple(std::move(items));
}
Value Partition(Call& call) { return PartitionAt(call, false); }
Value Rpartition(Call& call) { return PartitionAt(call, true); }

Value Replace(Call& call) {
  std::string_view old_text, new_text;
  if (!TextArgument(call, 0, &old_text)) return {};
  if (!TextArgument(call, 1, &new_text)) return {};
  const StringObject& s = Self(call);
  Value insert = call[1];
  if (s.markup) insert = Escape(call.rt, insert);
  int64_t left = call.Int(2, -1);
  StringBuilder out;
  size_t begin = 0;
  while (left != 0 && begin <= s.text.size() && !call.rt.failed()) {
    // An empty text is found between all characters and at both ends.
    const size_t at = s.text.find(old_text, begin);
    if (at == s.text.npos) break;
    size_t next = at + old_text.size();
    out.Append(s, begin, at);
    out.Append(insert.AsString());
    if (old_text.empty()) {
      if (at == s.text.size()) {
        begin = at;
        break;
      }
      next = at + DecodeUtf8(std::string_view(s.text).substr(at)).size;
      out.Append(s, at, next);
    }
    begin = next;
    if (left > 0) --left;
    call.rt.Charge(insert.Text().size());
  }
  if (begin < s.text.size()) out.Append(s, begin, s.text.size());
  return call.rt.String(out.Take(s.markup));
}

// ---- searching

// The part of the text that start (argument i) and end name, in bytes.
bool Window(Call& call, size_t i, TextSpan* out) {
  const std::string_view text = Self(call).text;
  const int64_t size = static_cast<int64_t>(CountChars(text));
  const auto clamp = [size](int64_t at) {
    return static_cast<size_t>(
        std::clamp<int64_t>(at < 0 ? at + size : at, 0, size));
  };
  const int64_t first = call.Has(i, true) ? call.Int(i, 0) : 0;
  const int64_t last = call.Has(i + 1, true) ? call.Int(i + 1, size) : size;
  if (first > size) {
    *out = {text.size() + 1, text.size()};
    return !call.rt.failed();
  }
  *out = {ByteOfChar(text, clamp(first)), ByteOfChar(text, clamp(last))};
  return !call.rt.failed();
}

Value FindFrom(Call& call, bool reverse, bool must) {
  std::string_view needle;
  TextSpan window;
  if (!TextArgument(call, 0, &needle) || !Window(call, 1, &window)) return {};
  const std::string_view text = Self(call).text;
  call.rt.Step(text.size() / 64);
  size_t at = text.npos;
  if (window.begin <= window.end) {
    const std::string_view part =
        text.substr(window.begin, window.end - window.begin);
    at = reverse ? part.rfind(needle) : part.find(needle);
  }
  if (at == text.npos) {
    if (must) return call.rt.Fail("ValueError", "substring not found");
    return Value::Int(-1);
  }
  return Value::Int(
      static_cast<int64_t>(CountChars(text.substr(0, window.begin + at))));
}
Value Find(Call& call) { return FindFrom(call, false, false); }
Value Rfind(Call& call) { return FindFrom(call, true, false); }
Value Index(Call& call) { return FindFrom(call, false, true); }
Value Rindex(Call& call) { return FindFrom(call, true, true); }

Value Count(Call& call) {
  std::string_view needle;
  TextSpan window;
  if (!TextArgument(call, 0, &needle) || !Window(call, 1, &window)) return {};
  if (window.begin > window.end) return Value::Int(0);
  const std::string_view text =
      std::string_view(Self(call).text)
          .substr(window.begin, window.end - window.begin);
  call.rt.Step(text.size() / 64);
  if (needle.empty()) {
    return Value::Int(static_cast<int64_t>(CountChars(text)) + 1);
  }
  int64_t count = 0;
  for (size_t at = 0; (at = text.find(needle, at)) != text.npos;
       at += needle.size()) {
    ++count;
  }
  return Value::Int(count);
}

Value Affix(Call& call, bool at_end) {
  TextSpan window;
  if (!Window(call, 1, &window)) return {};
  std::vector<Value> wanted = {call[0]};
  if (call[0].IsTuple()) wanted = call[0].AsList().items;
  for (const Value& affix : wanted) {
    if (affix.IsUndefined()) return call.rt.FailUndefined(affix);
    if (!affix.IsString()) {
      return call.rt.TypeError(
          Format("%s first arg must be str or a tuple of str, not %s",
                 call.builtin.name, TypeName(affix)));
    }
    if (window.begin > window.end) continue;
    const std::string_view part =
        std::string_view(Self(call).text)
            .substr(window.begin, window.end - window.begin);
    if (at_end ? part.ends_with(affix.Text())
               : part.starts_with(affix.Text())) {
      return Value::Bool(true);
    }
  }
  return Value::Bool(false);
}
Value Startswith(Call& call) { return Affix(call, false); }
Value Endswith(Call& call) { return Affix(call, true); }

Value Removeprefix(Call& call) {
  std::string_view affix;
  if (!TextArgument(call, 0, &affix)) return {};
  const StringObject& s = Self(call);
  const size_t cut = s.text.starts_with(affix) ? affix.size() : 0;
  return call.rt.String(Substring(s, cut, s.text.size()));
}
Value Removesuffix(Call& call) {
  std::string_view affix;
  if (!TextArgument(call, 0, &affix)) return {};
  const StringObject& s = Self(call);
  const size_t cut = s.text.ends_with(affix) ? affix.size() : 0;
  return call.rt.String(Substring(s, 0, s.text.size() - cut));
}

// ---- predicates

Value All(Call& call, bool (*predicate)(uint32_t), bool of_empty = false) {
  const std::string_view text = Self(call).text;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(i));
    if (!predicate(c.code)) return Value::Bool(false);
    i += c.size;
  }
  return Value::Bool(of_empty || !text.empty());
}
Value Isalpha(Call& call) { return All(call, IsAlpha); }
Value Isdigit(Call& call) { return All(call, IsDigit); }
Value Isdecimal(Call& call) { return All(call, IsDecimal); }
Value Isnumeric(Call& call) { return All(call, IsNumeric); }
Value Isalnum(Call& call) {
  return All(call, [](uint32_t c) { return IsAlpha(c) || IsNumeric(c); });
}
Value Isspace(Call& call) { return All(call, IsSpace); }
Value Isprintable(Call& call) { return All(call, IsPrintable, true); }
Value Isascii(Call& call) {
  return All(
      call, [](uint32_t c) { return c < 0x80; }, true);
}
Value Isidentifier(Call& call) {
  const std::string_view text = Self(call).text;
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) {
    return Value::Bool(false);
  }
  return All(call,
             [](uint32_t c) { return IsAlpha(c) || IsDecimal(c) || c == '_'; });
}

// At least one cased character, and none of the other case.
Value AllCase(Call& call, bool (*wanted)(uint32_t)) {
  const std::string_view text = Self(call).text;
  bool any = false;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(i));
    if (IsCased(c.code) && !wanted(c.code)) return Value::Bool(false);
    any = any || wanted(c.code);
    i += c.size;
  }
  return Value::Bool(any);
}
Value Isupper(Call& call) { return AllCase(call, IsUpper); }
Value Islower(Call& call) { return AllCase(call, IsLower); }
Value Istitle(Call& call) {
  const std::string_view text = Self(call).text;
  bool any = false, inside = false;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(i));
    const bool upper = IsUpper(c.code) || IsTitle(c.code);
    if (upper ? inside : IsLower(c.code) && !inside) return Value::Bool(false);
    inside = IsCased(c.code);
    any = any || inside;
    i += c.size;
  }
  return Value::Bool(any);
}

// ---- building

Value JoinMethod(Call& call) {
  std::vector<Value> items;
  if (!Iterate(call.rt, call[0], &items)) return {};
  StringBuilder out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].IsString()) {
      return call.rt.TypeError(
          Format("sequence item %zu: expected str instance, %s found", i,
                 TypeName(items[i])));
    }
    if (i) out.Append(Self(call));
    const Value item = Self(call).markup ? Escape(call.rt, items[i]) : items[i];
    out.Append(item.AsString());
    if (!call.rt.Charge(item.Text().size() + Self(call).text.size())) return {};
  }
  return call.rt.String(out.Take(Self(call).markup));
}

Value Justify(Call& call, char align) {
  std::string_view fill = " ";
  const int64_t width = call.Int(0, 0);
  if (call.Has(1) && !TextArgument(call, 1, &fill)) return {};
  if (CountChars(fill) != 1) {
    return call.rt.TypeError(
        "The fill character must be exactly one character long");
  }
  if (call.rt.failed()) return {};
  return Pad(call.rt, Self(call), width, fill, align);
}
Value Ljust(Call& call) { return Justify(call, '<'); }
Value Rjust(Call& call) { return Justify(call, '>'); }
Value Center(Call& call) { return Justify(call, 'c'); }
Value Zfill(Call& call) {
  const StringObject& s = Self(call);
  const int64_t width = call.Int(0, 0);
  const bool sign = !s.text.empty() && (s.text[0] == '-' || s.text[0] == '+');
  const Value digits = Substring(s, sign, s.text.size());
  const Value padded = Pad(call.rt, digits.AsString(), width - sign, "0", '>');
  if (call.rt.failed()) return {};
  StringBuilder out;
  out.Append(s, 0, sign);
  out.Append(padded.AsString());
  return call.rt.String(out.Take(s.markup));
}
Value Expandtabs(Call& call) {
  const int64_t tab = call.Int(0, 8);
  const StringObject& s = Self(call);
  if (tab > 1000) return call.rt.Fail("limit", "expandtabs: too wide");
  StringBuilder out;
  int64_t column = 0;
  for (size_t i = 0; i < s.text.size(); ++i) {
    const char c = s.text[i];
    if (c == '\t') {
      for (int64_t n = tab > 0 ? tab - column % tab : 0; n > 0; --n, ++column) {
        out.Append(" ", IsMarked(s, i, i + 1));
      }
      if (!call.rt.Charge(static_cast<size_t>(std::max<int64_t>(tab, 0)))) {
        return {};
      }
      continue;
    }
    out.Append(s, i, i + 1);
    column += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (c == '\n' || c == '\r') column = 0;
  }
  return call.rt.String(out.Take(s.markup));
}
Value FormatMethod(Call& call) {
  return BraceFormat(call.rt, Self(call), call.args, call.keywords);
}
Value FormatMap(Call& call) {
  Keywords keywords;
  if (!call[0].IsDict())
    return call.rt.TypeError("format_map: needs a mapping");
  for (const auto& [key, value] : call[0].AsDict().members) {
    if (key.IsString()) keywords.emplace_back(key.Text(), value);
  }
  return BraceFormat(call.rt, Self(call), {}, keywords);
}

constexpr Builtin kStringMethods[] = {
    {"capitalize", "", Capitalize},
    {"casefold", "", Casefold},
    {"center", "/width fillchar?", Center},
    {"count", "/sub start? end?", Count},
    {"encode", "*", nullptr},
    {"endswith", "/suffix start? end?", Endswith},
    {"expandtabs", "tabsize?", Expandtabs},
    {"find", "/sub start? end?", Find},
    {"format", "*", FormatMethod},
    {"format_map", "/mapping", FormatMap},
    {"index", "/sub start? end?", Index},
    {"isalnum", "", Isalnum},
    {"isalpha", "", Isalpha},
    {"isascii", "", Isascii},
    {"isdecimal", "", Isdecimal},
    {"isdigit", "", Isdigit},
    {"isidentifier", "", Isidentifier},
    {"islower", "", Islower},
    {"isnumeric", "", Isnumeric},
    {"isprintable", "", Isprintable},
    {"isspace", "", Isspace},
    {"istitle", "", Istitle},
    {"isupper", "", Isupper},
    {"join", "/iterable", JoinMethod},
    {"ljust", "/width fillchar?", Ljust},
    {"lower", "", Lower},
    {"lstrip", "/chars?", Lstrip},
    {"maketrans", "*", nullptr},
    {"partition", "/sep", Partition},
    {"removeprefix", "/prefix", Removeprefix},
    {"removesuffix", "/suffix", Removesuffix},
    {"replace", "/old new count?", Replace},
    {"rfind", "/sub start? end?", Rfind},
    {"rindex", "/sub start? end?", Rindex},
    {"rjust", "/width fillchar?", Rjust},
    {"rpartition", "/sep", Rpartition},
    {"rsplit", "sep? maxsplit?", Rsplit},
    {"rstrip", "/chars?", Rstrip},
    {"split", "sep? maxsplit?", Split},
    {"splitlines", "keepends?", Splitlines},
    {"startswith", "/prefix start? end?", Startswith},
    {"strip", "/chars?", Strip},
    {"swapcase", "", Swapcase},
    {"title", "", Title},
    {"translate", "*", nullptr},
    {"upper", "", Upper},
    {"zfill", "/width", Zfill},
};

// ---- dict

Value View(Call& call, const char* name, bool keys, bool values) {
  std::vector<Value> items;
  for (const auto& [key, value] : call.self.AsDict().members) {
    items.push_back(keys && values ? Value::Tuple({key, value})
                    : keys         ? key
                                   : value);
  }
  call.rt.Charge(items.size() * 64);
  return call.rt.Sequence(Type::kView, name, std::move(items));
}
Value Items(Call& call) { return View(call, "dict_items", true, true); }
Value Keys(Call& call) { return View(call, "dict_keys", true, false); }
Value Values(Call& call) { return View(call, "dict_values", false, true); }
Value Get(Call& call) {
  if (!CheckHashable(call.rt, call[0])) return {};
  const Value* found = call.self.AsDict().Find(call[0]);
  if (found) return *found;
  return call.Has(1) ? call[1] : Value::None();
}
Value Copy(Call& call) { return call.self; }  // values are immutable

constexpr Builtin kDictMethods[] = {
    {"copy", "", Copy},
    {"fromkeys", "*", nullptr},
    {"get", "/key default?", Get},
    {"items", "", Items},
    {"keys", "", Keys},
    {"values", "", Values},
};

// ---- list, tuple, range

Value CountItem(Call& call) {
  std::vector<Value> items;
  if (!Iterate(call.rt, call.self, &items)) return {};
  return Value::Int(
      std::count_if(items.begin(), items.end(),
                    [&](const Value& v) { return Equal(v, call[0]); }));
}
Value IndexItem(Call& call) {
  std::vector<Value> items;
  if (!Iterate(call.rt, call.self, &items)) return {};
  const int64_t size = static_cast<int64_t>(items.size());
  const auto clamp = [size](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  };
  const int64_t end = clamp(call.Int(2, size));
  for (int64_t i = clamp(call.Int(1, 0)); i < end; ++i) {
    if (Equal(items[static_cast<size_t>(i)], call[0])) return Value::Int(i);
  }
  return call.rt.Fail("ValueError",
                      ReprForMessage(call.rt, call[0]) + " is not in list");
}

constexpr Builtin kListMethods[] = {
    {"copy", "", Copy},
    {"count", "/value", CountItem},
    {"index", "/value start? stop?", IndexItem},
};
constexpr Builtin kTupleMethods[] = {
    {"count", "/value", CountItem},
    {"index", "/value start? stop?", IndexItem},
};

// ---- numbers

Value IsInteger(Call& call) {
  const double d = call.self.AsFloat();
  return Value::Bool(std::isfinite(d) && d == std::floor(d));
}
Value BitLength(Call& call) {
  int64_t bits = 0;
  const int64_t i = call.self.AsInt();
  for (uint64_t u = i < 0 ? 0 - static_cast<uint64_t>(i)
                          : static_cast<uint64_t>(i);
       u; u >>= 1) {
    ++bits;
  }
  return Value::Int(bits);
}
constexpr Builtin kIntMethods[] = {
    {"as_integer_ratio", "*", nullptr},
    {"bit_length", "", BitLength},
    {"conjugate", "", Copy},
    {"to_bytes", "*", nullptr},
};
constexpr Builtin kFloatMethods[] = {
    {"as_integer_ratio", "*", nullptr},
    {"conjugate", "", Copy},
    {"hex", "*", nullptr},
    {"is_integer", "", IsInteger},
};

}  // namespace

const Builtin* FindMethod(const Value& self, std::string_view name) {
  switch (self.type()) {
    case Type::kString:
      return FindIn(kStringMethods, name);
    case Type::kDict:
      return FindIn(kDictMethods, name);
    case Type::kList:
      return FindIn(kListMethods, name);
    case Type::kTuple:
    case Type::kRange:
      return FindIn(kTupleMethods, name);
    case Type::kInt:
    case Type::kBool:
      return FindIn(kIntMethods, name);
    case Type::kFloat:
      return FindIn(kFloatMethods, name);
    default:
      return nullptr;
  }
}

}  // namespace slm::jinja
