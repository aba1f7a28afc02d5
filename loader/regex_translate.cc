// SPDX-License-Identifier: MIT
// Oniguruma's Ruby syntax into PCRE2's. What differs in meaning is rewritten,
// what has no counterpart is refused:
//   \s \w \d       Oniguruma's own sets, spelled out
//   \p{...}        with the characters added since Unicode 14, which PCRE2
//                  before 10.43 does not know
//   \h             a hexadecimal digit; \v a vertical tab
//   x{2,3}+        a repeated interval, not a possessive one; x{,3}; x{2}?
//   [a[bc]&&[^d]]  nested classes and intersections
//   (?m)           PCRE2's (?s); (?i) in the middle covers the alternatives
//                  that follow
#include <algorithm>
#include <array>
#include <vector>

#include "loader/regex_split.h"
#include "runtime/core/utf8.h"
#include "runtime/text/unicode.h"

namespace slm {
namespace {

constexpr int kMaxClassDepth = 20;

// White_Space; the same in all versions of Unicode since 6.3.
constexpr char kSpaceItems[] =
    R"(\x09-\x0D\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

struct Named {
  const char* name;   // lower case, without spaces, '_' and '-'
  const char* items;  // inside of a class of PCRE2
  uint32_t added;     // categories whose new characters belong to it
};

constexpr uint32_t Set(text::Category c) { return text::Bit(c); }
using text::Category;

// Names of properties and POSIX brackets.
constexpr Named kNamed[] = {
    {"l", R"(\p{L})", text::kLetters},
    {"letter", R"(\p{L})", text::kLetters},
    {"lu", R"(\p{Lu})", Set(Category::kLu)},
    {"uppercaseletter", R"(\p{Lu})", Set(Category::kLu)},
    {"ll", R"(\p{Ll})", Set(Category::kLl)},
    {"lowercaseletter", R"(\p{Ll})", Set(Category::kLl)},
    {"lt", R"(\p{Lt})", Set(Category::kLt)},
    {"titlecaseletter", R"(\p{Lt})", Set(Category::kLt)},
    {"lm", R"(\p{Lm})", Set(Category::kLm)},
    {"modifierletter", R"(\p{Lm})", Set(Category::kLm)},
    {"lo", R"(\p{Lo})", Set(Category::kLo)},
    {"otherletter", R"(\p{Lo})", Set(Category::kLo)},
    {"m", R"(\p{M})", text::kMarks},
    {"mark", R"(\p{M})", text::kMarks},
    {"combiningmark", R"(\p{M})", text::kMarks},
    {"mn", R"(\p{Mn})", Set(Category::kMn)},
    {"nonspacingmark", R"(\p{Mn})", Set(Category::kMn)},
    {"mc", R"(\p{Mc})", Set(Category::kMc)},
    {"spacingmark", R"(\p{Mc})", Set(Category::kMc)},
    {"me", R"(\p{Me})", Set(Category::kMe)},
    {"enclosingmark", R"(\p{Me})", Set(Category::kMe)},
    {"n", R"(\p{N})", text::kNumbers},
    {"number", R"(\p{N})", text::kNumbers},
    {"nd", R"(\p{Nd})", Set(Category::kNd)},
    {"decimalnumber", R"(\p{Nd})", Set(Category::kNd)},
    {"digit", R"(\p{Nd})", Set(Category::kNd)},
    {"nl", R"(\p{Nl})", Set(Category::kNl)},
    {"letternumber", R"(\p{Nl})", Set(Category::kNl)},
    {"no", R"(\p{No})", Set(Category::kNo)},
    {"othernumber", R"(\p{No})", Set(Category::kNo)},
    {"p", R"(\p{P})", text::kPunctuations},
    {"punctuation", R"(\p{P})", text::kPunctuations},
    {"punct", R"(\p{P})", text::kPunctuations},
    {"pc", R"(\p{Pc})", Set(Category::kPc)},
    {"connectorpunctuation", R"(\p{Pc})", Set(Category::kPc)},
    {"pd", R"(\p{Pd})", Set(Category::kPd)},
    {"dashpunctuation", R"(\p{Pd})", Set(Category::kPd)},
    {"ps", R"(\p{Ps})", Set(Category::kPs)},
    {"openpunctuation", R"(\p{Ps})", Set(Category::kPs)},
    {"pe", R"(\p{Pe})", Set(Category::kPe)},
    {"closepunctuation", R"(\p{Pe})", Set(Category::kPe)},
    {"pi", R"(\p{Pi})", Set(Category::kPi)},
    {"initialpunctuation", R"(\p{Pi})", Set(Category::kPi)},
    {"pf", R"(\p{Pf})", Set(Category::kPf)},
    {"finalpunctuation", R"(\p{Pf})", Set(Category::kPf)},
    {"po", R"(\p{Po})", Set(Category::kPo)},
    {"otherpunctuation", R"(\p{Po})", Set(Category::kPo)},
    {"s", R"(\p{S})", text::kSymbols},
    {"symbol", R"(\p{S})", text::kSymbols},
    {"sm", R"(\p{Sm})", Set(Category::kSm)},
    {"mathsymbol", R"(\p{Sm})", Set(Category::kSm)},
    {"sc", R"(\p{Sc})", Set(Category::kSc)},
    {"currencysymbol", R"(\p{Sc})", Set(Category::kSc)},
    {"sk", R"(\p{Sk})", Set(Category::kSk)},
    {"modifiersymbol", R"(\p{Sk})", Set(Category::kSk)},
    {"so", R"(\p{So})", Set(Category::kSo)},
    {"othersymbol", R"(\p{So})", Set(Category::kSo)},
    {"z", R"(\p{Z})", 0},
    {"separator", R"(\p{Z})", 0},
    {"zs", R"(\p{Zs})", 0},
    {"spaceseparator", R"(\p{Zs})", 0},
    {"zl", R"(\p{Zl})", 0},
    {"lineseparator", R"(\p{Zl})", 0},
    {"zp", R"(\p{Zp})", 0},
    {"paragraphseparator", R"(\p{Zp})", 0},
    {"cc", R"(\p{Cc})", 0},
    {"cntrl", R"(\p{Cc})", 0},
    {"control", R"(\p{Cc})", 0},
    {"cf", R"(\p{Cf})", Set(Category::kCf)},
    {"format", R"(\p{Cf})", Set(Category::kCf)},
    {"co", R"(\p{Co})", 0},
    {"privateuse", R"(\p{Co})", 0},
    {"alpha", R"(\p{Alphabetic})", text::kLetters | Set(Category::kNl)},
    {"alphabetic", R"(\p{Alphabetic})", text::kLetters | Set(Category::kNl)},
    {"alnum", R"(\p{Alphabetic}\p{Nd})", text::kLetters | text::kNumbers},
    {"upper", R"(\p{Uppercase})", Set(Category::kLu)},
    {"uppercase", R"(\p{Uppercase})", Set(Category::kLu)},
    {"lower", R"(\p{Lowercase})", Set(Category::kLl)},
    {"lowercase", R"(\p{Lowercase})", Set(Category::kLl)},
    {"space", kSpaceItems, 0},
    {"whitespace", kSpaceItems, 0},
    {"blank", R"(\p{Zs}\x09)", 0},
    {"xdigit", "0-9A-Fa-f", 0},
    {"ascii", R"(\x00-\x7F)", 0},
    {"any", R"(\x{0}-\x{10FFFF})", 0},
    // Oniguruma counts superscripts and fractions of Latin-1 in.
    {"word", R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\xB2\xB3\xB9\xBC-\xBE)",
     text::kLetters | text::kMarks | Set(Category::kNd) | Set(Category::kNl) |
         Set(Category::kPc)},
    // Scripts, not PCRE2's script extensions; new characters by hand.
    {"han", R"(\p{sc:Han}\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})", 0},
    {"hiragana", R"(\p{sc:Hiragana}\x{1B132})", 0},
    {"katakana", R"(\p{sc:Katakana}\x{1B155})", 0},
    {"hangul", R"(\p{sc:Hangul})", 0},
    {"latin",
     R"(\p{sc:Latin}\x{A7CB}-\x{A7CD}\x{A7DA}-\x{A7DC}\x{1DF25}-\x{1DF2A})", 0},
    {"cyrillic",
     R"(\p{sc:Cyrillic}\x{1C89}\x{1C8A}\x{1E030}-\x{1E06D}\x{1E08F})", 0},
    {"arabic", R"(\p{sc:Arabic}\x{897}\x{10EC2}-\x{10EC4}\x{10EFC}-\x{10EFF})",
     0},
    {"greek", R"(\p{sc:Greek})", 0},
    {"hebrew", R"(\p{sc:Hebrew})", 0},
    {"thai", R"(\p{sc:Thai})", 0},
    {"devanagari", R"(\p{sc:Devanagari}\x{11B00}-\x{11B09})", 0},
    {"bengali", R"(\p{sc:Bengali})", 0},
    {"tamil", R"(\p{sc:Tamil})", 0},
    {"armenian", R"(\p{sc:Armenian})", 0},
    {"georgian", R"(\p{sc:Georgian})", 0},
    {"lao", R"(\p{sc:Lao})", 0},
    {"khmer", R"(\p{sc:Khmer})", 0},
    {"tibetan", R"(\p{sc:Tibetan})", 0},
    {"myanmar", R"(\p{sc:Myanmar}\x{116D0}-\x{116E3})", 0},
    {"emoji", R"(\p{Emoji})", 0},
    {"extendedpictographic", R"(\p{Extended_Pictographic})", 0},
};

std::string Items(const Named& named) {
  std::string items = named.items;
  for (size_t i = 0; named.added != 0 && i < text::AddedRangeCount(); ++i) {
    const text::AddedRange range = text::AddedRangeAt(i);
    if ((named.added >> range.category & 1) == 0) continue;
    items += Format("\\x{%X}", range.first);
    if (range.last > range.first) items += Format("-\\x{%X}", range.last);
  }
  return items;
}

const Named* FindNamed(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c == ' ' || c == '_' || c == '-') continue;
    plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  for (const Named& named : kNamed) {
    if (plain == named.name) return &named;
  }
  return nullptr;
}

// A set of characters: items of a PCRE2 class, and expressions of one
// character that cannot stand inside of one (complements, nested classes).
struct CharSet {
  std::string items;
  std::vector<std::string> others;

  std::string Expression(bool negated) const {
    if (others.empty() && items.empty()) return negated ? "(?s:.)" : "(?!)";
    if (others.empty()) return (negated ? "[^" : "[") + items + "]";
    std::string all = items.empty() ? "" : "[" + items + "]";
    for (const std::string& other : others) {
      if (!all.empty()) all += '|';
      all += other;
    }
    return negated ? "(?:(?!" + all + ")(?s:.))" : "(?:" + all + ")";
  }
};

class Translator {
 public:
  explicit Translator(std::string_view in) : in_(in) {}

  Result<std::string> Run() {
    open_.push_back(0);
    while (at_ < in_.size()) SLM_RETURN_IF_ERROR(Next());
    if (open_.size() != 1) return Refuse("a group is not closed");
    CloseOptions();
    return out_;
  }

 private:
  Status Refuse(const std::string& why) const {
    return Invalid("regular expression \"%s\", offset %zu: %s",
                   Printable(in_).c_str(), at_, why.c_str());
  }
  bool StartsWith(std::string_view s) const {
    return in_.substr(at_).starts_with(s);
  }

  Status Next() {
    const char c = in_[at_];
    if (c == '*' || c == '+' || c == '?' || c == '{') return Quantifier();
    if (c == ')') return CloseGroup();
    if (c == '(') return OpenGroup();
    if (c == '|' || c == '^') {
      atom_ = kNoAtom;
      out_ += c;
      ++at_;
      return OkStatus();
    }
    atom_ = out_.size();
    if (c == '[') {
      SLM_ASSIGN_OR_RETURN(std::string expression, Class(0));
      out_ += expression;
      return OkStatus();
    }
    if (c == '\\') return Escape();
    const size_t size = text::SizeOfLead(c);
    if (c == ']' || c == '}') out_ += '\\';
    out_ += in_.substr(at_, size);
    at_ += size;
    return OkStatus();
  }

  void CloseOptions() { out_.append(open_.back(), ')'); }

  // Positions of groups' beginnings, so that a quantifier finds its atom.
  Status CloseGroup() {
    if (open_.size() == 1) return Refuse("\")\" without \"(\"");
    CloseOptions();
    open_.pop_back();
    out_ += ')';
    atom_ = begins_.back();
    begins_.pop_back();
    ++at_;
    return OkStatus();
  }

  Status OpenGroup() {
    static constexpr std::string_view kPlain[] = {"(?:", "(?=",  "(?!",
                                                  "(?>", "(?<=", "(?<!"};
    if (StartsWith("(?#")) {
      const size_t end = in_.find(')', at_);
      if (end == std::string_view::npos) return Refuse("open comment");
      at_ = end + 1;
      return OkStatus();
    }
    for (const std::string_view plain : kPlain) {
      if (StartsWith(plain)) return Open(plain, plain.size());
    }
    if (StartsWith("(?<")) {
      const size_t end = in_.find('>', at_);
      if (end == std::string_view::npos) return Refuse("open group name");
      return Open(in_.substr(at_, end + 1 - at_), end + 1 - at_);
    }
    if (!StartsWith("(?")) {
      if (StartsWith("(*")) return Refuse("\"(*\" is not supported");
      return Open("(", 1);
    }
    return Options();
  }

  Status Open(std::string_view text, size_t consumed) {
    begins_.push_back(out_.size());
    open_.push_back(0);
    out_ += text;
    at_ += consumed;
    atom_ = kNoAtom;
    return OkStatus();
  }

  // (?imx-imx) and (?imx-imx:...
  Status Options() {
    std::string text = "(?";
    size_t i = at_ + 2;
    for (; i < in_.size() && in_[i] != ')' && in_[i] != ':'; ++i) {
      switch (in_[i]) {
        case 'i':
        case '-':
          text += in_[i];
          break;
        case 'm':
          text += 's';
          break;
        default:
          return Refuse(Format("\"(?%s\" is not supported",
                               Printable(in_.substr(i, 1)).c_str()));
      }
    }
    if (i == in_.size()) return Refuse("open option group");
    if (in_[i] == ':') return Open(text + ":", i + 1 - at_);
    // Covers the rest of the group, with its alternatives.
    out_ += text + ":";
    ++open_.back();
    at_ = i + 1;
    atom_ = kNoAtom;
    return OkStatus();
  }

  // Reads {n}, {n,}, {,m} or {n,m}; *fixed: it was {n}.
  bool ReadInterval(std::string* text, bool* fixed) {
    size_t i = at_ + 1;
    std::string low, high;
    const auto digits = [&](std::string* to) {
      while (i < in_.size() && in_[i] >= '0' && in_[i] <= '9') *to += in_[i++];
    };
    digits(&low);
    *fixed = true;
    if (i < in_.size() && in_[i] == ',') {
      *fixed = false;
      ++i;
      digits(&high);
    }
    if (i >= in_.size() || in_[i] != '}' || (low.empty() && high.empty())) {
      return false;
    }
    if (low.empty()) low = "0";
    *text = "{" + low + (*fixed ? "" : "," + high) + "}";
    at_ = i + 1;
    return true;
  }

  Status Quantifier() {
    std::string text;
    bool fixed = false;
    const bool interval = in_[at_] == '{';
    if (interval) {
      if (!ReadInterval(&text, &fixed)) {  // a brace like any character
        atom_ = out_.size();
        out_ += "\\{";
        ++at_;
        return OkStatus();
      }
    } else {
      text = in_[at_++];
    }
    if (atom_ == kNoAtom) return Refuse("a quantifier has nothing to repeat");
    // A quantifier behind a quantifier repeats the whole.
    if (quantified_ == out_.size()) {
      out_.insert(atom_, "(?:");
      out_ += ')';
    }
    out_ += text;
    if (at_ < in_.size()) {
      const char next = in_[at_];
      if ((next == '?' && !(interval && fixed)) || (next == '+' && !interval)) {
        out_ += next;
        ++at_;
      }
    }
    quantified_ = out_.size();
    return OkStatus();
  }

  Status Escape() {
    if (at_ + 1 >= in_.size()) return Refuse("ends with a backslash");
    const char c = in_[at_ + 1];
    CharSet set;
    bool known = false;
    SLM_RETURN_IF_ERROR(SetEscape(&set, &known));
    if (known) {
      out_ += set.Expression(/*negated=*/false);
      return OkStatus();
    }
    if (c == 'b' || c == 'B') {
      const std::string w = "[" + Items(*FindNamed("word")) + "]";
      const std::string edge = c == 'b' ? "(?:(?<=W)(?!W)|(?<!W)(?=W))"
                                        : "(?:(?<=W)(?=W)|(?<!W)(?!W))";
      for (const char e : edge) out_ += e == 'W' ? w : std::string(1, e);
      at_ += 2;
      return OkStatus();
    }
    if (std::string_view("AzZGRXKN").find(c) != std::string_view::npos ||
        (c >= '1' && c <= '9')) {
      out_ += in_.substr(at_, 2);
      at_ += 2;
      if (c >= '1' && c <= '9') {
        while (at_ < in_.size() && in_[at_] >= '0' && in_[at_] <= '9') {
          out_ += in_[at_++];
        }
      }
      return OkStatus();
    }
    if (c == 'k' && in_.substr(at_ + 2, 1) == "<") {
      const size_t end = in_.find('>', at_);
      if (end == std::string_view::npos) return Refuse("open group name");
      out_ += in_.substr(at_, end + 1 - at_);
      at_ = end + 1;
      return OkStatus();
    }
    if (c == 'O') {
      out_ += "(?s:.)";
      at_ += 2;
      return OkStatus();
    }
    SLM_ASSIGN_OR_RETURN(const uint32_t code, Character());
    AppendCode(code, &out_);
    return OkStatus();
  }

  // \s \S \w \W \d \D \h \H \p{..} \P{..} at at_.
  Status SetEscape(CharSet* set, bool* known) {
    const char c = in_[at_ + 1];
    std::string_view name;
    bool negated = false;
    size_t size = 2;
    switch (c) {
      case 's':
      case 'S':
        name = "space";
        break;
      case 'w':
      case 'W':
        name = "word";
        break;
      case 'd':
      case 'D':
        name = "digit";
        break;
      case 'h':
      case 'H':
        name = "xdigit";
        break;
      case 'p':
      case 'P': {
        const size_t end = in_.find('}', at_);
        if (in_.substr(at_ + 2, 1) != "{" || end == std::string_view::npos) {
          return Refuse("\\p without a name in braces");
        }
        name = in_.substr(at_ + 3, end - at_ - 3);
        size = end + 1 - at_;
        if (name.starts_with("^")) {
          negated = true;
          name.remove_prefix(1);
        }
        break;
      }
      default:
        return OkStatus();
    }
    *known = true;
    const Named* named = FindNamed(name);
    if (named == nullptr) {
      return Refuse("property \"" + Printable(name) + "\" is not supported");
    }
    negated ^= c >= 'A' && c <= 'Z';
    if (negated) {
      set->others.push_back("[^" + Items(*named) + "]");
    } else {
      set->items += Items(*named);
    }
    at_ += size;
    return OkStatus();
  }

  // One character, plain or escaped.
  Result<uint32_t> Character() {
    uint32_t size;
    if (in_[at_] != '\\') {
      const uint32_t code = text::CodeAt(in_, at_, &size);
      at_ += size;
      return code;
    }
    if (at_ + 1 >= in_.size()) return Refuse("ends with a backslash");
    const char c = in_[at_ + 1];
    static constexpr std::string_view kLetters = "tnrfvae0";
    static constexpr std::string_view kCodes("\t\n\r\f\v\a\x1B\0", 8);
    if (const size_t i = kLetters.find(c); i != std::string_view::npos) {
      if (c == '0' && at_ + 2 < in_.size() && in_[at_ + 2] >= '0' &&
          in_[at_ + 2] <= '7') {
        return Refuse("octal escapes are not supported");
      }
      at_ += 2;
      return static_cast<uint32_t>(kCodes[i]);
    }
    if (c == 'x' || c == 'u') return HexCharacter(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
        (c >= '0' && c <= '9')) {
      return Refuse(Format("\"\\%c\" is not supported", c));
    }
    ++at_;
    const uint32_t code = text::CodeAt(in_, at_, &size);
    at_ += size;
    return code;
  }

  // \xHH, \x{H...} or \uHHHH.
  Result<uint32_t> HexCharacter(char kind) {
    size_t i = at_ + 2;
    const bool braces = kind == 'x' && i < in_.size() && in_[i] == '{';
    i += braces;
    const size_t most = braces ? 8 : kind == 'u' ? 4 : 2;
    uint32_t code = 0;
    size_t count = 0;
    for (; i < in_.size() && count < most; ++i, ++count) {
      const char h = in_[i];
      int digit = -1;
      if (h >= '0' && h <= '9') digit = h - '0';
      if (h >= 'a' && h <= 'f') digit = h - 'a' + 10;
      if (h >= 'A' && h <= 'F') digit = h - 'A' + 10;
      if (digit < 0) break;
      code = code << 4 | static_cast<uint32_t>(digit);
    }
    if (count == 0 || (kind == 'u' && count != 4) ||
        (braces && (i >= in_.size() || in_[i] != '}'))) {
      return Refuse("broken hexadecimal escape");
    }
    // Bytes of UTF-8 written one by one are no characters.
    if ((!braces && kind == 'x' && code > 0x7F) || code > 0x10FFFF ||
        (code >= 0xD800 && code < 0xE000)) {
      return Refuse(Format("\"\\x%X\" is no character", code));
    }
    at_ = i + braces;
    return code;
  }

  static void AppendCode(uint32_t code, std::string* out) {
    *out += Format("\\x{%X}", code);
  }

  // A class from its '['; consumes its ']'.
  Result<std::string> Class(int depth) {
    if (depth > kMaxClassDepth) return Refuse("classes nest too deep");
    ++at_;
    bool negated = false;
    if (at_ < in_.size() && in_[at_] == '^') {
      negated = true;
      ++at_;
    }
    CharSet set;
    std::string intersection;  // of what stood before "&&"
    bool first = true;
    for (;; first = false) {
      if (at_ >= in_.size()) return Refuse("a class is not closed");
      if (in_[at_] == ']' && !first) break;
      if (StartsWith("&&")) {
        at_ += 2;
        intersection += "(?=" + set.Expression(/*negated=*/false) + ")";
        set = {};
        continue;
      }
      SLM_RETURN_IF_ERROR(ClassItem(depth, &set));
    }
    ++at_;
    if (intersection.empty()) return set.Expression(negated);
    const std::string all =
        "(?:" + intersection + set.Expression(/*negated=*/false) + ")";
    return negated ? "(?:(?!" + all + ")(?s:.))" : all;
  }

  Status ClassItem(int depth, CharSet* set) {
    if (StartsWith("[:")) return PosixBracket(set);
    if (in_[at_] == '[') {
      SLM_ASSIGN_OR_RETURN(std::string nested, Class(depth + 1));
      set->others.push_back(std::move(nested));
      return OkStatus();
    }
    if (in_[at_] == '\\' && at_ + 1 < in_.size()) {
      bool known = false;
      SLM_RETURN_IF_ERROR(SetEscape(set, &known));
      if (known) return OkStatus();
      if (in_[at_ + 1] == 'b') {  // a backspace here
        at_ += 2;
        set->items += "\\x08";
        return OkStatus();
      }
    }
    SLM_ASSIGN_OR_RETURN(const uint32_t low, Character());
    AppendCode(low, &set->items);
    // A range, unless the '-' is the last character of the class or stands
    // before a set.
    if (at_ + 1 >= in_.size() || in_[at_] != '-' || in_[at_ + 1] == ']') {
      return OkStatus();
    }
    if (in_[at_ + 1] == '[' ||
        (in_[at_ + 1] == '\\' && at_ + 2 < in_.size() &&
         std::string_view("sSwWdDhHpP").find(in_[at_ + 2]) !=
             std::string_view::npos)) {
      return OkStatus();
    }
    ++at_;
    SLM_ASSIGN_OR_RETURN(const uint32_t high, Character());
    if (high < low) return Refuse("a range of characters is empty");
    set->items += '-';
    AppendCode(high, &set->items);
    return OkStatus();
  }

  Status PosixBracket(CharSet* set) {
    const size_t end = in_.find(":]", at_ + 2);
    if (end == std::string_view::npos) return Refuse("open \"[:\"");
    std::string_view name = in_.substr(at_ + 2, end - at_ - 2);
    const bool negated = name.starts_with("^");
    if (negated) name.remove_prefix(1);
    const Named* named = FindNamed(name);
    if (named == nullptr) {
      return Refuse("[:" + Printable(name) + ":] is not supported");
    }
    // Unlike \p{Punct}, the bracket has the symbols, too.
    std::string items = Items(*named);
    if (name == "punct") items += Items(*FindNamed("s"));
    if (negated) {
      set->others.push_back("[^" + items + "]");
    } else {
      set->items += items;
    }
    at_ = end + 2;
    return OkStatus();
  }

  static constexpr size_t kNoAtom = ~size_t{0};

  std::string_view in_;
  size_t at_ = 0;
  std::string out_;
  size_t atom_ = kNoAtom;        // where the last atom begins in out_
  size_t quantified_ = kNoAtom;  // out_ ends here behind a quantifier
  std::vector<size_t> begins_;   // of open groups in out_
  std::vector<size_t> open_;     // options opened in each open group
};

}  // namespace

Result<std::string> TranslateRegex(std::string_view expression) {
  return Translator(expression).Run();
}

}  // namespace slm
