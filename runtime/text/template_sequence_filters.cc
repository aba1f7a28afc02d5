// SPDX-License-Identifier: MIT
// Filters on sequences and mappings. What is a generator in jinja2 is an
// iterator here, computed at once.
#include <algorithm>

#include "runtime/core/utf8.h"
#include "runtime/text/template_builtins.h"
#include "runtime/text/template_filters.h"
#include "runtime/text/template_ops.h"
#include "runtime/text/template_print.h"
#include "runtime/text/template_strings.h"

namespace slm::jinja {
namespace {

using Type = Value::Type;

Value Generator(Call& call, std::vector<Value> items) {
  return call.rt.Iterator("generator", std::move(items));
}

// "a.0.b" as keys; none: the item itself.
std::vector<Value> AttributeParts(const Value& attribute) {
  if (attribute.IsNone()) return {};
  if (!attribute.IsString()) return {attribute};
  std::vector<Value> parts;
  std::string_view text = attribute.Text();
  while (true) {
    const size_t dot = text.find('.');
    const std::string part(text.substr(0, dot));
    const bool digits =
        !part.empty() && part.size() < 10 &&
        part.find_first_not_of("0123456789") == std::string::npos;
    parts.push_back(digits ? Value::Int(std::atoll(part.c_str()))
                           : Value::String(part));
    if (dot == text.npos) return parts;
    text.remove_prefix(dot + 1);
  }
}

Value IgnoreCase(Runtime& rt, const Value& value) {
  if (!value.IsString()) return value;
  return RunBuiltin(rt, *FindMethod(value, "lower"), value, {}, {});
}

// jinja2's make_attrgetter.
struct Getter {
  std::vector<Value> parts;
  Value fallback = Value::None();
  bool ignore_case = false;

  Value operator()(Runtime& rt, Value item) const {
    for (const Value& part : parts) {
      item = GetItem(rt, item, part);
      if (rt.failed()) return {};
      if (item.IsUndefined() && !fallback.IsNone()) item = fallback;
    }
    return ignore_case ? IgnoreCase(rt, item) : item;
  }
};

Getter MakeGetter(Call& call, size_t attribute, bool ignore_case) {
  Getter getter;
  if (call.Has(attribute)) getter.parts = AttributeParts(call[attribute]);
  getter.ignore_case = ignore_case;
  return getter;
}

// ---- the usual ones

Value LengthFilter(Call& call) {
  size_t length = 0;
  if (!Length(call.rt, call.self, &length)) return {};
  return Value::Int(static_cast<int64_t>(length));
}

Value List(Call& call) {
  std::vector<Value> items;
  if (!Iterate(call.rt, call.self, &items)) return {};
  return call.rt.List(std::move(items));
}

Value First(Call& call) {
  if (call.self.type() == Type::kIterator) {
    auto* list = call.self.As<ListObject>();
    if (list->next < list->items.size()) return list->items[list->next++];
    return call.rt.Undefined("No first item, sequence was empty.");
  }
  if (call.self.IsString() && !call.self.Text().empty()) {
    return GetItem(call.rt, call.self, Value::Int(0));
  }
  std::vector<Value> items;
  if (!Iterate(call.rt, call.self, &items)) return {};
  if (!items.empty()) return items[0];
  return call.rt.Undefined("No first item, sequence was empty.");
}

Value Last(Call& call) {
  if (!HasLength(call.self)) {
    return call.rt.TypeError(
        Format("'%s' object is not reversible", TypeName(call.self)));
  }
  if (call.self.IsString() && !call.self.Text().empty()) {
    return GetItem(call.rt, call.self, Value::Int(-1));
  }
  std::vector<Value> items;
  if (!Iterate(call.rt, call.self, &items)) return {};
  if (!items.empty()) return items.back();
  return call.rt.Undefined("No last item, sequence was empty.");
}

Value Default(Call& call) {
  const bool absent =
      call.self.IsUndefined() || (call.Bool(1, false) && !Truthy(call.self));
  if (!absent) return call.self;
  return call.Has(0) ? call[0] : Value::String("");
}

Value Join(Call& call) {
  std::vector<Value> items;
  if (!Iterate(call.rt, call.self, &items)) return {};
  const Value separator =
      call.Has(0) ? Str(call.rt, call[0]) : Value::String("");
  const Getter getter = MakeGetter(call, 1, false);
  StringBuilder out;
  for (size_t i = 0; i < items.size() && !call.rt.failed(); ++i) {
    if (i) out.Append(separator.AsString());
    const size_t before = out.size();
    AppendStr(call.rt, getter(call.rt, items[i]), &out);
    call.rt.Charge(out.size() - before + separator.Text().size());
  }
  if (call.rt.failed()) return {};
  return call.rt.String(out.Take());
}

Value Items(Call& call) {
  std::vector<Value> items;
  if (!call.self.IsUndefined()) {
    if (!call.self.IsDict()) {
      return call.rt.TypeError("Can only get item pairs from a mapping.");
    }
    for (const auto& [key, value] : call.self.AsDict().members) {
      items.push_back(Value::Tuple({key, value}));
    }
    call.rt.Charge(items.size() * 64);
  }
  return Generator(call, std::move(items));
}

Value Reverse(Call& call) {
  if (call.self.IsString()) {
    return Slice(call.rt, call.self, Value::None(), Value::None(),
                 Value::Int(-1));
  }
  std::vector<Value> items;
  if (!Iterate(call.rt, call.self, &items)) return {};
  std::reverse(items.begin(), items.end());
  if (call.self.type() == Type::kIterator || call.self.IsUndefined()) {
    return call.rt.List(std::move(items));  // has no __reversed__
  }
  return call.rt.Iterator("list_reverseiterator", std::move(items));
}

Value AttrFilter(Call& call) {
  if (!call[0].IsString()) {
    return call.rt.TypeError("attr: the attribute's name must be a string");
  }
  // Unlike a.b, this does not look into a mapping.
  if (call.self.IsDict() && !FindMethod(call.self, call[0].Text())) {
    return call.rt.Undefined("'dict object' has no attribute '" +
                             std::string(call[0].Text()) + "'");
  }
  return GetAttribute(call.rt, call.self, call[0].Text());
}

// ---- order

Value Sort(Call& call) {
  std::vector<Value> items;
  if (!Iterate(call.rt, call.self, &items)) return {};
  const bool reverse = call.Bool(0, false);
  const bool ignore_case = !call.Bool(1, false);
  // "a,b" sorts by several attributes.
  std::vector<Getter> getters;
  if (call.Has(2) && call[2].IsString()) {
    std::string_view text = call[2].Text();
    while (true) {
      const size_t comma = text.find(',');
      getters.emplace_back().parts =
          AttributeParts(Value::String(std::string(text.substr(0, comma))));
      if (comma == text.npos) break;
      text.remove_prefix(comma + 1);
    }
  } else {
    getters.push_back(MakeGetter(call, 2, false));
  }
  for (Getter& getter : getters) getter.ignore_case = ignore_case;
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const bool ok = SortBy(call.rt, reverse, &order, [&](size_t i) {
    std::vector<Value> key;
    for (const Getter& getter : getters) {
      key.push_back(getter(call.rt, items[i]));
    }
    return Value::List(std::move(key));
  });
  if (!ok) return {};
  std::vector<Value> sorted;
  for (size_t i : order) sorted.push_back(items[i]);
  return call.rt.List(std::move(sorted));
}

Value DictSort(Call& call) {
  if (!call.self.IsDict()) {
    if (call.self.IsUndefined()) return call.rt.FailUndefined(call.self);
    return call.rt.Fail(
        "AttributeError",
        Format("'%s' object has no attribute 'items'", TypeName(call.self)));
  }
  const std::string by(call.Has(1) && call[1].IsString() ? call[1].Text()
                                                         : "key");
  if (by != "key" && by != "value") {
    return call.rt.Fail("FilterArgumentError",
                        "You can only sort by either \"key\" or \"value\"");
  }
  const bool ignore_case = !call.Bool(0, false);
  const auto& members = call.self.AsDict().members;
  std::vector<size_t> order(members.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const bool ok = SortBy(call.rt, call.Bool(2, false), &order, [&](size_t i) {
    const Value& key = by == "key" ? members[i].first : members[i].second;
    return ignore_case ? IgnoreCase(call.rt, key) : key;
  });
  if (!ok) return {};
  std::vector<Value> sorted;
  for (size_t i : order) {
    sorted.push_back(Value::Tuple({members[i].first, members[i].second}));
  }
  call.rt.Charge(sorted.size() * 64);
  return call.rt.List(std::move(sorted));
}

Value Unique(Call& call) {
  std::vector<Value> items, out;
  if (!Iterate(call.rt, call.self, &items)) return {};
  const Getter getter = MakeGetter(call, 1, !call.Bool(0, false));
  DictObject seen;
  for (const Value& item : items) {
    Value key = getter(call.rt, item);
    if (!CheckHashable(call.rt, key)) return {};
    // Keys that are no strings are searched one by one.
    if (!key.IsString()) call.rt.Step(seen.members.size());
    if (call.rt.failed()) return {};
    if (seen.Find(key)) continue;
    seen.Set(std::move(key), Value::None());
    out.push_back(item);
  }
  return Generator(call, std::move(out));
}

Value Extreme(Call& call, bool largest) {
  std::vector<Value> items;
  if (!Iterate(call.rt, call.self, &items)) return {};
  if (items.empty()) {
    return call.rt.Undefined("No aggregated item, sequence was empty.");
  }
  const Getter getter = MakeGetter(call, 1, !call.Bool(0, false));
  Value best = items[0], best_key = getter(call.rt, best);
  for (size_t i = 1; i < items.size() && !call.rt.failed(); ++i) {
    const Value key = getter(call.rt, items[i]);
    if (CompareValues(call.rt,
                      largest ? Comparison::kGreater : Comparison::kLess, key,
                      best_key)) {
      best = items[i];
      best_key = key;
    }
  }
  return best;
}
Value Max(Call& call) { return Extreme(call, true); }
Value Min(Call& call) { return Extreme(call, false); }

Value Sum(Call& call) {
  std::vector<Value> items;
  if (!Iterate(call.rt, call.self, &items)) return {};
  const Getter getter = MakeGetter(call, 0, false);
  Value sum = call.Has(1) ? call[1] : Value::Int(0);
  if (sum.IsString()) {
    return call.rt.TypeError(
        "sum() can't sum strings [use ''.join(seq) "
        "instead]");
  }
  for (const Value& item : items) {
    sum = Binary(call.rt, Kind::kAdd, sum, getter(call.rt, item));
    if (call.rt.failed()) return {};
  }
  return sum;
}

Value GroupBy(Call& call) {
  std::vector<Value> items;
  if (!Iterate(call.rt, call.self, &items)) return {};
  Getter getter = MakeGetter(call, 0, !call.Bool(2, false));
  if (call.Has(1)) getter.fallback = call[1];
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::vector<Value> keys;
  for (const Value& item : items) keys.push_back(getter(call.rt, item));
  if (!SortBy(call.rt, false, &order, [&](size_t i) { return keys[i]; })) {
    return {};
  }
  Getter plain = getter;
  plain.ignore_case = false;
  std::vector<Value> groups;
  for (size_t i = 0; i < order.size() && !call.rt.failed();) {
    std::vector<Value> group;
    const size_t first = order[i];
    for (; i < order.size() && Equal(keys[order[i]], keys[first]); ++i) {
      group.push_back(items[order[i]]);
    }
    const Value name = plain(call.rt, items[first]);
    groups.push_back(call.rt.Sequence(Type::kTuple, "_GroupTuple",
                                      {name, call.rt.List(std::move(group))}));
  }
  return call.rt.List(std::move(groups));
}

// ---- parts

Value Batch(Call& call) {
  std::vector<Value> items, batches, batch;
  const int64_t count = call.Int(0, 1);
  if (!Iterate(call.rt, call.self, &items)) return {};
  const size_t size = count > 0 ? static_cast<size_t>(count) : 0;
  for (const Value& item : items) {
    if (batch.size() == size) {
      batches.push_back(call.rt.List(std::move(batch)));
      batch.clear();
    }
    batch.push_back(item);
  }
  if (!batch.empty()) {
    if (call.Has(1, /*none_is_absent=*/true) && batch.size() < size) {
      if (!call.rt.Charge((size - batch.size()) * sizeof(Value))) return {};
      batch.resize(size, call[1]);
    }
    batches.push_back(call.rt.List(std::move(batch)));
  }
  return Generator(call, std::move(batches));
}

Value SliceFilter(Call& call) {
  std::vector<Value> items, slices;
  const int64_t count = call.Int(0, 1);
  if (!Iterate(call.rt, call.self, &items)) return {};
  if (count <= 0) {
    return call.rt.Fail("ZeroDivisionError",
                        "slice: the number of slices must be positive");
  }
  if (!call.rt.Step(static_cast<uint64_t>(count))) return {};
  const size_t n = static_cast<size_t>(count);
  const size_t each = items.size() / n, extra = items.size() % n;
  size_t at = 0;
  for (size_t i = 0; i < n && !call.rt.failed(); ++i) {
    const size_t size = each + (i < extra);
    std::vector<Value> slice(items.begin() + static_cast<ptrdiff_t>(at),
                             items.begin() + static_cast<ptrdiff_t>(at + size));
    at += size;
    if (call.Has(1, /*none_is_absent=*/true) && i >= extra) {
      slice.push_back(call[1]);
    }
    slices.push_back(call.rt.List(std::move(slice)));
  }
  return Generator(call, std::move(slices));
}

// ---- map, select and their kin

Value Map(Call& call) {
  std::vector<Value> items;
  if (!Truthy(call.self)) return Generator(call, {});
  Getter getter;
  const Builtin* filter = nullptr;
  if (call.args.empty()) {
    bool has_attribute = false;
    for (const auto& [key, value] : call.keywords) {
      if (key == "attribute") {
        has_attribute = true;
        getter.parts = AttributeParts(value);
      } else if (key == "default") {
        getter.fallback = value;
      } else {
        return call.rt.Fail("FilterArgumentError",
                            "Unexpected keyword argument '" + key + "'");
      }
    }
    if (!has_attribute) {
      return call.rt.Fail("FilterArgumentError",
                          "map requires a filter argument");
    }
  } else {
    const std::string name(call.args[0].IsString() ? call.args[0].Text() : "");
    filter = FindFilter(name, /*extended=*/false);
    if (!filter) {
      return call.rt.Fail("TemplateRuntimeError",
                          "unknown filter \"" + name + "\"");
    }
  }
  if (!Iterate(call.rt, call.self, &items)) return {};
  const std::vector<Value> rest(call.args.begin() + !call.args.empty(),
                                call.args.end());
  for (Value& item : items) {
    item = filter ? RunBuiltin(call.rt, *filter, item, rest, call.keywords)
                  : getter(call.rt, item);
    if (call.rt.failed()) return {};
  }
  return Generator(call, std::move(items));
}

Value SelectOrReject(Call& call, bool wanted, bool by_attribute) {
  if (!Truthy(call.self)) return Generator(call, {});
  Getter getter;
  size_t used = 0;
  if (by_attribute) {
    if (call.args.empty()) {
      return call.rt.Fail("FilterArgumentError",
                          "Missing parameter for attribute name");
    }
    getter.parts = AttributeParts(call.args[used++]);
  }
  const Builtin* test = nullptr;
  if (used < call.args.size()) {
    const Value& name = call.args[used++];
    test = name.IsString() ? FindTest(name.Text()) : nullptr;
    if (!test) {
      return call.rt.Fail(
          "TemplateRuntimeError",
          "unknown test \"" +
              (name.IsString() ? std::string(name.Text()) : std::string("?")) +
              "\"");
    }
  }
  const std::vector<Value> rest(
      call.args.begin() + static_cast<ptrdiff_t>(used), call.args.end());
  std::vector<Value> items, out;
  if (!Iterate(call.rt, call.self, &items)) return {};
  for (Value& item : items) {
    Value value = getter(call.rt, item);
    if (test && !call.rt.failed()) {
      value = RunBuiltin(call.rt, *test, value, rest, call.keywords);
    }
    if (call.rt.failed()) return {};
    if (Truthy(value) == wanted) out.push_back(std::move(item));
  }
  return Generator(call, std::move(out));
}
Value Select(Call& call) { return SelectOrReject(call, true, false); }
Value Reject(Call& call) { return SelectOrReject(call, false, false); }
Value SelectAttr(Call& call) { return SelectOrReject(call, true, true); }
Value RejectAttr(Call& call) { return SelectOrReject(call, false, true); }

constexpr Builtin kSequenceFilters[] = {
    {"attr", "name", AttrFilter},
    {"batch", "linecount fill_with?", Batch},
    {"count", "", LengthFilter},
    {"d", "default_value? boolean?", Default},
    {"default", "default_value? boolean?", Default},
    {"dictsort", "case_sensitive? by? reverse?", DictSort},
    {"first", "", First},
    {"groupby", "attribute default? case_sensitive?", GroupBy},
    {"items", "", Items},
    {"join", "d? attribute?", Join},
    {"last", "", Last},
    {"length", "", LengthFilter},
    {"list", "", List},
    {"map", "*", Map},
    {"max", "case_sensitive? attribute?", Max},
    {"min", "case_sensitive? attribute?", Min},
    {"reject", "*", Reject},
    {"rejectattr", "*", RejectAttr},
    {"reverse", "", Reverse},
    {"select", "*", Select},
    {"selectattr", "*", SelectAttr},
    {"slice", "slices fill_with?", SliceFilter},
    {"sort", "reverse? case_sensitive? attribute?", Sort},
    {"sum", "attribute? start?", Sum},
    {"unique", "case_sensitive? attribute?", Unique},
};

}  // namespace

const Builtin* FindSequenceFilter(std::string_view name) {
  return FindIn(kSequenceFilters, name);
}

}  // namespace slm::jinja
