// SPDX-License-Identifier: MIT
#include "loader/tokenizer_config.h"

#include <utility>

#include "loader/fields.h"
#include "runtime/core/file.h"

namespace slm {
namespace {

// No context is longer; transformers writes 1e30 for "no limit".
constexpr double kMaxModelLength = 1 << 30;

std::vector<Field> TokenFields(TokenizerConfig* config) {
  return {
      {"bos_token", TokenText{&config->bos_token}},
      {"eos_token", TokenText{&config->eos_token}},
      {"pad_token", TokenText{&config->pad_token}},
      {"unk_token", TokenText{&config->unk_token}},
  };
}

// A string, or a list of {"name", "template"}.
Status ReadTemplates(const JsonValue& value, const std::string& path,
                     TokenizerConfig* config) {
  if (value.IsString()) {
    config->chat_template = std::string(value.String());
    return OkStatus();
  }
  if (!value.IsArray()) {
    return Invalid("%s = %s, expected a string or a list", path.c_str(),
                   ShowJson(value).c_str());
  }
  for (const JsonValue& item : value.Items()) {
    const JsonValue* name = item.Find("name");
    const JsonValue* source = item.Find("template");
    if (!name || !name->IsString() || !source || !source->IsString()) {
      return Invalid(
          "%s holds %s, expected objects with the strings \"name\" and "
          "\"template\"",
          path.c_str(), ShowJson(item).c_str());
    }
    if (name->String() == "default") {
      config->chat_template = std::string(source->String());
    } else {
      config->other_templates.push_back(
          {std::string(name->String()), std::string(source->String())});
    }
  }
  return OkStatus();
}

Status ReadTokenizerConfig(const JsonValue& root, const std::string& path,
                           const LogSink& log, TokenizerConfig* config) {
  double model_max_length = 0;
  FieldReader reader;
  reader.file = path;
  reader.log = log;
  reader.fields = TokenFields(config);
  const std::vector<Field> more = {
      {"add_bos_token", &config->add_bos_token},
      {"add_eos_token", &config->add_eos_token},
      {"clean_up_tokenization_spaces", &config->clean_up_tokenization_spaces},
      {"model_max_length", &model_max_length},
      {"tokenizer_class", &config->tokenizer_class},
      {"chat_template",
       FieldFunction([config](const JsonValue& value, const std::string& key) {
         return ReadTemplates(value, key, config);
       })},
  };
  reader.fields.insert(reader.fields.end(), more.begin(), more.end());
  SLM_RETURN_IF_ERROR(ReadFields(root, reader));
  if (model_max_length >= 1 && model_max_length <= kMaxModelLength) {
    config->model_max_length = static_cast<int64_t>(model_max_length);
  }
  if (!config->chat_template && !config->other_templates.empty()) {
    Log(log, LogLevel::kWarn,
        Printable(path, 400) +
            ": chat_template is a list without a \"default\": none is used");
  }
  return OkStatus();
}

void FillAbsent(const std::optional<std::string>& from,
                std::optional<std::string>* to) {
  if (!*to) *to = from;
}

}  // namespace

Result<TokenizerConfig> LoadTokenizerConfig(const std::string& folder,
                                            const LogSink& log) {
  TokenizerConfig config;
  const std::string main = folder + "/tokenizer_config.json";
  if (IsFile(main)) {
    SLM_ASSIGN_OR_RETURN(const JsonDocument document, LoadJsonObject(main));
    SLM_RETURN_IF_ERROR(
        ReadTokenizerConfig(document.root(), main, log, &config));
  } else {
    Log(log, LogLevel::kWarn,
        Printable(folder, 400) +
            ": no tokenizer_config.json: special tokens come from "
            "tokenizer.json alone");
  }
  const std::string map = folder + "/special_tokens_map.json";
  if (!IsFile(map)) return config;
  SLM_ASSIGN_OR_RETURN(const JsonDocument document, LoadJsonObject(map));
  TokenizerConfig fallback;
  FieldReader reader;
  reader.file = map;
  reader.log = log;
  reader.fields = TokenFields(&fallback);
  SLM_RETURN_IF_ERROR(ReadFields(document.root(), reader));
  FillAbsent(fallback.bos_token, &config.bos_token);
  FillAbsent(fallback.eos_token, &config.eos_token);
  FillAbsent(fallback.pad_token, &config.pad_token);
  FillAbsent(fallback.unk_token, &config.unk_token);
  return config;
}

}  // namespace slm
