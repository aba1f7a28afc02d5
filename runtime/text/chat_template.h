// SPDX-License-Identifier: MIT
// Chat templates: the Jinja that Hugging Face's models use, as jinja2 3.1.6
// renders it in the environment of transformers' apply_chat_template
// (immutable sandbox, trim_blocks, lstrip_blocks, loop controls).
//
//   template_lex -> template_parse (a Program) -> template_eval
//   template_ops: operators, attributes, iteration;  template_print: str, repr
//   and JSON;  template_{filters,tests,methods,functions}: tables of builtins
//
// Text typed by a user keeps its marks through all of it, so that the caller
// can keep the tokenizer from reading control tokens in it.
#ifndef SLM_RUNTIME_TEXT_CHAT_TEMPLATE_H_
#define SLM_RUNTIME_TEXT_CHAT_TEMPLATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/template_error.h"
#include "runtime/text/text_span.h"
#include "runtime/text/value.h"

namespace slm {

namespace jinja {
struct Program;
}

struct RenderedPrompt {
  std::string text;
  std::vector<TextSpan> user_spans;  // typed by a user: sorted, apart
};

// What strftime_now sees.
struct TemplateDate {
  int year = 1970, month = 1, day = 1;
  int hour = 0, minute = 0, second = 0;
};

// A render that goes over one of them fails. Work and memory are counted over
// the whole render, so the defaults bound it to well under a second and 200 MB.
struct TemplateLimits {
  size_t max_output_bytes = 16 << 20;
  uint64_t max_steps = 5'000'000;  // nodes evaluated, items, 64-byte pieces
  size_t max_depth = 100;          // of macro calls
  size_t max_memory = 128 << 20;   // bytes ever allocated for values
};

enum class TemplateDialect {
  kTransformers,  // what transformers 4.57 knows, nothing else
  kExtended,      // and the filter from_json, which newer templates use
};

class ChatTemplate {
 public:
  // `name` is for messages ("chat_template"). Immutable and shareable.
  static Result<ChatTemplate> Parse(
      std::string source, std::string name,
      TemplateDialect dialect = TemplateDialect::kTransformers,
      TemplateError* error = nullptr);

  // `context` is a dict of the template's variables. On failure, *error (if
  // not null) gets the parts of the message.
  Result<RenderedPrompt> Render(const jinja::Value& context,
                                const TemplateDate& now,
                                const TemplateLimits& limits = {},
                                TemplateError* error = nullptr) const;

  const std::string& source() const;
  // Does the template name this variable at all?
  bool Mentions(std::string_view variable) const;

 private:
  std::shared_ptr<const jinja::Program> program_;
};

}  // namespace slm

#endif  // SLM_RUNTIME_TEXT_CHAT_TEMPLATE_H_
