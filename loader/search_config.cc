// SPDX-License-Identifier: MIT
#include "loader/search_config.h"

#include <limits>
#include <variant>

#include "loader/fields.h"
#include "runtime/core/result.h"

namespace slm {
namespace {

constexpr double kIntMax = std::numeric_limits<int32_t>::max();

std::string Show(const Setting<bool>& s) { return s.value ? "true" : "false"; }
std::string Show(const Setting<int64_t>& s) {
  return Format("%lld", static_cast<long long>(s.value));
}
std::string Show(const Setting<double>& s) { return Format("%g", s.value); }

}  // namespace

const char* ConfigSourceName(ConfigSource source) {
  static constexpr const char* kNames[] = {"default", "inference_model.json",
                                           "generation_config.json",
                                           "genai_config.json", "flag"};
  return kNames[static_cast<size_t>(source)];
}

std::vector<Field> SearchFields(const std::string& prefix, SearchConfig* s) {
  return {
      {prefix + "do_sample", &s->do_sample},
      {prefix + "temperature", &s->temperature, 0, 1e6},
      // -1 is another spelling of 0, "no limit".
      {prefix + "top_k", &s->top_k, -1, kIntMax},
      {prefix + "top_p", &s->top_p, 0, 1},
      {prefix + "min_p", &s->min_p, 0, 1},
      {prefix + "repetition_penalty", &s->repetition_penalty, 1e-6, 1e6},
      {prefix + "no_repeat_ngram_size", &s->no_repeat_ngram_size, 0, kIntMax},
      {prefix + "min_length", &s->min_length, 0, kIntMax},
      {prefix + "max_length", &s->max_length, 0, kIntMax},
      {prefix + "max_new_tokens", &s->max_new_tokens, 0, kIntMax},
      {prefix + "num_beams", &s->num_beams, 1, 32},
      {prefix + "num_return_sequences", &s->num_return_sequences, 1, 32},
      {prefix + "length_penalty", &s->length_penalty, -1e6, 1e6},
      {prefix + "early_stopping", &s->early_stopping},
      {prefix + "batch_size", &s->batch_size, 1, 32},
      {prefix + "past_present_share_buffer", &s->past_present_share_buffer},
      {prefix + "chunk_size", &s->chunk_size, -kIntMax, kIntMax},
      {prefix + "random_seed", &s->random_seed, -1, kIntMax},
      // Read by ORT GenAI, too, without an effect on text.
      {prefix + "diversity_penalty", Ignored{}},
      {prefix + "blank_penalty", Ignored{}},
  };
}

std::vector<std::string> DescribeSearch(const SearchConfig& search) {
  // The table's paths are the names; it wants targets that it could write to.
  SearchConfig copy = search;
  std::vector<std::string> lines;
  for (const Field& field : SearchFields("", &copy)) {
    const auto add = [&](const auto& setting) {
      lines.push_back(Format("%s = %s (%s)", field.path.c_str(),
                             Show(setting).c_str(),
                             ConfigSourceName(setting.source)));
    };
    if (const auto* b = std::get_if<Setting<bool>*>(&field.target)) add(**b);
    if (const auto* i = std::get_if<Setting<int64_t>*>(&field.target)) {
      add(**i);
    }
    if (const auto* d = std::get_if<Setting<double>*>(&field.target)) add(**d);
  }
  return lines;
}

}  // namespace slm
