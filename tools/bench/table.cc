// SPDX-License-Identifier: MIT
#include "tools/bench/table.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/result.h"

namespace slm::bench {
namespace {

// Columns on a screen, of text without wide characters.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string Padded(const std::string& text, size_t width, bool left) {
  const std::string blanks(width - Width(text), ' ');
  return left ? text + blanks : blanks + text;
}

}  // namespace

std::string Table(const Cells& rows, bool last_is_text, bool markdown) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const bool left = i == 0 || (last_is_text && i == row.size() - 1);
      const std::string cell = Padded(row[i], widths[i], left);
      out += markdown ? "| " + cell + " " : cell + "  ";
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    out += markdown ? " |\n" : "\n";
    if (!markdown || &row != &rows[0]) continue;
    for (size_t i = 0; i < row.size(); ++i) {
      const bool left = i == 0 || (last_is_text && i == row.size() - 1);
      out += left ? "|---" : "|---:";
    }
    out += "|\n";
  }
  return out;
}

std::string Csv(const Cells& rows) {
  std::string out;
  for (const auto& row : rows) {
    for (const std::string& cell : row) {
      if (&cell != &row[0]) out += ',';
      if (cell.find_first_of(",\"\r\n") == std::string::npos) {
        out += cell;
        continue;
      }
      out += '"';
      for (const char c : cell) out += c == '"' ? "\"\"" : std::string(1, c);
      out += '"';
    }
    out += '\n';
  }
  return out;
}

std::string Number(double value, int decimals) {
  return std::isfinite(value) ? Format("%.*f", decimals, value) : "-";
}

}  // namespace slm::bench
