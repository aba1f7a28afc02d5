// SPDX-License-Identifier: MIT
#include "runtime/text/template_print.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "runtime/core/utf8.h"
#include "runtime/text/bigint.h"
#include "runtime/text/template_builtins.h"
#include "runtime/text/template_eval.h"
#include "runtime/text/template_ops.h"

namespace slm::jinja {
namespace {

using Type = Value::Type;

// Each level is a frame on the stack; a namespace may print itself for ever.
constexpr int kMaxPrintDepth = 600;

void AppendStringRepr(const StringObject& s, StringBuilder* out) {
  const bool has_single = s.text.find('\'') != s.text.npos;
  const char quote = has_single && s.text.find('"') == s.text.npos ? '"' : '\'';
  if (s.markup) out->Append("Markup(");
  out->Append({&quote, 1});
  const std::string_view text = s.text;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(i));
    std::string escaped;
    if (c.code == static_cast<unsigned char>(quote) || c.code == '\\') {
      escaped = {'\\', static_cast<char>(c.code)};
    } else if (c.code == '\n') {
      escaped = "\\n";
    } else if (c.code == '\r') {
      escaped = "\\r";
    } else if (c.code == '\t') {
      escaped = "\\t";
    } else if (!IsPrintable(c.code)) {
      escaped = c.code < 0x100     ? Format("\\x%02x", c.code)
                : c.code < 0x10000 ? Format("\\u%04x", c.code)
                                   : Format("\\U%08x", c.code);
    }
    if (escaped.empty()) {
      out->Append(s, i, i + c.size);
    } else {
      out->Append(escaped, IsMarked(s, i, i + c.size));
    }
    i += c.size;
  }
  out->Append({&quote, 1});
  if (s.markup) out->Append(")");
}

class Printer {
 public:
  Printer(Runtime& rt, StringBuilder* out) : rt_(rt), out_(out) {}

  bool Repr(const Value& value) {
    if (!rt_.Step() || out_->size() > rt_.limits().max_output_bytes) {
      rt_.Fail("limit", "a printed value is longer than the output may be");
      return false;
    }
    if (++depth_ > kMaxPrintDepth) {
      rt_.Fail("RecursionError", "a printed value nests too deeply");
      return false;
    }
    const bool ok = Any(value);
    --depth_;
    return ok;
  }

 private:
  bool Any(const Value& value) {
    switch (value.type()) {
      case Type::kUndefined:
        return Text("Undefined");
      case Type::kNone:
        return Text("None");
      case Type::kBool:
        return Text(value.AsBool() ? "True" : "False");
      case Type::kInt:
        return Text(Format("%lld", static_cast<long long>(value.AsInt())));
      case Type::kFloat:
        return Text(FloatRepr(value.AsFloat()));
      case Type::kBigInt:
        return Text(value.As<BigIntObject>()->number.ToString());
      case Type::kString:
        AppendStringRepr(value.AsString(), out_);
        return true;
      case Type::kList:
        return Items(value, "[", "]");
      case Type::kTuple:
        return Items(value, "(", value.AsList().items.size() == 1 ? ",)" : ")");
      case Type::kView:
        return Text(value.AsList().name) && Items(value, "([", "])");
      case Type::kIterator:
        return Text(Format("<%s object>", value.AsList().name));
      case Type::kDict:
        return Dict(value.AsDict());
      case Type::kRange:
        return Range(*value.As<RangeObject>());
      case Type::kNamespace:
        return Namespace(*value.As<NamespaceObject>());
      case Type::kMacro:
        return Text("<Macro '" + value.As<MacroObject>()->name() + "'>");
      case Type::kLoop:
        return Loop(*value.As<LoopObject>());
      case Type::kCallable:
        return Text(
            Format("<function %s>", value.As<CallableObject>()->builtin->name));
    }
    return true;
  }
  bool Text(std::string_view text) {
    out_->Append(text);
    return true;
  }
  bool Items(const Value& value, const char* open, const char* close) {
    out_->Append(open);
    bool first = true;
    for (const Value& item : value.AsList().items) {
      if (!first) out_->Append(", ");
      first = false;
      if (!Repr(item)) return false;
    }
    return Text(close);
  }
  bool Dict(const DictObject& dict) {
    out_->Append("{");
    bool first = true;
    for (const auto& [key, value] : dict.members) {
      if (!first) out_->Append(", ");
      first = false;
      if (!Repr(key)) return false;
      out_->Append(": ");
      if (!Repr(value)) return false;
    }
    return Text("}");
  }
  bool Namespace(const NamespaceObject& names) {
    out_->Append("<Namespace {");
    bool first = true;
    for (const auto& [key, value] : names.members) {
      if (!first) out_->Append(", ");
      first = false;
      if (!Repr(Value::String(key))) return false;
      out_->Append(": ");
      if (!Repr(value)) return false;
    }
    return Text("}>");
  }
  bool Range(const RangeObject& r) {
    std::string text =
        Format("range(%lld, %lld", static_cast<long long>(r.start),
               static_cast<long long>(r.stop));
    if (r.step != 1) text += Format(", %lld", static_cast<long long>(r.step));
    return Text(text + ")");
  }
  bool Loop(const LoopObject& loop) {
    return Text(
        Format("<LoopContext %zu/%zu>", loop.index0 + 1, loop.items.size()));
  }

  Runtime& rt_;
  StringBuilder* out_;
  int depth_ = 0;
};

// ---- json.dumps

void AppendJsonText(const StringObject& s, bool ascii, StringBuilder* out) {
  const std::string_view text = s.text;
  out->Append("\"");
  size_t plain = 0;  // begin of what needs no escape
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(i));
    std::string escaped;
    constexpr std::string_view kFrom = "\"\\\n\r\t\b\f", kTo = "\"\\nrtbf";
    const size_t known =
        c.code < 0x80 ? kFrom.find(static_cast<char>(c.code)) : kFrom.npos;
    if (known != kFrom.npos) {
      escaped = {'\\', kTo[known]};
    } else if (c.code < 0x20 || (ascii && c.code >= 0x7F && c.code < 0x10000)) {
      escaped = Format("\\u%04x", c.code);
    } else if (ascii && c.code >= 0x10000) {
      const uint32_t rest = c.code - 0x10000;
      escaped = Format("\\u%04x\\u%04x", 0xD800 + (rest >> 10),
                       0xDC00 + (rest & 0x3FF));
    }
    if (!escaped.empty()) {
      out->Append(s, plain, i);
      out->Append(escaped, IsMarked(s, i, i + c.size));
      plain = i + c.size;
    }
    i += c.size;
  }
  out->Append(s, plain, text.size());
  out->Append("\"");
}

class JsonPrinter {
 public:
  JsonPrinter(Runtime& rt, const JsonOptions& options, StringBuilder* out)
      : rt_(rt), options_(options), out_(out) {}

  bool Print(const Value& value, size_t level) {
    if (!rt_.Step() || out_->size() > rt_.limits().max_output_bytes) {
      rt_.Fail("limit", "a JSON text is longer than the output may be");
      return false;
    }
    switch (value.type()) {
      case Type::kNone:
        out_->Append("null");
        return true;
      case Type::kBool:
        out_->Append(value.AsBool() ? "true" : "false");
        return true;
      case Type::kFloat:
        out_->Append(Number(value.AsFloat()));
        return true;
      case Type::kInt:
      case Type::kBigInt:
        return AppendRepr(rt_, value, out_);
      case Type::kString:
        AppendJsonText(value.AsString(), options_.ensure_ascii, out_);
        return true;
      case Type::kList:
      case Type::kTuple:
        return Array(value.AsList().items, level);
      case Type::kDict:
        return Members(value.AsDict(), level);
      default:
        rt_.TypeError(std::string("Object of type ") + TypeName(value) +
                      " is not JSON serializable");
        return false;
    }
  }

 private:
  static std::string Number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return FloatRepr(d);
  }
  void NewLine(size_t level) {
    if (!options_.has_indent) return;
    out_->Append("\n");
    for (size_t i = 0; i < level; ++i) out_->Append(options_.indent);
  }
  bool Array(const std::vector<Value>& items, size_t level) {
    if (items.empty()) {
      out_->Append("[]");
      return true;
    }
    out_->Append("[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i) out_->Append(options_.item_separator);
      NewLine(level + 1);
      if (!Print(items[i], level + 1)) return false;
    }
    NewLine(level);
    out_->Append("]");
    return true;
  }
  bool Members(const DictObject& dict, size_t level) {
    if (dict.members.empty()) {
      out_->Append("{}");
      return true;
    }
    std::vector<size_t> order(dict.members.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (options_.sort_keys &&
        !SortBy(rt_, /*reverse=*/false, &order,
                [&](size_t i) { return dict.members[i].first; })) {
      return false;
    }
    out_->Append("{");
    for (size_t i = 0; i < order.size(); ++i) {
      if (i) out_->Append(options_.item_separator);
      NewLine(level + 1);
      if (!Key(dict.members[order[i]].first)) return false;
      out_->Append(options_.key_separator);
      if (!Print(dict.members[order[i]].second, level + 1)) return false;
    }
    NewLine(level);
    out_->Append("}");
    return true;
  }
  bool Key(const Value& key) {
    if (key.IsString()) return Print(key, 0);
    if (!key.IsNone() && !key.IsNumber()) {
      rt_.TypeError(std::string("keys must be str, int, float, bool or None, "
                                "not ") +
                    TypeName(key));
      return false;
    }
    out_->Append("\"");
    if (!Print(key, 0)) return false;
    out_->Append("\"");
    return true;
  }

  Runtime& rt_;
  const JsonOptions& options_;
  StringBuilder* out_;
};

// ---- json.loads

class JsonReader {
 public:
  JsonReader(Runtime& rt, const StringObject& text)
      : rt_(rt), source_(text), text_(text.text) {}

  Value Read() {
    Value value = Any(0);
    SkipSpace();
    if (!rt_.failed() && at_ < text_.size()) return Fail("Extra data");
    return value;
  }

 private:
  Value Fail(const char* what) {
    return rt_.Fail("JSONDecodeError",
                    Format("from_json: %s at byte %zu", what, at_));
  }
  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' ||
                                  text_[at_] == '\r' || text_[at_] == '\t')) {
      ++at_;
    }
  }
  bool Skip(std::string_view what) {
    if (text_.compare(at_, what.size(), what) != 0) return false;
    at_ += what.size();
    return true;
  }
  Value Any(uint32_t depth) {
    if (depth > kMaxValueDepth) return Fail("nested too deeply");
    if (!rt_.Step()) return {};
    SkipSpace();
    if (at_ == text_.size()) return Fail("Expecting value");
    if (Skip("{")) return Object(depth);
    if (Skip("[")) return Array(depth);
    if (text_[at_] == '"') return String();
    if (Skip("null")) return Value::None();
    if (Skip("true")) return Value::Bool(true);
    if (Skip("false")) return Value::Bool(false);
    if (Skip("NaN")) return Value::Float(std::nan(""));
    if (Skip("Infinity")) return Value::Float(HUGE_VAL);
    if (Skip("-Infinity")) return Value::Float(-HUGE_VAL);
    return Number();
  }
  Value Array(uint32_t depth) {
    std::vector<Value> items;
    SkipSpace();
    if (Skip("]")) return rt_.List(std::move(items));
    while (!rt_.failed()) {
      items.push_back(Any(depth + 1));
      SkipSpace();
      if (Skip("]")) return rt_.List(std::move(items));
      if (!Skip(",")) return Fail("Expecting ',' delimiter");
    }
    return {};
  }
  Value Object(uint32_t depth) {
    Ref<DictObject> dict(new DictObject);
    SkipSpace();
    if (Skip("}")) return rt_.Dict(std::move(dict));
    while (!rt_.failed()) {
      SkipSpace();
      if (at_ == text_.size() || text_[at_] != '"') {
        return Fail("Expecting property name enclosed in double quotes");
      }
      Value key = String();
      SkipSpace();
      if (!Skip(":")) return Fail("Expecting ':' delimiter");
      Value value = Any(depth + 1);
      if (rt_.failed()) return {};
      dict->Set(std::move(key), std::move(value));
      SkipSpace();
      if (Skip("}")) return rt_.Dict(std::move(dict));
      if (!Skip(",")) return Fail("Expecting ',' delimiter");
    }
    return {};
  }
  bool Hex(uint32_t* code) {
    if (at_ + 4 > text_.size()) return false;
    const char* begin = text_.data() + at_;
    if (std::from_chars(begin, begin + 4, *code, 16).ptr != begin + 4) {
      return false;
    }
    at_ += 4;
    return true;
  }
  bool Escape(StringBuilder* out, bool marked) {
    constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (at_ == text_.size()) return false;
    const char c = text_[at_++];
    if (const size_t i = kFrom.find(c); i != kFrom.npos) {
      out->Append(kTo.substr(i, 1), marked);
      return true;
    }
    uint32_t code = 0, low = 0;
    if (c != 'u' || !Hex(&code)) return false;
    if (code >= 0xD800 && code < 0xDC00) {
      if (!Skip("\\u") || !Hex(&low) || low < 0xDC00 || low > 0xDFFF) {
        return false;
      }
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      return false;
    }
    std::string text;
    AppendUtf8(code, &text);
    out->Append(text, marked);
    return true;
  }
  Value String() {
    StringBuilder out;
    ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return rt_.String(out.Take());
      }
      if (static_cast<unsigned char>(c) < 0x20) {
        return Fail("Invalid control character");
      }
      if (c == '\\') {
        const bool marked = IsMarked(source_, at_, at_ + 1);
        ++at_;
        if (!Escape(&out, marked)) return Fail("Invalid \\escape");
        continue;
      }
      out.Append(source_, at_, at_ + 1);
      ++at_;
    }
    return Fail("Unterminated string");
  }
  Value Number() {
    size_t end = text_.find_first_not_of("+-.0123456789eE", at_);
    if (end == text_.npos) end = text_.size();
    const std::string number(text_.substr(at_, end - at_));
    int64_t integer = 0;
    const char* last = number.data() + number.size();
    if (number.empty()) return Fail("Expecting value");
    if (std::from_chars(number.data(), last, integer).ptr == last) {
      at_ = end;
      return Value::Int(integer);
    }
    char* parsed = nullptr;
    const double d = std::strtod(number.c_str(), &parsed);
    if (parsed != last) return Fail("Expecting value");
    at_ = end;
    return Value::Float(d);
  }

  Runtime& rt_;
  const StringObject& source_;
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string FloatRepr(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  char buffer[64];
  const char* end = std::to_chars(buffer, buffer + sizeof(buffer), d,
                                  std::chars_format::scientific)
                        .ptr;
  // [-]d[.ddd]e[+-]xx: Python writes exponents from 16 and below -4 only.
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  const bool negative = text[0] == '-';
  std::string digits;
  for (char c : text.substr(negative, e - negative)) {
    if (c != '.') digits += c;
  }
  std::string out = negative ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out += "." + digits.substr(1);
    return out +
           Format("e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) {
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') +
           digits;
  }
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) {
    return out + digits + std::string(whole - digits.size(), '0') + ".0";
  }
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

bool AppendRepr(Runtime& rt, const Value& value, StringBuilder* out) {
  return Printer(rt, out).Repr(value);
}

bool AppendStr(Runtime& rt, const Value& value, StringBuilder* out) {
  if (value.IsString()) {
    out->Append(value.AsString());
    return true;
  }
  if (value.IsUndefined()) return true;
  return AppendRepr(rt, value, out);
}

Value Str(Runtime& rt, const Value& value) {
  if (value.IsString() && !value.AsString().markup) return value;
  StringBuilder out;
  AppendStr(rt, value, &out);
  return rt.String(out.Take());
}

Value SoftStr(Runtime& rt, const Value& value) {
  return value.IsString() ? value : Str(rt, value);
}

std::string ReprForMessage(Runtime& rt, const Value& value) {
  StringBuilder out;
  AppendRepr(rt, value, &out);
  return Printable(out.text());
}

bool AppendJson(Runtime& rt, const Value& value, const JsonOptions& options,
                StringBuilder* out) {
  return JsonPrinter(rt, options, out).Print(value, 0);
}

Value ParseJson(Runtime& rt, const StringObject& text) {
  return JsonReader(rt, text).Read();
}

}  // namespace slm::jinja
