// SPDX-License-Identifier: MIT
// How tokens are chosen when the user does not say: values from several files,
// each remembering where it came from.
#ifndef SLM_LOADER_SEARCH_CONFIG_H_
#define SLM_LOADER_SEARCH_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace slm {

// In rising order of precedence.
enum class ConfigSource {
  kDefault,
  kInferenceModel,    // inference_model.json, ModelConfig
  kGenerationConfig,  // generation_config.json
  kGenAiConfig,       // genai_config.json, search
  kFlag,              // command line, request
};

const char* ConfigSourceName(ConfigSource source);

// A value that a stronger source may replace, in whatever order they are read.
template <typename T>
struct Setting {
  T value{};
  ConfigSource source = ConfigSource::kDefault;

  void Set(T new_value, ConfigSource new_source) {
    if (new_source < source) return;
    value = new_value;
    source = new_source;
  }
  bool IsSet() const { return source != ConfigSource::kDefault; }
};

// The initial values are those of ORT GenAI. chunk_size, max_length and
// max_new_tokens are 0 where nobody set them: no chunks, the context's length,
// no limit.
struct SearchConfig {
  Setting<bool> do_sample{false};
  Setting<double> temperature{1.0};
  Setting<int64_t> top_k{50};
  Setting<double> top_p{0.0};
  Setting<double> min_p{0.0};
  Setting<double> repetition_penalty{1.0};
  Setting<int64_t> no_repeat_ngram_size{0};
  Setting<int64_t> min_length{0};
  Setting<int64_t> max_length{0};      // prompt and output
  Setting<int64_t> max_new_tokens{0};  // output
  Setting<int64_t> num_beams{1};
  Setting<int64_t> num_return_sequences{1};
  Setting<double> length_penalty{1.0};
  Setting<bool> early_stopping{true};
  Setting<int64_t> batch_size{1};
  Setting<bool> past_present_share_buffer{false};
  Setting<int64_t> chunk_size{0};
  Setting<int64_t> random_seed{-1};  // -1: a new one each time
};

struct Field;
// The rows of the settings that genai_config.json's "search" and
// generation_config.json share; `prefix` is "search." or "".
std::vector<Field> SearchFields(const std::string& prefix,
                                SearchConfig* search);

// One line for each setting in the form "temperature = 0.7 (default)".
std::vector<std::string> DescribeSearch(const SearchConfig& search);

}  // namespace slm

#endif  // SLM_LOADER_SEARCH_CONFIG_H_
