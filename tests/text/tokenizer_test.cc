// SPDX-License-Identifier: MIT
// Small tokenizers written inline. Expected ids follow from the vocabularies
// by hand.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "loader/json.h"
#include "loader/tokenizer_json.h"

namespace slm {
namespace {

using Ids = std::vector<int32_t>;

Result<std::unique_ptr<Tokenizer>> Parse(const std::string& json) {
  auto document = JsonDocument::Parse(json);
  EXPECT_TRUE(document.ok()) << document.status().message();
  return ParseTokenizer(document->root(), "t.json");
}

std::unique_ptr<Tokenizer> Make(const std::string& json) {
  auto t = Parse(json);
  EXPECT_TRUE(t.ok()) << t.status().message();
  return t.ok() ? std::move(t).value() : nullptr;
}

Ids Encode(const Tokenizer& t, std::string_view text,
           const EncodeOptions& options = {}) {
  auto ids = t.Encode(text, options);
  EXPECT_TRUE(ids.ok()) << ids.status().message();
  return ids.ok() ? *ids : Ids{};
}

// Letters a..e are 0..4; ab = 5, abc = 6, de = 7; the control tokens <s> = 8
// and <e> = 9 follow.
std::string Letters(const std::string& more = "") {
  return R"({"added_tokens": [)"
         R"({"id": 8, "content": "<s>", "single_word": false, "lstrip": false,)"
         R"( "rstrip": false, "normalized": false, "special": true},)"
         R"({"id": 9, "content": "<e>", "single_word": false, "lstrip": false,)"
         R"( "rstrip": false, "normalized": true, "special": true}],)"
         R"("decoder": {"type": "Fuse"},)" +
         more +
         R"("model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 3,)"
         R"( "e": 4, "ab": 5, "abc": 6, "de": 7}, "merges": ["a b", "d e",)"
         R"( "ab c"]}})";
}

TEST(Tokenizer, MergesByRankThenFromTheLeft) {
  const auto t = Make(Letters());
  EXPECT_EQ(Encode(*t, "abcde"), (Ids{6, 7}));
  EXPECT_EQ(Encode(*t, "aabb"), (Ids{0, 5, 1}));
  EXPECT_EQ(Encode(*t, ""), Ids{});
  // Without unk_token what is unknown is dropped.
  EXPECT_EQ(Encode(*t, "axb"), Ids({5}));
  EXPECT_EQ(t->Decode(Ids{6, 7, 8, 99, -1}, false), "abcde<s>");
  EXPECT_EQ(t->Decode(Ids{6, 8, 7}, true), "abcde");
  EXPECT_EQ(t->TokenId("abc"), 6);
  EXPECT_EQ(t->TokenId("<e>"), 9);
  EXPECT_EQ(t->TokenId("nope"), -1);
  EXPECT_EQ(t->TokenText(7), "de");
  EXPECT_EQ(t->TokenText(100), "");
  EXPECT_TRUE(t->IsSpecial(8));
  EXPECT_FALSE(t->IsSpecial(7));
  EXPECT_EQ(t->vocab_size(), 10u);
}

// The long-word path against the short-word path: a long word made of words
// whose merges do not cross is the sequence of these words.
TEST(Tokenizer, LongWordsMergeLikeShortOnes) {
  const auto t = Make(Letters());
  std::string text;
  Ids want;
  for (int i = 0; i < 500; ++i) {
    text += "abcdeaabb";
    want.insert(want.end(), {6, 7, 0, 5, 1});
  }
  EXPECT_EQ(Encode(*t, text), want);
  EXPECT_EQ(Encode(*t, std::string(100, 'a')), Ids(100, 0));
}

TEST(Tokenizer, ControlTokensAreTextWhereAUserTypedThem) {
  const auto t = Make(Letters());
  const std::string text = "<s>ab<s>c<e>";
  EXPECT_EQ(Encode(*t, text), (Ids{8, 5, 8, 2, 9}));
  EXPECT_EQ(Encode(*t, text, {.parse_special = false}), (Ids{6, 4}));
  const TextSpan user[] = {{3, 8}};  // ab<s>
  EXPECT_EQ(Encode(*t, text, {.user_spans = user}), (Ids{8, 6, 9}));
  // Half typed by the user, half not: no control token either.
  const TextSpan half[] = {{1, 2}, {11, 30}};
  EXPECT_EQ(Encode(*t, text, {.user_spans = half}), (Ids{5, 8, 2, 4}));
  // A span that only touches leaves the control token alone.
  const TextSpan beside[] = {{3, 5}, {8, 9}};
  EXPECT_EQ(Encode(*t, text, {.user_spans = beside}), (Ids{8, 5, 8, 2, 9}));
}

TEST(Tokenizer, UserSpansMoveWithTheNormalizer) {
  // Every "b" becomes "abc": <e>, found in normalised text, moves.
  const auto t = Make(
      Letters(R"("normalizer": {"type": "Replace", "pattern": {"String": "b"},)"
              R"( "content": "abc"},)"));
  const std::string text = "b<e>b<e>";
  EXPECT_EQ(Encode(*t, text), (Ids{6, 9, 6, 9}));
  const TextSpan user[] = {{4, 8}};
  EXPECT_EQ(Encode(*t, text, {.user_spans = user}), (Ids{6, 9, 6, 4}));
  const TextSpan first[] = {{0, 4}};
  EXPECT_EQ(Encode(*t, text, {.user_spans = first}), (Ids{6, 4, 6, 9}));
}

TEST(Tokenizer, ControlTokensOfTheVocabularyAreNotMergedByUsers) {
  // "abc" is a control token here: ignore_merges and merges would find it.
  const std::string json =
      R"({"added_tokens": [{"id": 3, "content": "abc", "single_word": false,)"
      R"( "lstrip": false, "rstrip": false, "normalized": false,)"
      R"( "special": true}], "model": {"type": "BPE", "ignore_merges": true,)"
      R"( "vocab": {"a": 0, "b": 1, "c": 2, "abc": 3, "ab": 4},)"
      R"( "merges": [["a", "b"], ["ab", "c"]]}})";
  const auto t = Make(json);
  EXPECT_EQ(Encode(*t, "abc"), Ids{3});
  EXPECT_EQ(Encode(*t, "abc", {.parse_special = false}), (Ids{4, 2}));
}

TEST(Tokenizer, ReadsInvalidUtf8AsReplacementCharacters) {
  const auto t =
      Make(R"({"model": {"type": "WordLevel", "unk_token": "u", "vocab":)"
           R"( {"u": 0, "�": 1}}})");
  EXPECT_EQ(Encode(*t, "\xFF"), Ids{1});
}

// "Ã" and "©" stand for the two bytes of "é".
const char kByteLevel[] =
    R"({"decoder": {"type": "ByteLevel", "add_prefix_space": true,)"
    R"( "trim_offsets": true}, "model": {"type": "BPE", "vocab":)"
    R"( {"Ã": 0, "©": 1, "a": 2}, "merges": []}})";

TEST(TokenStream, GivesCharactersWhenTheyAreComplete) {
  const auto t = Make(kByteLevel);
  TokenStream stream(*t, false);
  EXPECT_EQ(stream.Push(0), "");
  EXPECT_EQ(stream.Push(1), "\xC3\xA9");
  EXPECT_EQ(stream.Push(1), "\xEF\xBF\xBD");  // no character begins so
  EXPECT_EQ(stream.Push(0), "");
  EXPECT_EQ(stream.Push(2),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(stream.Push(0), "");
  EXPECT_EQ(stream.Flush(), "\xEF\xBF\xBD");
}

TEST(TokenStream, HoldsBackOnlyWhatStripMayCut) {
  const auto t =
      Make(R"({"decoder": {"type": "Sequence", "decoders": [)"
           R"({"type": "ByteFallback"}, {"type": "Fuse"},)"
           R"({"type": "Strip", "content": " ", "start": 1, "stop": 1}]},)"
           R"("model": {"type": "WordLevel", "unk_token": "x", "vocab":)"
           R"( {"x": 0, " ": 1, "<0xC3>": 2, "<0xA9>": 3}}})");
  TokenStream stream(*t, false);
  EXPECT_EQ(stream.Push(1), "");
  EXPECT_EQ(stream.Push(0), "x");
  EXPECT_EQ(stream.Push(1), "");
  EXPECT_EQ(stream.Push(1), " ");
  EXPECT_EQ(stream.Push(2), "");
  EXPECT_EQ(stream.Push(3), " \xC3\xA9");
  EXPECT_EQ(stream.Push(1), "");
  EXPECT_EQ(stream.Flush(), "");
  // One wrong byte makes all of a run U+FFFD when decoded at once.
  EXPECT_EQ(t->Decode(Ids{2, 3, 3}, false),
            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(TokenizerJson, RefusesByName) {
  const struct {
    const char* json;
    const char* cause;
  } kCases[] = {
      {"[]", "the file is array, expected object"},
      {"{}", "\"model\" is missing"},
      {R"({"version": "2.0"})", "version"},
      {R"({"model": {"type": "Magic"}})", "\"Magic\" is not supported"},
      {R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [],)"
       R"( "dropout": 0.1}})",
       "dropout"},
      {R"({"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}})",
       "has id -1"},
      {R"({"model": {"type": "BPE", "vocab": {"a": 99999999}, "merges": []}})",
       "has id 99999999"},
      {R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a a"]}})",
       "\"aa\" of entry 0 is not in the vocabulary"},
      {R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}})",
       "entry 0 is not a pair"},
      {R"({"normalizer": {"type": "Nfq"}})", "normalizer: type \"Nfq\""},
      {R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("},)"
       R"( "behavior": "Isolated", "invert": false}})",
       "pre_tokenizer: Split: regular expression"},
      {R"({"pre_tokenizer": {"type": "Split", "pattern": {"String": "a"},)"
       R"( "behavior": "Sideways", "invert": false}})",
       "Sideways"},
      {R"({"decoder": {"type": "Strip", "content": "ab", "start": 1,)"
       R"( "stop": 0}})",
       "expected one character"},
      {R"({"post_processor": {"type": "TemplateProcessing", "single":)"
       R"( [{"SpecialToken": {"id": "x", "type_id": 0}}], "pair": [],)"
       R"( "special_tokens": {}}})",
       "special_tokens lacks \"x\""},
      {R"({"normalizer": {"type": "Precompiled", "precompiled_charsmap":)"
       R"( "AAAAAQ=="}})",
       "precompiled_charsmap"},
  };
  for (const auto& c : kCases) {
    auto t = Parse(c.json);
    ASSERT_FALSE(t.ok()) << c.json;
    EXPECT_EQ(t.status().kind(), ErrorKind::kInvalid);
    EXPECT_NE(t.status().message().find(c.cause), std::string::npos)
        << t.status().message();
    EXPECT_EQ(t.status().message().find("t.json: "), 0u)
        << t.status().message();
  }
}

}  // namespace
}  // namespace slm
