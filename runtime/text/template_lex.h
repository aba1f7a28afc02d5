// SPDX-License-Identifier: MIT
// Tokens of a template, with Jinja's white space control: trim_blocks and
// lstrip_blocks are on, as in transformers.
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_LEX_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_LEX_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/template_error.h"
#include "runtime/text/value.h"

namespace slm::jinja {

enum class TokenType : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenType type;
  uint32_t offset;
  std::string text;  // data, names, decoded strings, operators
  Value number;
};

// As in messages: "end of print statement", "name" ...
std::string Describe(const Token& token);

// Line ends become '\n' and one at the end is dropped.
std::string NormalizeNewlines(std::string_view source);

// False and *error if the source is no sequence of tokens. The last token is
// kEnd.
bool Tokenize(std::string_view source, std::vector<Token>* tokens,
              TemplateError* error);

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_LEX_H_
