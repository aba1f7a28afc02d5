// SPDX-License-Identifier: MIT
#include "loader/template_files.h"

#include <utility>

#include "loader/fields.h"
#include "runtime/core/file.h"
#include "runtime/core/utf8.h"

namespace slm {
namespace {

Result<std::string> ReadJinja(const std::string& path) {
  if (!IsFile(path)) return std::string();
  SLM_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  if (text.compare(0, 3, "\xEF\xBB\xBF") == 0) text.erase(0, 3);
  if (!IsValidUtf8(text)) {
    return Invalid("%s: the template is not UTF-8",
                   Printable(path, 400).c_str());
  }
  return text;
}

Result<std::string> ReadTemplateJson(const std::string& path) {
  if (!IsFile(path)) return std::string();
  SLM_ASSIGN_OR_RETURN(const JsonDocument document, LoadJsonObject(path));
  std::string text;
  FieldReader reader;
  reader.file = path;
  reader.fields = {{"chat_template", &text}};
  SLM_RETURN_IF_ERROR(ReadFields(document.root(), reader));
  return text;
}

}  // namespace

Result<TemplateSource> FindTemplate(const std::string& folder,
                                    const TokenizerConfig& config,
                                    TemplateOrder order) {
  TemplateSource in_config{config.chat_template.value_or(""),
                           folder + "/tokenizer_config.json"};
  TemplateSource in_jinja{"", folder + "/chat_template.jinja"};
  const bool config_wins =
      order == TemplateOrder::kOrtGenAi && !in_config.source.empty();
  if (config_wins) return in_config;
  SLM_ASSIGN_OR_RETURN(in_jinja.source, ReadJinja(in_jinja.file));
  if (!in_jinja.source.empty()) return in_jinja;
  if (!in_config.source.empty()) return in_config;
  TemplateSource in_json{"", folder + "/chat_template.json"};
  SLM_ASSIGN_OR_RETURN(in_json.source, ReadTemplateJson(in_json.file));
  if (!in_json.source.empty()) return in_json;
  return TemplateSource();
}

}  // namespace slm
