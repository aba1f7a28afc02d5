// SPDX-License-Identifier: MIT
// The mask beside its plain twin: each token tried through the acceptor.
#include "runtime/json_mask.h"

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "loader/tokenizer_json.h"
#include "runtime/core/file.h"
#include "tests/shared_fixtures.h"

namespace slm {
namespace {

bool Bit(const std::vector<uint64_t>& bits, size_t i) {
  return (bits[i / 64] >> (i % 64) & 1) != 0;
}

// Walks `steps` tokens that the mask allows and compares at each.
void CompareAlongAWalk(const std::vector<std::string>& bytes, uint32_t seed,
                       size_t steps) {
  const JsonVocabulary vocabulary(bytes);
  std::mt19937 random(seed);
  JsonAcceptor text;
  std::string so_far;
  for (size_t step = 0; step < steps; ++step) {
    std::vector<uint64_t> allowed;
    vocabulary.Allowed(text, &allowed);
    ASSERT_EQ(allowed.size(), (bytes.size() + 63) / 64);
    std::vector<size_t> able;
    for (size_t i = 0; i < bytes.size(); ++i) {
      JsonAcceptor tried = text;
      const bool fits = !bytes[i].empty() &&
                        bytes[i].size() <= JsonVocabulary::kMostTokenBytes &&
                        tried.Take(bytes[i]);
      ASSERT_EQ(Bit(allowed, i), fits)
          << testing::PrintToString(bytes[i]) << " after "
          << testing::PrintToString(so_far);
      if (fits) able.push_back(i);
    }
    // Only white space may follow a value, and that ends.
    if (text.complete() || able.empty()) {
      text = JsonAcceptor();
      so_far.clear();
      continue;
    }
    const std::string& next = bytes[able[random() % able.size()]];
    ASSERT_TRUE(text.Take(next));
    so_far += next;
  }
}

TEST(JsonMask, IsWhatTheAcceptorSaysOfEachTokenOfAMadeUpVocabulary) {
  const std::vector<std::string> parts = {
      "{",    "}",       "[", "]",  "\"", ":",    ",",    " ",
      "\n",   "\\",      "u", "d8", "dc", "00",   "a",    "true",
      "null", "-",       "1", ".",  "e",  "\xC3", "\xA9", "\xE6\x97\xA5",
      "\x01", "\xF0\x9F"};
  std::mt19937 random(1);
  std::vector<std::string> bytes = {"", "\"", std::string(255, 'x'),
                                    std::string(256, 'x')};
  for (int i = 0; i < 256; ++i) bytes.push_back(std::string(1, char(i)));
  while (bytes.size() < 1500) {
    std::string token;
    for (size_t n = 1 + random() % 6; n > 0; --n) {
      token += parts[random() % parts.size()];
    }
    bytes.push_back(token);  // the same twice, too
  }
  for (uint32_t seed = 0; seed < 6; ++seed) {
    CompareAlongAWalk(bytes, seed, 60);
  }
}

TEST(JsonMask, IsWhatTheAcceptorSaysOfEachTokenOfAModel) {
  auto tokenizer = LoadTokenizer(std::string(SLM_TEST_DATA_DIR) +
                                 "/tiny-model/tokenizer.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  ASSERT_TRUE((*tokenizer)->CheckTokenBytes().ok());
  CompareAlongAWalk((*tokenizer)->VocabularyBytes(), 1, 300);
}

TEST(JsonMask, BytesOfTokensMakeTheTextThatTheStreamGives) {
  SLM_NEEDS_SHARED("fixtures/tokenizers");
  for (const char* family : {"qwen2", "llama-bpe", "phi-3", "gpt-2"}) {
    auto loaded = LoadTokenizer(SharedPath(std::string("fixtures/tokenizers/") +
                                           family + "/tokenizer.json"));
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    const Tokenizer& tokenizer = **loaded;
    ASSERT_TRUE(tokenizer.CheckTokenBytes().ok()) << family;
    const std::string text =
        "x {\"name\": \"日本語 \U0001f468\u200d\U0001f469\",\n\t\"n\": "
        "[1.5e3]}";
    auto ids = tokenizer.Encode(text, EncodeOptions());
    ASSERT_TRUE(ids.ok());
    TokenStream stream(tokenizer, true);
    std::string streamed, joined;
    for (const int32_t id : *ids) {
      streamed += stream.Push(id);
      joined += tokenizer.TokenBytes(id);
    }
    streamed += stream.Flush();
    // Phi-3's decoder takes away the space before the first word.
    if (joined.starts_with(' ')) joined.erase(0, 1);
    EXPECT_EQ(streamed, text) << family;
    EXPECT_EQ(joined, text) << family;
    CompareAlongAWalk(tokenizer.VocabularyBytes(), 1, 12);
  }
}

TEST(JsonMask, ForbidsAllOthersAndWhatIsBeyondTheVocabulary) {
  const JsonVocabulary vocabulary({"{", "x", "[", "}", ""});
  std::vector<uint64_t> allowed;
  vocabulary.Allowed(JsonAcceptor(), &allowed);
  std::vector<float> logits(70, 1.0f);
  ForbidOthers(allowed, logits);
  for (size_t i = 0; i < logits.size(); ++i) {
    EXPECT_EQ(std::isinf(logits[i]), i != 0 && i != 2) << i;
  }
  EXPECT_EQ(vocabulary.Bytes(-1), "");
  EXPECT_EQ(vocabulary.Bytes(5), "");
  EXPECT_EQ(vocabulary.Bytes(1), "x");
}

}  // namespace
}  // namespace slm
