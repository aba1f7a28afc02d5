// SPDX-License-Identifier: MIT
#include "loader/tokenizer_config.h"

#include <string>

#include "gtest/gtest.h"
#include "loader/template_files.h"
#include "tests/loader/shared_fixtures.h"
#include "tests/temporary_folder.h"

namespace slm {
namespace {

class TokenizerFiles : public TemporaryFolder {
 protected:
  LogLines log_;
};

TEST_F(TokenizerFiles, TokensAreStringsOrObjects) {
  Write("tokenizer_config.json",
        "\xEF\xBB\xBF"
        R"({"bos_token": "<s>",
    "eos_token": {"__type": "AddedToken", "content": "</s>", "lstrip": false},
    "pad_token": null, "add_bos_token": true, "add_eos_token": null,
    "model_max_length": 1000000000000000019884624838656,
    "tokenizer_class": "LlamaTokenizer", "chat_template": "{{ x }}",
    "added_tokens_decoder": {"0": {"content": "<unk>"}}})");
  Write("special_tokens_map.json", R"({"bos_token": "<other>",
    "unk_token": {"content": "<unk>"}, "additional_special_tokens": ["a"]})");
  const auto config = LoadTokenizerConfig(root_, log_.Sink());
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_TRUE(log_.lines.empty());
  EXPECT_EQ(config->bos_token, "<s>");
  EXPECT_EQ(config->eos_token, "</s>");
  EXPECT_EQ(config->unk_token, "<unk>");
  EXPECT_FALSE(config->pad_token.has_value());
  EXPECT_EQ(config->add_bos_token, true);
  EXPECT_FALSE(config->add_eos_token.has_value());
  EXPECT_FALSE(config->model_max_length.has_value());
  EXPECT_EQ(config->tokenizer_class, "LlamaTokenizer");
  EXPECT_EQ(config->chat_template, "{{ x }}");
}

TEST_F(TokenizerFiles, AListOfTemplatesGivesTheDefaultAndKeepsTheOthers) {
  Write("tokenizer_config.json", R"({"model_max_length": 512, "chat_template": [
    {"name": "tool_use", "template": "T"},
    {"name": "default", "template": "D"}]})");
  const auto config = LoadTokenizerConfig(root_, log_.Sink());
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->model_max_length, 512);
  EXPECT_EQ(config->chat_template, "D");
  ASSERT_EQ(config->other_templates.size(), 1u);
  EXPECT_EQ(config->other_templates[0].name, "tool_use");
  EXPECT_EQ(config->other_templates[0].source, "T");

  Write("tokenizer_config.json",
        R"({"chat_template": [{"name": "rag", "template": "R"}]})");
  const auto other = LoadTokenizerConfig(root_, log_.Sink());
  ASSERT_TRUE(other.ok());
  EXPECT_FALSE(other->chat_template.has_value());
  EXPECT_TRUE(log_.Holds("without a \"default\""));
}

TEST_F(TokenizerFiles, BothFilesMayBeAbsent) {
  const auto config = LoadTokenizerConfig(root_, log_.Sink());
  ASSERT_TRUE(config.ok());
  EXPECT_FALSE(config->eos_token.has_value());
  EXPECT_TRUE(log_.Holds("no tokenizer_config.json"));
}

TEST_F(TokenizerFiles, RefusesNamingFileAndKey) {
  struct Case {
    const char* json;
    const char* part;
  };
  const Case cases[] = {
      {R"({"bos_token": 3})", "bos_token = 3, expected a string"},
      {R"({"bos_token": {"x": 3}})", "bos_token = an object"},
      {R"({"chat_template": 3})", "chat_template = 3"},
      {R"({"chat_template": ["x"]})", "chat_template holds \"x\""},
      {R"({"add_bos_token": "yes"})", "add_bos_token = \"yes\""},
      {R"([1])", "the root is a list of 1 items"},
      {R"({"a": )", "broken JSON"},
      {"{\"chat_template\": \"\xC0\xAF\"}", "broken JSON"},
  };
  for (const Case& c : cases) {
    Write("tokenizer_config.json", c.json);
    const auto config = LoadTokenizerConfig(root_, {});
    ASSERT_FALSE(config.ok()) << c.json;
    const std::string message = config.status().message();
    EXPECT_NE(message.find("tokenizer_config.json: "), std::string::npos)
        << message;
    EXPECT_NE(message.find(c.part), std::string::npos) << message;
  }
}

TEST_F(TokenizerFiles, TemplatesHaveTwoOrders) {
  struct Case {
    const char* in_config;  // nullptr: no such file or key
    const char* in_jinja;
    const char* in_json;
    const char* ort;
    const char* hugging_face;
  };
  const Case cases[] = {
      {"C", "J", "S", "C", "J"},           {"C", nullptr, "S", "C", "C"},
      {nullptr, "J", "S", "J", "J"},       {nullptr, nullptr, "S", "S", "S"},
      {"", "J", nullptr, "J", "J"},        {"C", "", nullptr, "C", "C"},
      {nullptr, nullptr, nullptr, "", ""},
  };
  for (const Case& c : cases) {
    SetUp();
    TokenizerConfig config;
    if (c.in_config) config.chat_template = c.in_config;
    if (c.in_jinja) Write("chat_template.jinja", c.in_jinja);
    if (c.in_json) {
      Write("chat_template.json",
            Format(R"({"chat_template": "%s"})", c.in_json));
    }
    const auto ort = FindTemplate(root_, config, TemplateOrder::kOrtGenAi);
    ASSERT_TRUE(ort.ok());
    EXPECT_EQ(ort->source, c.ort);
    const char* file = *c.ort == 'C'   ? "/tokenizer_config.json"
                       : *c.ort == 'J' ? "/chat_template.jinja"
                                       : "/chat_template.json";
    EXPECT_EQ(ort->file, *c.ort ? root_ + file : "");
    const auto hf = FindTemplate(root_, config, TemplateOrder::kHuggingFace);
    ASSERT_TRUE(hf.ok());
    EXPECT_EQ(hf->source, c.hugging_face);
  }
}

TEST_F(TokenizerFiles, TemplatesMustBeUtf8) {
  Write("chat_template.jinja", "{{ x }}\xE2\x82");
  const auto found =
      FindTemplate(root_, TokenizerConfig(), TemplateOrder::kOrtGenAi);
  ASSERT_FALSE(found.ok());
  EXPECT_NE(found.status().message().find("chat_template.jinja: the template "
                                          "is not UTF-8"),
            std::string::npos);
}

}  // namespace
}  // namespace slm
