// SPDX-License-Identifier: MIT
#include "tools/convert/divergence.h"

#include <algorithm>
#include <cmath>

#include "runtime/logprobs.h"

namespace slm::convert {
namespace {

double Mean(std::span<const float> row) {
  double sum = 0;
  for (const float v : row) sum += double{v};
  return sum / static_cast<double>(row.size());
}

ptrdiff_t Best(std::span<const float> row) {
  return std::max_element(row.begin(), row.end()) - row.begin();
}

double Ratio(double sum, size_t count) {
  return count ? sum / static_cast<double>(count) : 0;
}

}  // namespace

void Divergence::Add(std::span<const float> source,
                     std::span<const float> output, int32_t next) {
  ++rows;
  float check = 0;  // 0, or NaN: x - x of infinities is NaN, too
  for (const float v : output) check += v - v;
  if (check != 0) {
    finite = false;
    return;
  }
  const double log_source = LogSumExp(source), log_output = LogSumExp(output);
  const double mean_source = Mean(source), mean_output = Mean(output);
  kl += KlDivergence(source, log_source, output, log_output);
  for (size_t i = 0; i < source.size(); ++i) {
    const double s = double{source[i]} - mean_source;
    const double error = double{output[i]} - mean_output - s;
    error_squares += error * error;
    source_squares += s * s;
    output_squares += (s + error) * (s + error);
  }
  same_top += Best(source) == Best(output);
  if (next < 0) return;
  ++predictions;
  source_surprise += log_source - double{source[static_cast<size_t>(next)]};
  output_surprise += log_output - double{output[static_cast<size_t>(next)]};
}

void Divergence::Add(const Divergence& other) {
  rows += other.rows;
  same_top += other.same_top;
  predictions += other.predictions;
  kl += other.kl;
  source_surprise += other.source_surprise;
  output_surprise += other.output_surprise;
  error_squares += other.error_squares;
  source_squares += other.source_squares;
  output_squares += other.output_squares;
  finite = finite && other.finite;
}

double Divergence::MeanKl() const { return Ratio(kl, rows); }

double Divergence::Top1() const {
  return Ratio(static_cast<double>(same_top), rows);
}

double Divergence::SourcePerplexity() const {
  return predictions ? std::exp(Ratio(source_surprise, predictions)) : 0;
}

double Divergence::OutputPerplexity() const {
  return predictions ? std::exp(Ratio(output_surprise, predictions)) : 0;
}

double Divergence::RelativeError() const {
  if (source_squares > 0) return std::sqrt(error_squares / source_squares);
  return error_squares > 0 ? 1 : 0;
}

// sum s o / sqrt(sum s^2 sum o^2), of which (o - s)^2 = o^2 + s^2 - 2 s o.
double Divergence::Correlation() const {
  const double product = (source_squares + output_squares - error_squares) / 2;
  const double norm = std::sqrt(source_squares) * std::sqrt(output_squares);
  if (norm > 0) return product / norm;
  return error_squares > 0 ? 0 : 1;
}

}  // namespace slm::convert
