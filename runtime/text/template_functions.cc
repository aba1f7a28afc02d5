// SPDX-License-Identifier: MIT
// Global functions, and the objects that they make.
#include <limits>

#include "runtime/text/template_builtins.h"
#include "runtime/text/template_ops.h"
#include "runtime/text/template_print.h"
#include "runtime/text/template_strings.h"

namespace slm::jinja {
namespace {

using Type = Value::Type;

// The sandbox's MAX_RANGE.
constexpr int64_t kMaxRange = 100000;

Value Range(Call& call) {
  const bool one = !call.Has(1);
  const int64_t first = call.Int(0, 0), second = call.Int(1, 0);
  const int64_t step = call.Int(2, 1);
  if (call.rt.failed()) return {};
  if (step == 0) {
    return call.rt.Fail("ValueError", "range() arg 3 must not be zero");
  }
  Ref<RangeObject> range(new RangeObject);
  range->start = one ? 0 : first;
  range->stop = one ? first : second;
  range->step = step;
  const int64_t size = range->size();
  if (size > kMaxRange || size < 0) {
    return call.rt.Fail("OverflowError",
                        "range too big: the sandbox blocks ranges larger than "
                        "100000");
  }
  range->Retain();
  return Value::Of(Type::kRange, range.get());
}

// Members of dict(...) and namespace(...).
bool Members(Call& call, DictObject* out) {
  if (call.args.size() > 1) {
    call.rt.TypeError(Format("%s expected at most 1 argument, got %zu",
                             call.builtin.name, call.args.size()));
    return false;
  }
  if (!call.args.empty()) {
    if (call.args[0].IsDict()) {
      for (const auto& [key, value] : call.args[0].AsDict().members) {
        out->Set(key, value);
      }
    } else {
      std::vector<Value> pairs;
      if (!Iterate(call.rt, call.args[0], &pairs)) return false;
      for (const Value& pair : pairs) {
        std::vector<Value> items;
        if (!Iterate(call.rt, pair, &items)) return false;
        if (items.size() != 2) {
          call.rt.Fail("ValueError",
                       "dictionary update sequence element has "
                       "not 2 items");
          return false;
        }
        out->Set(items[0], items[1]);
      }
    }
  }
  for (auto& [key, value] : call.keywords) {
    out->Set(Value::String(key), value);
  }
  return call.rt.Step(out->members.size());
}

Value Dict(Call& call) {
  Ref<DictObject> dict(new DictObject);
  if (!Members(call, dict.get())) return {};
  return call.rt.Dict(std::move(dict));
}

Value Namespace(Call& call) {
  Ref<DictObject> members(new DictObject);
  if (!Members(call, members.get())) return {};
  if (!call.rt.Charge(sizeof(NamespaceObject))) return {};
  auto* object = new NamespaceObject;
  for (const auto& [key, value] : members->members) {
    if (key.IsString()) object->Set(std::string(key.Text()), value);
  }
  Value value = Value::Of(Type::kNamespace, object);
  call.rt.namespaces().push_back(value);
  return value;
}

Value RaiseException(Call& call) {
  const Value message = Str(call.rt, call[0]);
  if (call.rt.failed()) return {};
  return call.rt.Fail("raise", std::string(message.Text()));
}

// ---- dates

constexpr const char* kMonths[] = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};

bool IsLeap(int year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}
int DayOfYear(const TemplateDate& d) {
  constexpr int kBefore[] = {0,   31,  59,  90,  120, 151,
                             181, 212, 243, 273, 304, 334};
  return kBefore[d.month - 1] + d.day + (d.month > 2 && IsLeap(d.year));
}
int DaysInYear(int year) { return 365 + IsLeap(year); }
// 0: Sunday. Days from 1 January of the year 1, which was a Monday.
int DayOfWeek(const TemplateDate& d) {
  const int64_t y = d.year - 1;
  return static_cast<int>((y * 365 + y / 4 - y / 100 + y / 400 + DayOfYear(d)) %
                          7);
}
// ISO 8601: weeks begin on Monday, the first one holds 4 January.
void IsoWeek(const TemplateDate& d, int* year, int* week) {
  const int weekday = (DayOfWeek(d) + 6) % 7;  // 0: Monday
  const int yday = DayOfYear(d) - 1;
  int thursday = yday - weekday + 3;
  *year = d.year;
  if (thursday < 0) {
    --*year;
    thursday += DaysInYear(*year);
  } else if (thursday >= DaysInYear(*year)) {
    thursday -= DaysInYear(*year);
    ++*year;
  }
  *week = thursday / 7 + 1;
}

std::string Strftime(std::string_view format, const TemplateDate& d);

// One conversion of the C locale; empty and false if it is unknown.
bool Convert(char c, const TemplateDate& d, std::string* out) {
  const int hour12 = d.hour % 12 ? d.hour % 12 : 12;
  const int weekday = DayOfWeek(d), yday = DayOfYear(d);
  int iso_year = 0, iso_week = 0;
  IsoWeek(d, &iso_year, &iso_week);
  switch (c) {
    case 'Y':
      *out += Format("%d", d.year);
      break;
    case 'C':
      *out += Format("%02d", d.year / 100);
      break;
    case 'y':
      *out += Format("%02d", d.year % 100);
      break;
    case 'm':
      *out += Format("%02d", d.month);
      break;
    case 'd':
      *out += Format("%02d", d.day);
      break;
    case 'e':
      *out += Format("%2d", d.day);
      break;
    case 'H':
      *out += Format("%02d", d.hour);
      break;
    case 'k':
      *out += Format("%2d", d.hour);
      break;
    case 'I':
      *out += Format("%02d", hour12);
      break;
    case 'l':
      *out += Format("%2d", hour12);
      break;
    case 'M':
      *out += Format("%02d", d.minute);
      break;
    case 'S':
      *out += Format("%02d", d.second);
      break;
    case 'f':
      *out += "000000";
      break;
    case 'p':
      *out += d.hour < 12 ? "AM" : "PM";
      break;
    case 'P':
      *out += d.hour < 12 ? "am" : "pm";
      break;
    case 'B':
      *out += kMonths[d.month - 1];
      break;
    case 'b':
    case 'h':
      *out += std::string(kMonths[d.month - 1], 3);
      break;
    case 'A':
      *out += kDays[weekday];
      break;
    case 'a':
      *out += std::string(kDays[weekday], 3);
      break;
    case 'w':
      *out += Format("%d", weekday);
      break;
    case 'u':
      *out += Format("%d", weekday ? weekday : 7);
      break;
    case 'j':
      *out += Format("%03d", yday);
      break;
    case 'U':
      *out += Format("%02d", (yday - 1 + 7 - weekday) / 7);
      break;
    case 'W':
      *out += Format("%02d", (yday - 1 + 7 - (weekday + 6) % 7) / 7);
      break;
    case 'G':
      *out += Format("%d", iso_year);
      break;
    case 'g':
      *out += Format("%02d", iso_year % 100);
      break;
    case 'V':
      *out += Format("%02d", iso_week);
      break;
    case 'D':
    case 'x':
      *out += Strftime("%m/%d/%y", d);
      break;
    case 'F':
      *out += Strftime("%Y-%m-%d", d);
      break;
    case 'T':
    case 'X':
      *out += Strftime("%H:%M:%S", d);
      break;
    case 'R':
      *out += Strftime("%H:%M", d);
      break;
    case 'r':
      *out += Strftime("%I:%M:%S %p", d);
      break;
    case 'c':
      *out += Strftime("%a %b %e %H:%M:%S %Y", d);
      break;
    case 'n':
      *out += '\n';
      break;
    case 't':
      *out += '\t';
      break;
    case '%':
      *out += '%';
      break;
    case 'z':
    case 'Z':
      break;  // a date without a zone
    default:
      return false;
  }
  return true;
}

// Of glibc: '-' drops the padding, '_' pads with blanks.
std::string Unpadded(std::string text, char flag) {
  size_t zeros = 0;
  while (zeros + 1 < text.size() &&
         (text[zeros] == '0' || text[zeros] == ' ')) {
    ++zeros;
  }
  if (flag == '-') return text.substr(zeros);
  for (size_t i = 0; i < zeros; ++i) text[i] = ' ';
  return text;
}

std::string Strftime(std::string_view format, const TemplateDate& d) {
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    const char flag = format[i + 1];
    const bool flagged = (flag == '-' || flag == '_') && i + 2 < format.size();
    std::string text;
    if (Convert(format[i + (flagged ? 2 : 1)], d, &text)) {
      i += flagged ? 2 : 1;
      out += flagged ? Unpadded(std::move(text), flag) : text;
    } else {
      out += '%';
    }
  }
  return out;
}

Value StrftimeNow(Call& call) {
  if (!call[0].IsString()) {
    return call.rt.TypeError(
        Format("strftime() argument 1 must be str, not %s", TypeName(call[0])));
  }
  const TemplateDate& d = call.rt.now();
  if (d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31 || d.year < 1) {
    return call.rt.Fail("ValueError", "the date of strftime_now is not valid");
  }
  const StringObject& format = call[0].AsString();
  return call.rt.String(
      Derived(Strftime(format.text, d), !format.marks.empty()));
}

// ---- cyclers and joiners

Value CycleNext(Call& call) {
  CallableObject& cycler = *call.callable;
  const Value item = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return item;
}
Value CycleReset(Call& call) {
  call.self.As<CallableObject>()->position = 0;
  return Value::None();
}
Value CycleCurrent(Call& call) {
  const auto* cycler = call.self.As<CallableObject>();
  return cycler->items[cycler->position];
}
Value JoinNext(Call& call) {
  if (call.callable->position++) return call.callable->items[0];
  return Value::String("");
}

constexpr Builtin kCycler = {"cycler", "*", CycleNext};
constexpr Builtin kJoiner = {"joiner", "", JoinNext};
constexpr Builtin kCyclerMethods[] = {
    {"current", "", CycleCurrent},
    {"next", "", nullptr},  // handled as a call of the cycler
    {"reset", "", CycleReset},
};

Value Cycler(Call& call) {
  if (call.args.empty()) {
    return call.rt.Fail("RuntimeError", "at least one item has to be provided");
  }
  auto* object = new CallableObject;
  object->builtin = &kCycler;
  object->items = call.args;
  call.rt.Charge(call.args.size() * sizeof(Value));
  return Value::Of(Type::kCallable, object);
}
Value Joiner(Call& call) {
  auto* object = new CallableObject;
  object->builtin = &kJoiner;
  object->items.push_back(call.Has(0) ? call[0] : Value::String(", "));
  call.rt.Charge(sizeof(CallableObject));
  return Value::Of(Type::kCallable, object);
}

constexpr Builtin kFunctions[] = {
    {"cycler", "*", Cycler},
    {"dict", "*", Dict},
    {"joiner", "sep?", Joiner},
    {"lipsum", "*", nullptr},
    {"namespace", "*", Namespace},
    {"raise_exception", "message", RaiseException},
    {"range", "/start stop? step?", Range},
    {"strftime_now", "format", StrftimeNow},
};

}  // namespace

const Builtin* FindFunction(std::string_view name) {
  return FindIn(kFunctions, name);
}

bool CyclerAttribute(Runtime& rt, const Value& object, std::string_view name,
                     Value* out) {
  if (object.As<CallableObject>()->builtin != &kCycler) return false;
  const Builtin* method = FindIn(kCyclerMethods, name);
  if (!method) return false;
  if (name == "next") {
    *out = object;
  } else if (name == "current") {
    *out = RunBuiltin(rt, *method, object, {}, {});
  } else {
    auto* bound = new CallableObject;
    bound->builtin = method;
    bound->self = object;
    *out = Value::Of(Type::kCallable, bound);
  }
  return true;
}

}  // namespace slm::jinja
