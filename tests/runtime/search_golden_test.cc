// SPDX-License-Identifier: MIT
// Tokens that onnxruntime-genai chose for the same options, seeds and logits;
// tests/runtime/make_search_goldens.py made the file and says how.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/beam.h"
#include "runtime/core/file.h"
#include "runtime/search.h"

namespace slm {
namespace {

using Tokens = std::vector<int32_t>;
using Keys = std::map<std::string, std::string>;

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

Tokens ParseTokens(const std::string& text) {
  Tokens tokens;
  for (const std::string& t : Split(text, ',')) tokens.push_back(std::stoi(t));
  return tokens;
}

Keys ParseKeys(std::string_view text) {
  Keys keys;
  for (const std::string& field : Split(text, ' ')) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos) continue;
    keys[field.substr(0, equals)] = field.substr(equals + 1);
  }
  return keys;
}

double Number(const Keys& keys, const char* name, double otherwise) {
  const auto at = keys.find(name);
  return at == keys.end() ? otherwise : std::stod(at->second);
}

// The defaults are those of the model's genai_config.json.
SearchOptions OptionsOf(const Keys& keys, const Tokens& eos) {
  SearchOptions o;
  o.do_sample = Number(keys, "do_sample", 0) != 0;
  o.min_length = static_cast<int64_t>(Number(keys, "min_length", 0));
  o.max_length = static_cast<int64_t>(Number(keys, "max_length", 256));
  o.num_beams = static_cast<int64_t>(Number(keys, "num_beams", 1));
  o.num_return_sequences =
      static_cast<int64_t>(Number(keys, "num_return_sequences", 1));
  o.repetition_penalty =
      static_cast<float>(Number(keys, "repetition_penalty", 1));
  o.top_k = static_cast<int64_t>(Number(keys, "top_k", 50));
  o.top_p = static_cast<float>(Number(keys, "top_p", 1));
  o.temperature = static_cast<float>(Number(keys, "temperature", 1));
  o.early_stopping = Number(keys, "early_stopping", 1) != 0;
  o.no_repeat_ngram_size =
      static_cast<int64_t>(Number(keys, "no_repeat_ngram_size", 0));
  o.length_penalty = static_cast<float>(Number(keys, "length_penalty", 1));
  o.seed = static_cast<int64_t>(Number(keys, "random_seed", -1));
  o.eos_ids = eos;
  return o;
}

// logits_row of the script, bit for bit.
void FillRow(uint32_t step, uint32_t beam, std::span<float> row) {
  for (size_t i = 0; i < row.size(); ++i) {
    uint32_t x = static_cast<uint32_t>(i) + step * 1000003u + beam * 7919u;
    x *= 2654435761u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    const float u = static_cast<float>(x >> 8) * 0x1p-21f;
    const float square = u * u * 0.25f;
    row[i] = square - 6.0f;
  }
}

struct Golden {
  std::string name;
  size_t vocab = 0;
  Tokens eos, prompt;
  Keys keys;
  std::vector<Tokens> tokens;
};

std::vector<Golden> Load() {
  std::vector<Golden> goldens;
  auto text = ReadFile(std::string(SLM_TEST_DATA_DIR) + "/search_goldens.txt");
  EXPECT_TRUE(text.ok()) << text.status().message();
  if (!text.ok()) return goldens;
  Golden common;
  for (const std::string& line : Split(*text, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    Keys keys = ParseKeys(line);
    if (keys.count("vocab") != 0) {
      common.vocab = static_cast<size_t>(std::stoi(keys["vocab"]));
      common.eos = ParseTokens(keys["eos"]);
      common.prompt = ParseTokens(keys["prompt"]);
      continue;
    }
    Golden golden = common;
    golden.name = line;
    for (const std::string& t : Split(keys["tokens"], '|')) {
      golden.tokens.push_back(ParseTokens(t));
    }
    golden.keys = std::move(keys);
    goldens.push_back(std::move(golden));
  }
  return goldens;
}

// The rows [num_beams, V] of one step as the script makes them.
std::vector<float> Rows(const Golden& golden, uint32_t step) {
  const size_t beams = static_cast<size_t>(Number(golden.keys, "num_beams", 1));
  const int keep_eos = static_cast<int>(Number(golden.keys, "keep_eos", 0));
  std::vector<float> rows(beams * golden.vocab);
  for (size_t b = 0; b < beams; ++b) {
    const auto row = std::span(rows).subspan(b * golden.vocab, golden.vocab);
    const uint32_t salt =
        static_cast<uint32_t>(Number(golden.keys, "salt", 0)) * 100;
    FillRow(salt + (Number(golden.keys, "fixed", 0) != 0 ? 0 : step),
            static_cast<uint32_t>(b), row);
    if (keep_eos == 0) {
      for (const int32_t id : golden.eos) row[id] = -100;
    } else if (keep_eos == 2 && step % 3 == 1 && step % beams == b) {
      row[golden.eos[0]] = 10.5f;
    }
  }
  return rows;
}

TEST(SearchGoldens, SampledAndGreedyTokensAreThoseOfOnnxRuntimeGenAi) {
  const std::vector<Golden> goldens = Load();
  size_t count = 0;
  for (const Golden& golden : goldens) {
    if (golden.keys.count("num_beams") != 0) continue;
    SCOPED_TRACE(golden.name);
    auto search = Search::Create(OptionsOf(golden.keys, golden.eos),
                                 static_cast<int64_t>(golden.vocab), 256, 0);
    ASSERT_TRUE(search.ok()) << search.status().message();
    ASSERT_TRUE(search->AppendPrompt(golden.prompt).ok());
    for (uint32_t step = 0; search->finish() == Finish::kNone; ++step) {
      std::vector<float> rows = Rows(golden, step);
      ASSERT_TRUE(search->Next(rows).ok());
    }
    const auto tokens = search->history().tokens();
    EXPECT_EQ(Tokens(tokens.begin(), tokens.end()), golden.tokens[0]);
    ++count;
  }
  EXPECT_GT(count, 80u);
}

TEST(SearchGoldens, BeamsAreThoseOfOnnxRuntimeGenAi) {
  const std::vector<Golden> goldens = Load();
  size_t count = 0;
  for (const Golden& golden : goldens) {
    if (golden.keys.count("num_beams") == 0) continue;
    SCOPED_TRACE(golden.name);
    auto search = BeamSearch::Create(OptionsOf(golden.keys, golden.eos),
                                     static_cast<int64_t>(golden.vocab), 256,
                                     golden.prompt);
    ASSERT_TRUE(search.ok()) << search.status().message();
    uint32_t step = 0;
    for (; !search->done(); ++step) {
      std::vector<float> rows = Rows(golden, step);
      ASSERT_TRUE(search->Step(rows).ok());
    }
    EXPECT_EQ(step, Number(golden.keys, "steps", 0));
    const std::vector<Hypothesis> best = search->Finish();
    ASSERT_EQ(best.size(), golden.tokens.size());
    for (size_t i = 0; i < best.size(); ++i) {
      EXPECT_EQ(best[i].tokens, golden.tokens[i]) << "sequence " << i;
    }
    ++count;
  }
  EXPECT_GT(count, 30u);
}

}  // namespace
}  // namespace slm
