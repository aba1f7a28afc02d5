// SPDX-License-Identifier: MIT
#include "runtime/text/chat_template.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "runtime/core/utf8.h"
#include "runtime/text/template_ast.h"
#include "runtime/text/template_eval.h"
#include "runtime/text/template_lex.h"
#include "runtime/text/template_parse.h"

namespace slm {
namespace {

// The longest template of 68 known ones has 17 kB.
constexpr size_t kMaxSource = 4 << 20;

}  // namespace

Result<ChatTemplate> ChatTemplate::Parse(std::string source, std::string name,
                                         TemplateDialect dialect,
                                         TemplateError* error) {
  TemplateError local;
  TemplateError& why = error ? *error : local;
  why = {};
  if (source.size() > kMaxSource) {
    why = {"limit",
           Format("the template has %zu bytes, at most %zu are read",
                  source.size(), kMaxSource),
           0, false};
    return ToStatus(why, name, {});
  }
  if (!IsValidUtf8(source)) {
    why = {"TemplateSyntaxError", "the template is not valid UTF-8", 0, false};
    return ToStatus(why, name, {});
  }
  auto program = std::make_shared<jinja::Program>();
  program->name = std::move(name);
  program->source = jinja::NormalizeNewlines(source);
  if (!jinja::Parse(program.get(), dialect == TemplateDialect::kExtended,
                    &why)) {
    return ToStatus(why, program->name, program->source);
  }
  ChatTemplate parsed;
  parsed.program_ = std::move(program);
  return parsed;
}

Result<RenderedPrompt> ChatTemplate::Render(const jinja::Value& context,
                                            const TemplateDate& now,
                                            const TemplateLimits& limits,
                                            TemplateError* error) const {
  TemplateError local;
  TemplateError& why = error ? *error : local;
  why = {};
  jinja::StringBuilder out;
  if (!jinja::Evaluate(*program_, context, now, limits, &out, &why)) {
    return ToStatus(why, program_->name, program_->source);
  }
  RenderedPrompt prompt;
  prompt.text = out.TakeText();
  prompt.user_spans = out.TakeMarks();
  return prompt;
}

const std::string& ChatTemplate::source() const { return program_->source; }

bool ChatTemplate::Mentions(std::string_view variable) const {
  return std::find(program_->names.begin(), program_->names.end(), variable) !=
         program_->names.end();
}

}  // namespace slm
