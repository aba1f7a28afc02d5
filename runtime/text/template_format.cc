// SPDX-License-Identifier: MIT
// "%s" % x and "{}".format(x).
#include "runtime/text/template_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "runtime/core/utf8.h"
#include "runtime/text/bigint.h"
#include "runtime/text/template_ops.h"
#include "runtime/text/template_print.h"
#include "runtime/text/template_strings.h"

namespace slm::jinja {
namespace {

constexpr int kMaxPrecision = 400;
constexpr int64_t kMaxWidth = 1 << 20;

// What stands between the colon and the brace, or after '%'.
struct Spec {
  std::string fill = " ";
  char align = 0;  // '<', '>', '^', '=' or none
  char sign = '-';
  bool alternate = false, zero = false;
  char group = 0;
  int64_t width = 0;
  int precision = -1;
  char type = 0;
};

bool IsDigitChar(char c) { return c >= '0' && c <= '9'; }

// Reads digits at *at; false if the number is over `limit`.
bool ReadNumber(std::string_view text, size_t* at, int64_t limit,
                int64_t* out) {
  *out = 0;
  for (; *at < text.size() && IsDigitChar(text[*at]); ++*at) {
    *out = *out * 10 + (text[*at] - '0');
    if (*out > limit) return false;
  }
  return true;
}

bool AsDouble(const Value& value, double* out) {
  if (!value.IsNumber()) return false;
  *out = value.IsFloat()      ? value.AsFloat()
         : value.IsIntegral() ? static_cast<double>(value.AsInt())
                              : value.As<BigIntObject>()->number.ToDouble();
  return true;
}

// Digits of |number| in a base of 2, 8 or 16.
std::string InBase(uint64_t number, unsigned base, bool upper) {
  char buffer[65];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), number, base).ptr;
  std::string text(buffer, end);
  if (upper) {
    for (char& c : text) c = c >= 'a' && c <= 'f' ? c - 'a' + 'A' : c;
  }
  return text;
}

// |number| with an e, f, g or % type (their capitals, too).
std::string FloatDigits(double number, const Spec& spec) {
  const double d = std::fabs(number);
  const bool upper = spec.type >= 'A' && spec.type <= 'Z';
  if (std::isnan(number)) return upper ? "NAN" : "nan";
  if (std::isinf(number)) return upper ? "INF" : "inf";
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  switch (spec.type) {
    case 'e':
      return Format("%.*e", precision, d);
    case 'E':
      return Format("%.*E", precision, d);
    case '%':
      return Format("%.*f%%", precision, d * 100);
    case 'g':
    case 'G': {
      const int digits = precision == 0 ? 1 : precision;
      if (spec.alternate) return Format("%#.*g", digits, d);
      return spec.type == 'g' ? Format("%.*g", digits, d)
                              : Format("%.*G", digits, d);
    }
    default:
      return Format("%.*f", precision, d);
  }
}

// Puts ',' or '_' between groups of three digits of the integer part.
std::string Grouped(const std::string& digits, char group) {
  size_t end = 0;
  while (end < digits.size() && IsDigitChar(digits[end])) ++end;
  std::string out;
  for (size_t i = 0; i < end; ++i) {
    if (i && (end - i) % 3 == 0) out += group;
    out += digits[i];
  }
  return out + digits.substr(end);
}

bool CheckLimits(Runtime& rt, const Spec& spec) {
  if (spec.width <= kMaxWidth && spec.precision <= kMaxPrecision) return true;
  rt.Fail("limit", "a width or precision of a format is too large");
  return false;
}

// Sign, prefix and digits with the padding of the spec.
void AppendNumber(const Spec& spec, bool negative, const std::string& prefix,
                  const std::string& digits, StringBuilder* out) {
  std::string head;
  if (negative) {
    head = "-";
  } else if (spec.sign != '-') {
    head = spec.sign;
  }
  head += prefix;
  const size_t size = head.size() + CountChars(digits);
  const size_t width = static_cast<size_t>(spec.width);
  const size_t pad = width > size ? width - size : 0;
  const char align = spec.align ? spec.align : spec.zero ? '=' : '>';
  const std::string fill = spec.zero && !spec.align ? "0" : spec.fill;
  size_t left = align == '<' ? 0 : align == '^' ? pad / 2 : pad;
  if (align == '=') {
    out->Append(head);
    for (size_t i = 0; i < pad; ++i) out->Append(fill);
    out->Append(digits);
    return;
  }
  for (size_t i = 0; i < left; ++i) out->Append(fill);
  out->Append(head + digits);
  for (size_t i = left; i < pad; ++i) out->Append(fill);
}

bool AppendText(Runtime& rt, const Spec& spec, const StringObject& text,
                char default_align, StringBuilder* out) {
  const StringObject* source = &text;
  Value cut;
  if (spec.precision >= 0) {
    cut = Substring(text, 0,
                    ByteOfChar(text.text, static_cast<size_t>(spec.precision)));
    source = &cut.AsString();
  }
  const Value padded = Pad(rt, *source, spec.width, spec.fill,
                           spec.align ? spec.align : default_align);
  if (rt.failed()) return false;
  out->Append(padded.AsString());
  return true;
}

// An integer in the spec's base, without its sign.
std::string IntDigits(const Value& value, const Spec& spec,
                      std::string* prefix) {
  const BigInt number = BigIntOf(value);
  const unsigned base = spec.type == 'b'                       ? 2
                        : spec.type == 'o'                     ? 8
                        : spec.type == 'x' || spec.type == 'X' ? 16
                                                               : 10;
  std::string digits = number.ToString();
  if (digits[0] == '-') digits.erase(0, 1);
  if (base != 10 && value.IsIntegral()) {
    const int64_t i = value.AsInt();
    const uint64_t magnitude =
        i < 0 ? 0 - static_cast<uint64_t>(i) : static_cast<uint64_t>(i);
    digits = InBase(magnitude, base, spec.type == 'X');
    if (spec.alternate) *prefix = std::string("0") + spec.type;
  }
  return spec.group ? Grouped(digits, spec.group) : digits;
}

// ---- %

class PercentFormatter {
 public:
  PercentFormatter(Runtime& rt, const StringObject& format, const Value& args)
      : rt_(rt), source_(format), format_(format.text), args_(args) {}

  Value Run() {
    while (at_ < format_.size() && !rt_.failed()) {
      const size_t percent = std::min(format_.find('%', at_), format_.size());
      out_.Append(source_, at_, percent);
      at_ = percent + 1;
      if (percent < format_.size()) One();
    }
    const bool unused = args_.IsTuple()
                            ? used_ < args_.AsList().items.size()
                            : !used_ && !args_.IsDict() && !args_.IsList() &&
                                  !args_.IsUndefined() &&
                                  args_.type() != Value::Type::kRange;
    if (!rt_.failed() && unused) {
      return rt_.TypeError(
          "not all arguments converted during string formatting");
    }
    if (rt_.failed()) return {};
    return rt_.String(out_.Take(source_.markup));
  }

 private:
  char Peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  Value NextArgument() {
    if (std::exchange(has_mapped_, false)) return mapped_;
    if (!args_.IsTuple()) {
      if (used_++)
        return rt_.TypeError("not enough arguments for format string");
      return args_;
    }
    const std::vector<Value>& items = args_.AsList().items;
    if (used_ >= items.size()) {
      return rt_.TypeError("not enough arguments for format string");
    }
    return items[used_++];
  }
  void Key() {
    const size_t end = format_.find(')', at_);
    if (!args_.IsDict()) {
      rt_.TypeError("format requires a mapping");
    } else if (end == format_.npos) {
      rt_.Fail("ValueError", "incomplete format key");
    } else {
      const std::string key(format_.substr(at_, end - at_));
      const Value* found = args_.AsDict().Find(key);
      if (!found) {
        rt_.Fail("KeyError", "'" + key + "'");
        return;
      }
      mapped_ = *found;
      has_mapped_ = true;
      ++used_;
      at_ = end + 1;
    }
  }
  void Width(int64_t* out, int64_t limit) {
    if (Peek() == '*') {
      ++at_;
      const Value value = NextArgument();
      if (!value.IsIntegral()) {
        rt_.TypeError("* wants int");
        return;
      }
      *out = value.AsInt();
    } else if (!ReadNumber(format_, &at_, limit, out)) {
      rt_.Fail("limit", "a width or precision of a format is too large");
    }
  }
  void Flags(Spec* spec) {
    for (;; ++at_) {
      switch (Peek()) {
        case '-':
          spec->align = '<';
          break;
        case '+':
          spec->sign = '+';
          break;
        case ' ':
          if (spec->sign != '+') spec->sign = ' ';
          break;
        case '#':
          spec->alternate = true;
          break;
        case '0':
          spec->zero = true;
          break;
        default:
          return;
      }
    }
  }
  void One() {
    Spec spec;
    if (Peek() == '(') {
      ++at_;
      Key();
    }
    Flags(&spec);
    Width(&spec.width, kMaxWidth);
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = spec.width == INT64_MIN ? 0 : -spec.width;
    }
    if (Peek() == '.') {
      ++at_;
      int64_t precision = 0;
      Width(&precision, kMaxPrecision);
      spec.precision = static_cast<int>(
          std::clamp<int64_t>(precision, 0, kMaxPrecision + 1));
    }
    while (Peek() == 'l' || Peek() == 'h' || Peek() == 'L') ++at_;
    if (rt_.failed() || !CheckLimits(rt_, spec)) return;
    if (at_ >= format_.size()) {
      rt_.Fail("ValueError", "incomplete format");
      return;
    }
    spec.type = format_[at_++];
    if (spec.type == '%') {
      out_.Append("%");
      return;
    }
    Convert(spec, NextArgument());
  }
  void Convert(Spec spec, const Value& value) {
    if (rt_.failed()) return;
    switch (spec.type) {
      case 's':
        AppendText(rt_, spec,
                   source_.markup ? Escape(rt_, value).AsString()
                                  : Str(rt_, value).AsString(),
                   '>', &out_);
        return;
      case 'r':
      case 'a': {
        StringBuilder repr;
        AppendRepr(rt_, value, &repr);
        AppendText(rt_, spec, repr.Take().AsString(), '>', &out_);
        return;
      }
      case 'c':
        if (value.IsString() && CountChars(value.Text()) == 1) {
          AppendText(rt_, spec, value.AsString(), '>', &out_);
        } else {
          rt_.TypeError("%c requires int or char");
        }
        return;
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        Integer(spec, value);
        return;
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G': {
        double d = 0;
        if (value.IsUndefined()) {
          rt_.FailUndefined(value);
        } else if (!AsDouble(value, &d)) {
          rt_.TypeError(Format("must be real number, not %s", TypeName(value)));
        } else {
          AppendNumber(spec, std::signbit(d), "", FloatDigits(d, spec), &out_);
        }
        return;
      }
      default:
        rt_.Fail("ValueError", std::string("unsupported format character '") +
                                   spec.type + "'");
    }
  }
  void Integer(const Spec& spec, const Value& value) {
    Value integer = value;
    const bool decimal =
        spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (value.IsFloat() && decimal && std::fabs(value.AsFloat()) < 9e18) {
      integer = Value::Int(static_cast<int64_t>(value.AsFloat()));
    }
    if (!integer.IsNumber() || integer.IsFloat()) {
      rt_.TypeError(Format("%%%c format: a real number is required, not %s",
                           spec.type, TypeName(value)));
      return;
    }
    std::string prefix;
    std::string digits = IntDigits(integer, spec, &prefix);
    const size_t least = static_cast<size_t>(std::max(spec.precision, 0));
    if (digits.size() < least) digits.insert(0, least - digits.size(), '0');
    AppendNumber(spec, BigIntOf(integer).negative, prefix, digits, &out_);
  }

  Runtime& rt_;
  const StringObject& source_;
  std::string_view format_;
  const Value& args_;
  StringBuilder out_;
  size_t at_ = 0;
  size_t used_ = 0;
  Value mapped_;
  bool has_mapped_ = false;
};

// ---- {}

bool ParseSpec(Runtime& rt, std::string_view text, Spec* spec) {
  size_t at = 0;
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  const auto is_align = [](char c) {
    return c == '<' || c == '>' || c == '^' || c == '=';
  };
  if (!text.empty()) {
    const size_t size = DecodeUtf8(text).size;
    if (size < text.size() && is_align(text[size])) {
      spec->fill = text.substr(0, size);
      spec->align = text[size];
      at = size + 1;
    } else if (is_align(text[0])) {
      spec->align = text[at++];
    }
  }
  if (peek() == '+' || peek() == '-' || peek() == ' ') spec->sign = text[at++];
  if (peek() == '#') {
    spec->alternate = true;
    ++at;
  }
  if (peek() == '0') {
    spec->zero = true;
    ++at;
  }
  int64_t precision = -1;
  bool ok = ReadNumber(text, &at, kMaxWidth, &spec->width);
  if (peek() == ',' || peek() == '_') spec->group = text[at++];
  if (ok && peek() == '.') {
    ++at;
    ok = ReadNumber(text, &at, kMaxPrecision, &precision);
    spec->precision = static_cast<int>(precision);
  }
  if (!ok) {
    rt.Fail("limit", "a width or precision of a format is too large");
    return false;
  }
  if (at < text.size()) spec->type = text[at++];
  if (at < text.size()) {
    rt.Fail("ValueError", "Invalid format specifier");
    return false;
  }
  return true;
}

bool UnknownType(Runtime& rt, char type, const Value& value) {
  rt.Fail("ValueError",
          Format("Unknown format code '%c' for object of type '%s'", type,
                 TypeName(value)));
  return false;
}

bool FormatFloat(Runtime& rt, Spec spec, const Value& value,
                 StringBuilder* out) {
  double d = 0;
  AsDouble(value, &d);
  std::string digits;
  if (spec.type == 0 && spec.precision < 0) {
    digits = FloatRepr(std::fabs(d));
  } else {
    if (spec.type == 0 || spec.type == 'n') spec.type = 'g';
    if (std::string_view("eEfFgG%").find(spec.type) == std::string_view::npos) {
      return UnknownType(rt, spec.type, value);
    }
    digits = FloatDigits(d, spec);
  }
  if (spec.group) digits = Grouped(digits, spec.group);
  AppendNumber(spec, std::signbit(d), "", digits, out);
  return true;
}

// format(value, text).
bool FormatOne(Runtime& rt, const Value& value, std::string_view text,
               StringBuilder* out) {
  if (text.empty()) return AppendStr(rt, value, out);
  Spec spec;
  if (!ParseSpec(rt, text, &spec)) return false;
  if (value.IsString()) {
    if (spec.type && spec.type != 's') return UnknownType(rt, spec.type, value);
    if (spec.zero && !spec.align) spec.fill = "0";
    return AppendText(rt, spec, value.AsString(), '<', out);
  }
  if (value.IsFloat()) return FormatFloat(rt, spec, value, out);
  if (value.IsNumber()) {
    if (spec.type &&
        std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos) {
      return FormatFloat(rt, spec, value, out);
    }
    if (spec.type &&
        std::string_view("bdnoxX").find(spec.type) == std::string_view::npos) {
      return UnknownType(rt, spec.type, value);
    }
    std::string prefix;
    const std::string digits = IntDigits(value, spec, &prefix);
    AppendNumber(spec, BigIntOf(value).negative, prefix, digits, out);
    return true;
  }
  rt.TypeError(Format("unsupported format string passed to %s.__format__",
                      TypeName(value)));
  return false;
}

class BraceFormatter {
 public:
  BraceFormatter(Runtime& rt, const std::vector<Value>& args,
                 const Keywords& keywords)
      : rt_(rt), args_(args), keywords_(keywords) {}

  // Fields in a spec may hold fields, which may not.
  bool Run(const StringObject& source, int depth, StringBuilder* out) {
    const std::string_view text = source.text;
    if (depth > 2) return Fail("Max string recursion exceeded");
    for (size_t at = 0; at < text.size();) {
      const size_t brace = std::min(text.find_first_of("{}", at), text.size());
      out->Append(source, at, brace);
      if (brace == text.size()) break;
      const bool doubled =
          brace + 1 < text.size() && text[brace + 1] == text[brace];
      if (doubled) {
        out->Append(source, brace, brace + 1);
        at = brace + 2;
        continue;
      }
      if (text[brace] == '}') {
        return Fail("Single '}' encountered in format string");
      }
      size_t end = brace + 1;
      for (int open = 1; end < text.size(); ++end) {
        open += text[end] == '{' ? 1 : text[end] == '}' ? -1 : 0;
        if (open == 0) break;
      }
      if (end == text.size()) {
        return Fail("expected '}' before end of string");
      }
      if (!Field(text.substr(brace + 1, end - brace - 1), depth, out)) {
        return false;
      }
      at = end + 1;
    }
    return !rt_.failed();
  }

 private:
  bool Fail(const char* what) {
    rt_.Fail("ValueError", what);
    return false;
  }
  bool Field(std::string_view field, int depth, StringBuilder* out) {
    size_t end = 0;
    for (bool in_item = false; end < field.size(); ++end) {
      if (field[end] == '[') in_item = true;
      if (field[end] == ']') in_item = false;
      if (!in_item && (field[end] == '!' || field[end] == ':')) break;
    }
    Value value = Lookup(field.substr(0, end));
    if (rt_.failed()) return false;
    if (end < field.size() && field[end] == '!') {
      const char conversion = end + 1 < field.size() ? field[end + 1] : '\0';
      if (conversion == 'r' || conversion == 'a') {
        StringBuilder repr;
        AppendRepr(rt_, value, &repr);
        value = repr.Take();
      } else if (conversion == 's') {
        value = Str(rt_, value);
      } else {
        return Fail("unknown conversion in format string");
      }
      end += 2;
      if (end < field.size() && field[end] != ':') {
        return Fail("expected ':' after conversion specifier");
      }
    }
    if (rt_.failed()) return false;
    const std::string spec(end < field.size() ? field.substr(end + 1) : "");
    if (spec.find('{') == spec.npos) return FormatOne(rt_, value, spec, out);
    StringBuilder expanded;
    const Value inner = Value::String(spec);
    return Run(inner.AsString(), depth + 1, &expanded) &&
           FormatOne(rt_, value, expanded.text(), out);
  }
  // "0.name[key]"
  Value Lookup(std::string_view path) {
    size_t end = std::min(path.find_first_of(".["), path.size());
    Value value = First(path.substr(0, end));
    while (end < path.size() && !rt_.failed()) {
      if (path[end] == '.') {
        const size_t next =
            std::min(path.find_first_of(".[", end + 1), path.size());
        value = GetAttribute(rt_, value, path.substr(end + 1, next - end - 1));
        end = next;
        continue;
      }
      const size_t close = path.find(']', end);
      if (path[end] != '[' || close == path.npos) {
        Fail("invalid field name in format string");
        return {};
      }
      const std::string_view key = path.substr(end + 1, close - end - 1);
      int64_t index = 0;
      const bool is_index = IsIndex(key, &index);
      value = GetItem(
          rt_, value,
          is_index ? Value::Int(index) : Value::String(std::string(key)));
      end = close + 1;
    }
    return value;
  }
  static bool IsIndex(std::string_view text, int64_t* out) {
    size_t at = 0;
    return !text.empty() && ReadNumber(text, &at, INT32_MAX, out) &&
           at == text.size();
  }
  Value First(std::string_view name) {
    int64_t index = 0;
    if (name.empty() || IsIndex(name, &index)) {
      if (name.empty() ? manual_ : next_ > 0) {
        Fail("cannot mix manual field specification and automatic numbering");
        return {};
      }
      if (name.empty()) {
        index = next_++;
      } else {
        manual_ = true;
      }
      if (static_cast<size_t>(index) < args_.size()) {
        return args_[static_cast<size_t>(index)];
      }
      return rt_.Fail("IndexError",
                      "Replacement index out of range for positional args");
    }
    for (const auto& [key, value] : keywords_) {
      if (key == name) return value;
    }
    return rt_.Fail("KeyError", "'" + std::string(name) + "'");
  }

  Runtime& rt_;
  const std::vector<Value>& args_;
  const Keywords& keywords_;
  int64_t next_ = 0;
  bool manual_ = false;
};

}  // namespace

Value Pad(Runtime& rt, const StringObject& text, int64_t width,
          std::string_view fill, char align) {
  const size_t size = CountChars(text.text);
  const size_t wanted = width > 0 ? static_cast<size_t>(width) : 0;
  const size_t pad = wanted > size ? wanted - size : 0;
  if (pad > static_cast<size_t>(kMaxWidth)) {
    return rt.Fail("limit", "the width of a padded string is too large");
  }
  // str.center puts the odd one left if the width is odd.
  const size_t left = align == '<'   ? 0
                      : align == '>' ? pad
                      : align == 'c' ? pad / 2 + (pad & wanted & 1)
                                     : pad / 2;
  StringBuilder out;
  for (size_t i = 0; i < left; ++i) out.Append(fill);
  out.Append(text);
  for (size_t i = left; i < pad; ++i) out.Append(fill);
  return rt.String(out.Take(text.markup));
}

Value PercentFormat(Runtime& rt, const StringObject& format,
                    const Value& args) {
  return PercentFormatter(rt, format, args).Run();
}

Value BraceFormat(Runtime& rt, const StringObject& format,
                  const std::vector<Value>& args, const Keywords& keywords) {
  if (format.markup) {
    return rt.Fail("unsupported", "format() of escaped text is not supported");
  }
  StringBuilder out;
  if (!BraceFormatter(rt, args, keywords).Run(format, 0, &out)) return {};
  return rt.String(out.Take());
}

}  // namespace slm::jinja
