// SPDX-License-Identifier: MIT
// The demo model's score on questions that its training never had
// (tools/demo/corpus.py heldout), greedy, as tools/demo/README.md tells it.
#include <cctype>
#include <cstdio>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "gtest/gtest.h"
#include "loader/json.h"
#include "slm/slm.hpp"

namespace slm {
namespace {

constexpr size_t kMostTokens = 120;

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// `expected` is there and no word or number goes on behind it.
bool Contains(const std::string& answer, const std::string& expected) {
  for (size_t at = answer.find(expected); at != std::string::npos;
       at = answer.find(expected, at + 1)) {
    const size_t end = at + expected.size();
    if (end == answer.size() ||
        !std::isalnum(static_cast<unsigned char>(answer[end]))) {
      return true;
    }
  }
  return false;
}

std::string Ask(slm_chat* chat, const slm_sampling& sampling,
                std::string_view question) {
  std::string answer;
  auto failure = api::AddTurn(chat, "user", question);
  if (!failure) {
    failure = api::Answer(chat, sampling, [&](std::string_view text) {
      answer += text;
      return true;
    });
  }
  EXPECT_FALSE(failure) << failure.message();
  return answer;
}

struct Score {
  int right = 0, asked = 0;
};

TEST(DemoModel, AnswersWhatItNeverSawAsOftenAsItsReadmeSays) {
  const std::string demo = SLM_DEMO_DIR;
  const std::string readme = ReadText(demo + "/README.md");
  std::smatch told;
  ASSERT_TRUE(std::regex_search(
      readme, told, std::regex("\\*\\*([0-9]+) of ([0-9]+)\\*\\*")));
  api::ModelPtr model;
  slm_model_params params;
  slm_model_params_init(&params);
  const std::string folder = demo + "/model";
  params.path = folder.c_str();
  auto failure = api::OpenModel(params, &model);
  ASSERT_FALSE(failure) << failure.message();
  slm_sampling sampling;
  slm_sampling_init(model.get(), &sampling);
  sampling.do_sample = 0;
  sampling.max_tokens = kMostTokens;
  std::map<std::string, Score> scores;
  Score all;
  std::ifstream questions(demo + "/heldout.jsonl");
  for (std::string line; std::getline(questions, line);) {
    const auto document = JsonDocument::Parse(line);
    ASSERT_TRUE(document.ok()) << document.status().message();
    slm_chat_params chat_params;
    slm_chat_params_init(&chat_params);
    chat_params.context = 512;
    api::ChatPtr chat;
    failure = api::NewChat(model.get(), chat_params, &chat);
    ASSERT_FALSE(failure) << failure.message();
    std::string answer;
    for (const JsonValue& turn : document->root().Find("turns")->Items()) {
      answer = Ask(chat.get(), sampling, turn.String());
    }
    const bool right = Contains(
        answer, std::string(document->root().Find("expect")->String()));
    Score& score =
        scores[std::string(document->root().Find("category")->String())];
    for (Score* s : {&score, &all}) {
      s->right += right;
      ++s->asked;
    }
    if (!right) std::printf("wrong: %s\n  %s\n", line.c_str(), answer.c_str());
  }
  for (const auto& [category, score] : scores) {
    std::printf("%-12s %3d of %3d\n", category.c_str(), score.right,
                score.asked);
  }
  std::printf("%-12s %3d of %3d\n", "all", all.right, all.asked);
  EXPECT_EQ(all.asked, std::stoi(told[2]));
  // Targets sum in other orders: a choice between two close tokens may flip.
  EXPECT_NEAR(all.right, std::stoi(told[1]), 3);
}

}  // namespace
}  // namespace slm
