// SPDX-License-Identifier: MIT
// Filters on text and numbers; those on sequences are in
// template_sequence_filters.cc.
#include "runtime/text/template_filters.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "runtime/core/utf8.h"
#include "runtime/text/bigint.h"
#include "runtime/text/template_builtins.h"
#include "runtime/text/template_format.h"
#include "runtime/text/template_ops.h"
#include "runtime/text/template_print.h"
#include "runtime/text/template_strings.h"

namespace slm::jinja {
namespace {

// soft_str(value).method(args).
Value TextMethod(Call& call, const char* method, std::vector<Value> args = {}) {
  const Value text = SoftStr(call.rt, call.self);
  if (call.rt.failed()) return {};
  return RunBuiltin(call.rt, *FindMethod(text, method), text, std::move(args),
                    {});
}

Value Upper(Call& call) { return TextMethod(call, "upper"); }
Value Lower(Call& call) { return TextMethod(call, "lower"); }
Value Capitalize(Call& call) { return TextMethod(call, "capitalize"); }
Value Trim(Call& call) {
  return TextMethod(call, "strip", {call.Has(0) ? call[0] : Value::None()});
}
Value Center(Call& call) {
  return TextMethod(call, "center", {call.Has(0) ? call[0] : Value::Int(80)});
}
Value String(Call& call) { return SoftStr(call.rt, call.self); }
Value Replace(Call& call) {
  const Value text = Str(call.rt, call.self);
  const Value from = Str(call.rt, call[0]), to = Str(call.rt, call[1]);
  if (call.rt.failed()) return {};
  const int64_t count = call.Has(2, true) ? call.Int(2, -1) : -1;
  return RunBuiltin(call.rt, *FindMethod(text, "replace"), text,
                    {from, to, Value::Int(count)}, {});
}

// Capitals after white space and after any of -({[<.
Value Title(Call& call) {
  const Value value = SoftStr(call.rt, call.self);
  if (call.rt.failed()) return {};
  const StringObject& s = value.AsString();
  const std::string_view text = s.text;
  StringBuilder out;
  bool at_start = true;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(i));
    const bool separator =
        IsSpace(c.code) ||
        (c.code < 0x80 && std::string_view("-({[<").find(static_cast<char>(
                              c.code)) != std::string_view::npos);
    std::string mapped;
    if (at_start && !separator) {
      AppendUpper(c.code, &mapped);
    } else {
      AppendLower(c.code, &mapped);
    }
    out.Append(mapped, IsMarked(s, i, i + c.size));
    at_start = separator;
    i += c.size;
  }
  return call.rt.String(out.Take());
}

Value Safe(Call& call) {
  const Value text = Str(call.rt, call.self);
  if (call.rt.failed()) return {};
  const StringObject& s = text.AsString();
  StringBuilder out;
  out.Append(s);
  return call.rt.String(out.Take(/*markup=*/true));
}
Value EscapeFilter(Call& call) { return Escape(call.rt, call.self); }
Value ForceEscape(Call& call) {
  const Value text = Str(call.rt, call.self);
  return call.rt.failed() ? Value() : Escape(call.rt, text);
}

Value Indent(Call& call) {
  if (!call.self.IsString()) {
    if (call.self.IsUndefined()) return call.rt.FailUndefined(call.self);
    return call.rt.TypeError(
        Format("indent: cannot indent '%s'", TypeName(call.self)));
  }
  Value indention = call.Has(0) ? call[0] : Value::Int(4);
  if (!indention.IsString()) {
    const int64_t width = call.Int(0, 4);
    if (width > 1000) return call.rt.Fail("limit", "indent: too wide");
    indention = Value::String(
        std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' '));
  }
  const bool first = call.Bool(1, false), blank = call.Bool(2, false);
  // The quirk of jinja2: a newline is added before the lines are split.
  const Value text =
      Binary(call.rt, Kind::kAdd, call.self, Value::String("\n"));
  if (call.rt.failed()) return {};
  const Value lines =
      RunBuiltin(call.rt, *FindMethod(text, "splitlines"), text, {}, {});
  if (call.rt.failed()) return {};
  StringBuilder out;
  bool is_first = true;
  for (const Value& line : lines.AsList().items) {
    if (!is_first) out.Append("\n");
    if (is_first ? first : blank || !line.Text().empty()) {
      out.Append(indention.AsString());
      call.rt.Charge(indention.Text().size());
    }
    is_first = false;
    out.Append(line.AsString());
    if (call.rt.failed()) return {};
  }
  return call.rt.String(out.Take(call.self.AsString().markup));
}

Value Truncate(Call& call) {
  const int64_t length = call.Int(0, 255);
  const bool kill_words = call.Bool(1, false);
  const Value end = call.Has(2) ? call[2] : Value::String("...");
  const int64_t leeway = call.Has(3, true) ? call.Int(3, 5) : 5;
  if (call.rt.failed()) return {};
  size_t size = 0, end_size = 0;
  if (!Length(call.rt, end, &end_size)) return {};
  if (length < static_cast<int64_t>(end_size) || leeway < 0) {
    return call.rt.Fail("AssertionError",
                        "truncate: the length is less than that of the end");
  }
  if (!Length(call.rt, call.self, &size)) return {};
  if (static_cast<int64_t>(size) - leeway <= length) return call.self;
  if (!call.self.IsString() || !end.IsString()) {
    return call.rt.TypeError("truncate: value and end must be strings");
  }
  const StringObject& s = call.self.AsString();
  size_t cut = ByteOfChar(s.text, static_cast<size_t>(length) - end_size);
  if (!kill_words) {
    const size_t space = std::string_view(s.text).substr(0, cut).rfind(' ');
    if (space != std::string_view::npos) cut = space;
  }
  return Binary(call.rt, Kind::kAdd, Substring(s, 0, cut), end);
}

Value WordCount(Call& call) {
  const Value value = SoftStr(call.rt, call.self);
  if (call.rt.failed()) return {};
  int64_t words = 0;
  bool inside = false;
  const std::string_view text = value.Text();
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(i));
    const bool word = c.code == '_' || IsAlpha(c.code) || IsNumeric(c.code);
    words += word && !inside;
    inside = word;
    i += c.size;
  }
  return Value::Int(words);
}

// Comments and tags go, white space becomes single blanks.
Value StripTags(Call& call) {
  const Value value = Str(call.rt, call.self);
  if (call.rt.failed()) return {};
  std::string text(value.Text());
  const auto erase = [&](std::string_view open, std::string_view close) {
    for (size_t at = 0; (at = text.find(open, at)) != text.npos;) {
      const size_t end = text.find(close, at + open.size());
      if (end == text.npos) break;
      text.erase(at, end + close.size() - at);
    }
  };
  if (!call.rt.Step(text.size())) return {};
  erase("<!--", "-->");
  erase("<", ">");
  std::string out;
  bool space = false;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(std::string_view(text).substr(i));
    if (IsSpace(c.code)) {
      space = true;
    } else {
      if (space && !out.empty()) out += ' ';
      space = false;
      out += text.substr(i, c.size);
    }
    i += c.size;
  }
  constexpr const char* kEntities[][2] = {{"&lt;", "<"},   {"&gt;", ">"},
                                          {"&#34;", "\""}, {"&quot;", "\""},
                                          {"&#39;", "'"},  {"&amp;", "&"}};
  std::string plain;
  for (size_t i = 0; i < out.size();) {
    size_t used = 0;
    for (const auto& [entity, character] : kEntities) {
      const std::string_view e = entity;
      if (!used && out.compare(i, e.size(), e) == 0) {
        plain += character;
        used = e.size();
      }
    }
    if (!used) plain += out[i];
    i += used ? used : 1;
  }
  return call.rt.String(
      Derived(std::move(plain), !value.AsString().marks.empty()));
}

// Percent escapes of all but letters, digits, _.-~ and `safe`.
void AppendQuoted(const StringObject& s, std::string_view safe, bool plus,
                  StringBuilder* out) {
  for (size_t i = 0; i < s.text.size(); ++i) {
    const char c = s.text[i];
    const bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      (c >= '0' && c <= '9') ||
                      std::string_view("_.-~").find(c) != safe.npos ||
                      safe.find(c) != safe.npos;
    if (keep) {
      out->Append(s, i, i + 1);
    } else if (plus && c == ' ') {
      out->Append("+", IsMarked(s, i, i + 1));
    } else {
      out->Append(Format("%%%02X", static_cast<unsigned char>(c)),
                  IsMarked(s, i, i + 1));
    }
  }
}

Value UrlEncode(Call& call) {
  StringBuilder out;
  if (call.self.IsString() || !IsIterable(call.self)) {
    const Value text = Str(call.rt, call.self);
    if (call.rt.failed()) return {};
    AppendQuoted(text.AsString(), "/", /*plus=*/false, &out);
    return call.rt.String(out.Take());
  }
  std::vector<Value> pairs;
  if (call.self.IsDict()) {
    for (const auto& [key, value] : call.self.AsDict().members) {
      pairs.push_back(Value::Tuple({key, value}));
    }
  } else if (!Iterate(call.rt, call.self, &pairs)) {
    return {};
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    std::vector<Value> pair;
    if (!Iterate(call.rt, pairs[i], &pair)) return {};
    if (pair.size() != 2) {
      return call.rt.Fail("ValueError", "urlencode: an item is no pair");
    }
    const Value key = Str(call.rt, pair[0]), value = Str(call.rt, pair[1]);
    if (call.rt.failed()) return {};
    if (i) out.Append("&");
    AppendQuoted(key.AsString(), "", /*plus=*/true, &out);
    out.Append("=");
    AppendQuoted(value.AsString(), "", /*plus=*/true, &out);
  }
  return call.rt.String(out.Take());
}

Value XmlAttr(Call& call) {
  if (!call.self.IsDict()) {
    return call.rt.TypeError("xmlattr: the value must be a mapping");
  }
  StringBuilder out;
  bool first = true;
  for (const auto& [key, value] : call.self.AsDict().members) {
    if (value.IsNone() || value.IsUndefined()) continue;
    if (!key.IsString() ||
        key.Text().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos) {
      return call.rt.Fail("ValueError",
                          "xmlattr: invalid character in attribute name");
    }
    const Value name = Escape(call.rt, key), text = Escape(call.rt, value);
    if (call.rt.failed()) return {};
    if (!first || call.Bool(0, true)) out.Append(" ");
    first = false;
    out.Append(name.AsString());
    out.Append("=\"");
    out.Append(text.AsString());
    out.Append("\"");
  }
  return call.rt.String(out.Take());
}

Value FormatFilter(Call& call) {
  const Value text = SoftStr(call.rt, call.self);
  if (call.rt.failed()) return {};
  if (!call.args.empty() && !call.keywords.empty()) {
    return call.rt.Fail("FilterArgumentError",
                        "can't handle positional and keyword arguments at the "
                        "same time");
  }
  if (call.keywords.empty()) {
    return PercentFormat(call.rt, text.AsString(), Value::Tuple(call.args));
  }
  return PercentFormat(call.rt, text.AsString(), Value::Dict(call.keywords));
}

Value FileSizeFormat(Call& call) {
  const Value number = RunBuiltin(call.rt, *FindFilter("float", false),
                                  call.self, {Value::None()}, {});
  if (call.rt.failed()) return {};
  if (!number.IsFloat()) {
    return call.rt.Fail("ValueError", "filesizeformat: the value is no number");
  }
  const double bytes = number.AsFloat() + 0.0;  // no -0.0
  const bool binary = call.Bool(0, false);
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value::String("1 Byte");
  if (bytes < base)
    return Value::String(Format("%.0f Bytes", std::trunc(bytes)));
  constexpr std::string_view kPrefixes = "KMGTPEZY";
  double unit = base * base;
  size_t i = 0;
  while (bytes >= unit && i + 1 < kPrefixes.size()) {
    unit *= base;
    ++i;
  }
  const char prefix = kPrefixes[i] == 'K' && !binary ? 'k' : kPrefixes[i];
  return Value::String(
      Format("%.1f %c%sB", base * bytes / unit, prefix, binary ? "i" : ""));
}

// ---- numbers

// Python's int(text, base); false if it is none.
bool ParseInt(std::string_view text, int64_t base, Value* out) {
  const TextSpan kept = StripRange(text, nullptr, true, true);
  text = text.substr(kept.begin, kept.end - kept.begin);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.size() > 2 && text[0] == '0') {
    const char c = static_cast<char>(text[1] | 0x20);
    const int64_t named = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
    if (named && (base == named || base == 0)) {
      base = named;
      text.remove_prefix(2);
    }
  }
  if (base == 0) base = 10;
  if (base < 2 || base > 36 || text.empty() || text.size() > 4300) return false;
  BigInt number;
  const BigInt factor = BigInt::From(base);
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '_' && i > 0 && text[i - 1] != '_' && i + 1 < text.size()) {
      continue;
    }
    const int digit = c >= '0' && c <= '9' ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'z'
                          ? (c | 0x20) - 'a' + 10
                          : 99;
    if (digit >= base) return false;
    number = Add(Multiply(number, factor), BigInt::From(digit));
  }
  *out = ValueOf(negative ? Negate(std::move(number)) : std::move(number));
  return true;
}

// Python's float(text).
bool ParseFloat(std::string_view text, double* out) {
  const TextSpan kept = StripRange(text, nullptr, true, true);
  std::string number(text.substr(kept.begin, kept.end - kept.begin));
  std::string lower;
  for (char c : number) {
    lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  }
  const size_t sign = !lower.empty() && (lower[0] == '-' || lower[0] == '+');
  const std::string word = lower.substr(sign);
  if (word == "inf" || word == "infinity" || word == "nan") {
    *out = word == "nan" ? std::nan("") : HUGE_VAL;
    if (lower[0] == '-') *out = -*out;
    return true;
  }
  if (number.empty() ||
      number.find_first_not_of("+-.0123456789eE_") != number.npos) {
    return false;
  }
  number.erase(std::remove(number.begin(), number.end(), '_'), number.end());
  char* end = nullptr;
  *out = std::strtod(number.c_str(), &end);
  return end == number.c_str() + number.size();
}

// int(d); false for what int() refuses.
bool FloatToInt(double d, Value* out) {
  if (!std::isfinite(d)) return false;
  d = std::trunc(d);
  if (std::fabs(d) < 9e18) {
    *out = Value::Int(static_cast<int64_t>(d));
    return true;
  }
  return ParseInt(Format("%.0f", d), 10, out);
}

Value Int(Call& call) {
  const Value fallback = call.Has(0) ? call[0] : Value::Int(0);
  const Value& v = call.self;
  Value out;
  double d = 0;
  if (v.IsUndefined()) return call.rt.FailUndefined(v);
  if (v.IsIntegral()) return Value::Int(v.AsInt());
  if (v.IsFloat()) return FloatToInt(v.AsFloat(), &out) ? out : fallback;
  if (v.IsNumber()) return v;
  if (!v.IsString()) return fallback;
  const int64_t base = call.Int(1, 10);
  if (call.rt.failed() || !call.rt.Step(v.Text().size())) return {};
  if (ParseInt(v.Text(), base, &out)) return out;
  return ParseFloat(v.Text(), &d) && FloatToInt(d, &out) ? out : fallback;
}

Value Float(Call& call) {
  const Value& v = call.self;
  double d = 0;
  if (v.IsUndefined()) return call.rt.FailUndefined(v);
  if (v.IsFloat()) return v;
  if (v.IsIntegral()) return Value::Float(static_cast<double>(v.AsInt()));
  if (v.IsNumber()) return Value::Float(BigIntOf(v).ToDouble());
  if (v.IsString() && ParseFloat(v.Text(), &d)) return Value::Float(d);
  return call.Has(0) ? call[0] : Value::Float(0);
}

Value Abs(Call& call) {
  const Value& v = call.self;
  if (v.IsFloat()) return Value::Float(std::fabs(v.AsFloat()));
  if (v.IsNumber()) {
    BigInt number = BigIntOf(v);
    number.negative = false;
    return ValueOf(std::move(number));
  }
  if (v.IsUndefined()) return call.rt.FailUndefined(v);
  return call.rt.TypeError(
      Format("bad operand type for abs(): '%s'", TypeName(v)));
}

// Half to even on the decimal value, as Python's round does: printf rounds the
// exact binary value.
double RoundTo(double d, int64_t digits) {
  if (!std::isfinite(d)) return d;
  if (digits >= 0) {
    const int places = static_cast<int>(std::min<int64_t>(digits, 350));
    return std::strtod(Format("%.*f", places, d).c_str(), nullptr);
  }
  if (digits < -308) return std::copysign(0.0, d);
  const double power = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(d / power) * power;
}

Value Round(Call& call) {
  const Value& v = call.self;
  const int64_t digits = call.Int(0, 0);
  const std::string method(call.Has(1) && call[1].IsString() ? call[1].Text()
                                                             : "common");
  if (call.rt.failed()) return {};
  if (v.IsUndefined()) return call.rt.FailUndefined(v);
  if (method != "common" && method != "ceil" && method != "floor") {
    return call.rt.Fail("FilterArgumentError",
                        "method must be common, ceil or floor");
  }
  if (!v.IsNumber()) {
    return call.rt.TypeError(
        Format("type %s doesn't define __round__ method", TypeName(v)));
  }
  if (method == "common") {
    if (v.IsFloat()) return Value::Float(RoundTo(v.AsFloat(), digits));
    if (digits >= 0 || !v.IsIntegral()) {
      return v.IsBool() ? Value::Int(v.AsInt()) : v;
    }
    return Value::Int(
        static_cast<int64_t>(RoundTo(static_cast<double>(v.AsInt()), digits)));
  }
  const double d = v.IsFloat() ? v.AsFloat() : BigIntOf(v).ToDouble();
  const double power = std::pow(10.0, static_cast<double>(digits));
  const double scaled = d * power;
  return Value::Float(
      (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / power);
}

// ---- JSON

Value ToJson(Call& call) {
  JsonOptions options;
  options.ensure_ascii = call.Bool(0, false);
  options.sort_keys = call.Bool(3, false);
  if (call.Has(1, /*none_is_absent=*/true)) {
    options.has_indent = true;
    options.item_separator = ",";
    if (call[1].IsString()) {
      options.indent = call[1].Text();
    } else {
      const int64_t width = call.Int(1, 0);
      if (width > 1000) return call.rt.Fail("limit", "tojson: indent too wide");
      options.indent.assign(static_cast<size_t>(std::max<int64_t>(width, 0)),
                            ' ');
    }
  }
  if (call.Has(2, /*none_is_absent=*/true)) {
    std::vector<Value> pair;
    if (!Iterate(call.rt, call[2], &pair)) return {};
    if (pair.size() != 2 || !pair[0].IsString() || !pair[1].IsString()) {
      return call.rt.Fail("ValueError",
                          "tojson: separators must be two strings");
    }
    options.item_separator = pair[0].Text();
    options.key_separator = pair[1].Text();
  }
  if (call.rt.failed()) return {};
  StringBuilder out;
  if (!AppendJson(call.rt, call.self, options, &out)) return {};
  return call.rt.String(out.Take());
}

Value FromJson(Call& call) {
  if (!call.self.IsString()) {
    return call.rt.TypeError(
        Format("the JSON object must be str, not %s", TypeName(call.self)));
  }
  return ParseJson(call.rt, call.self.AsString());
}

constexpr Builtin kTextFilters[] = {
    {"abs", "", Abs},
    {"capitalize", "", Capitalize},
    {"center", "width?", Center},
    {"e", "", EscapeFilter},
    {"escape", "", EscapeFilter},
    {"filesizeformat", "binary?", FileSizeFormat},
    {"float", "default?", Float},
    {"forceescape", "", ForceEscape},
    {"format", "*", FormatFilter},
    {"indent", "width? first? blank?", Indent},
    {"int", "default? base?", Int},
    {"lower", "", Lower},
    {"replace", "old new count?", Replace},
    {"round", "precision? method?", Round},
    {"safe", "", Safe},
    {"string", "", String},
    {"striptags", "", StripTags},
    {"title", "", Title},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", ToJson},
    {"trim", "chars?", Trim},
    {"truncate", "length? killwords? end? leeway?", Truncate},
    {"upper", "", Upper},
    {"urlencode", "", UrlEncode},
    {"wordcount", "", WordCount},
    {"xmlattr", "autospace?", XmlAttr},
};

constexpr Builtin kFromJson = {"from_json", "", FromJson};

}  // namespace

Value Escape(Runtime& rt, const Value& value) {
  if (value.IsString() && value.AsString().markup) return value;
  const Value text = Str(rt, value);
  if (rt.failed()) return {};
  const StringObject& s = text.AsString();
  StringBuilder out;
  size_t plain = 0;
  for (size_t i = 0; i < s.text.size(); ++i) {
    const char* escaped = nullptr;
    switch (s.text[i]) {
      case '&':
        escaped = "&amp;";
        break;
      case '<':
        escaped = "&lt;";
        break;
      case '>':
        escaped = "&gt;";
        break;
      case '\'':
        escaped = "&#39;";
        break;
      case '"':
        escaped = "&#34;";
        break;
      default:
        continue;
    }
    out.Append(s, plain, i);
    out.Append(escaped, IsMarked(s, i, i + 1));
    plain = i + 1;
  }
  out.Append(s, plain, s.text.size());
  return rt.String(out.Take(/*markup=*/true));
}

const Builtin* FindFilter(std::string_view name, bool extended) {
  if (extended && name == kFromJson.name) return &kFromJson;
  const Builtin* found = FindIn(kTextFilters, name);
  return found ? found : FindSequenceFilter(name);
}

}  // namespace slm::jinja
