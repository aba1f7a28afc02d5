// SPDX-License-Identifier: MIT
#include "tools/bench/quality_report.h"

#include <algorithm>

#include "tools/bench/json_object.h"
#include "tools/bench/table.h"

namespace slm::bench {
namespace {

// Digits that count, without an exponent where it can be read without one.
std::string Significant(double value, int digits) {
  if (!std::isfinite(value)) return value > 0 ? "inf" : "-";
  const double size = std::abs(value);
  if (value == 0) return "0";
  if (size < 1e-6 || size >= 1e15) return Format("%.*e", digits - 1, value);
  const int before = static_cast<int>(std::floor(std::log10(size))) + 1;
  return Format("%.*f", std::max(0, digits - before), value);
}

// For people, and for programs.
constexpr int kDigits = 5, kAllDigits = 10;

std::string Cell(const Figure& f, double value, int digits) {
  return f.is_count ? Number(value, 0) : Significant(value, digits);
}

std::string People(const QualityReport& r, bool markdown) {
  const char* end = markdown ? "  \n" : "\n";
  std::string out = InfoLine(r.info) + end + r.line + end;
  if (!r.note.empty()) out += "note: " + r.note + end;
  Cells rows = {{"figure", "value", "±"}};
  for (const Figure& f : r.figures) {
    if (f.title == nullptr) continue;
    // Percentiles of few tokens.
    rows.push_back({f.title,
                    std::isnan(f.value) ? "n/a" : Cell(f, f.value, kDigits),
                    std::isnan(f.error) ? "" : Cell(f, f.error, kDigits - 2)});
  }
  return out + "\n" + Table(rows, /*last_is_text=*/false, markdown);
}

std::string CsvText(const QualityReport& r) {
  Cells rows = {{"model", "threads", "target", "kv"},
                {r.info.model, Format("%zu", r.info.threads), r.info.target,
                 KvName(r.info.kv)}};
  const auto add = [&](std::string head, std::string cell) {
    rows[0].push_back(std::move(head));
    rows[1].push_back(std::move(cell));
  };
  for (const auto& [key, text] : r.texts) add(key, text);
  for (const Figure& f : r.figures) {
    add(f.key, Cell(f, f.value, kAllDigits));
    if (f.is_count || std::isnan(f.error)) continue;
    add(std::string(f.key) + "_error", Cell(f, f.error, kAllDigits));
  }
  return Csv(rows);
}

void AddFigure(const Figure& f, JsonObject* o, std::string* out) {
  const auto add = [&](const std::string& key, double value) {
    o->Key(key.c_str());
    *out += std::isfinite(value) ? Cell(f, value, kAllDigits) : "null";
  };
  add(f.key, f.value);
  if (!std::isnan(f.error)) add(std::string(f.key) + "_error", f.error);
}

std::string JsonText(const QualityReport& r) {
  std::string out;
  JsonObject o(&out);
  o.Count("schema", 1);
  o.Text("verb", r.verb);
  AddInfo(r.info, &o);
  for (const auto& [key, text] : r.texts) o.Text(key, text);
  for (const Figure& f : r.figures) AddFigure(f, &o, &out);
  o.Text("note", r.note);
  o.End();
  return out + "\n";
}

}  // namespace

std::string Print(const QualityReport& report, OutputFormat format) {
  return PrintAs(report, format, JsonText, CsvText, People);
}

}  // namespace slm::bench
