// SPDX-License-Identifier: MIT
#include "tools/bench/checks.h"

#include <algorithm>
#include <cmath>

#include "tools/bench/json_object.h"
#include "tools/bench/table.h"

namespace slm::bench {
namespace {

constexpr int kExitFailed = 10;

std::string LimitText(const Check& c) {
  if (!c.limit) return "-";
  return (c.at_least ? ">= " : "<= ") + Number(*c.limit, c.decimals);
}

const char* OkText(const Check& c) {
  return !c.limit ? "-" : c.ok() ? "ok" : "FAILED";
}

}  // namespace

bool Check::ok() const {
  if (!limit) return true;
  return at_least ? measured >= *limit : measured <= *limit;
}

bool AllOk(std::span<const Check> checks) {
  return std::all_of(checks.begin(), checks.end(),
                     [](const Check& c) { return c.ok(); });
}

int ExitCodeOf(std::span<const Check> checks) {
  return AllOk(checks) ? 0 : kExitFailed;
}

std::string CheckTable(std::span<const Check> checks, OutputFormat format) {
  Cells rows;
  if (format == OutputFormat::kCsv) {
    rows = {{"name", "unit", "measured", "limit", "ok"}};
    for (const Check& c : checks) {
      rows.push_back({c.name, c.unit, Number(c.measured, c.decimals),
                      Number(c.limit.value_or(NAN), c.decimals),
                      !c.limit ? "-"
                      : c.ok() ? "true"
                               : "false"});
    }
    return Csv(rows);
  }
  rows = {{"", "measured", "limit", "unit", "ok"}};
  for (const Check& c : checks) {
    rows.push_back({c.name, Number(c.measured, c.decimals), LimitText(c),
                    c.unit, OkText(c)});
  }
  return Table(rows, /*last_is_text=*/true, format == OutputFormat::kMarkdown);
}

void AppendChecks(std::span<const Check> checks, std::string* out) {
  *out += "[";
  for (const Check& c : checks) {
    *out += &c == &checks[0] ? "\n  " : ",\n  ";
    JsonObject o(out);
    o.Text("name", c.name);
    o.Text("unit", c.unit);
    o.Number("measured", c.measured, c.decimals);
    o.Number("limit", c.limit.value_or(NAN), c.decimals);
    o.Bool("ok", c.ok());
    o.End();
  }
  *out += "]";
}

}  // namespace slm::bench
