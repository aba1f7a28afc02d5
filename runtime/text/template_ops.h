// SPDX-License-Identifier: MIT
// Operators, attributes, subscripts and iteration, with Python's meaning and
// jinja2's undefined values.
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_OPS_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_OPS_H_

#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/template_ast.h"
#include "runtime/text/template_runtime.h"
#include "runtime/text/value.h"

namespace slm::jinja {

// a OP b for kAdd ... kPower.
Value Binary(Runtime& rt, Kind op, const Value& a, const Value& b);
Value Negate(Runtime& rt, const Value& a);
Value Plus(Runtime& rt, const Value& a);
bool CompareValues(Runtime& rt, Comparison op, const Value& a, const Value& b);
// item in container.
bool Contains(Runtime& rt, const Value& container, const Value& item);

// obj.name and obj[key] as jinja2's sandbox does them.
Value GetAttribute(Runtime& rt, const Value& object, std::string_view name);
Value GetItem(Runtime& rt, const Value& object, const Value& key);
// obj[start:stop:step]; absent parts are none.
Value Slice(Runtime& rt, const Value& object, const Value& start,
            const Value& stop, const Value& step);

// May it be a key? Fails if not.
bool CheckHashable(Runtime& rt, const Value& value);
bool IsIterable(const Value& value);
// Appends the items; of an iterator, what is left.
bool Iterate(Runtime& rt, const Value& value, std::vector<Value>* items);
bool HasLength(const Value& value);
// len(value).
bool Length(Runtime& rt, const Value& value, size_t* length);

// markupsafe.escape: a markup string; markup stays as it is.
Value Escape(Runtime& rt, const Value& value);
// str % args.
Value PercentFormat(Runtime& rt, const StringObject& format, const Value& args);

// Sorts the indices stably by key(index). Fails where keys cannot be compared.
template <typename Key>
bool SortBy(Runtime& rt, bool reverse, std::vector<size_t>* order,
            const Key& key);
bool MergeSort(Runtime& rt, bool reverse, const std::vector<Value>& keys,
               std::vector<size_t>* order);

template <typename Key>
bool SortBy(Runtime& rt, bool reverse, std::vector<size_t>* order,
            const Key& key) {
  std::vector<Value> keys;
  keys.reserve(order->size());
  for (size_t i : *order) keys.push_back(key(i));
  return !rt.failed() && MergeSort(rt, reverse, keys, order);
}

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_OPS_H_
