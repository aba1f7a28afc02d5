// SPDX-License-Identifier: MIT
// Every vector of the fixtures, made by the reference tokenizers library.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "loader/json.h"
#include "loader/tokenizer_json.h"
#include "runtime/core/file.h"

namespace slm {
namespace {

const std::string kShared = SLM_SHARED_DIR;

bool HaveFixtures() {
  return IsFolder(kShared + "/fixtures/tokenizers/components");
}

// Skips, but not where CI promises the fixtures.
#define SLM_NEED_FIXTURES()                                                \
  if (!HaveFixtures()) {                                                   \
    ASSERT_EQ(std::getenv("CI"), nullptr) << "no fixtures in " << kShared; \
    GTEST_SKIP() << "no fixtures in " << kShared;                          \
  }

struct Count {
  size_t good = 0, all = 0;
  void Add(bool ok, const std::string& what) {
    ++all;
    good += ok;
    if (!ok && all - good <= 5) ADD_FAILURE() << what;
  }
};

std::vector<int32_t> Ids(const JsonValue& list) {
  std::vector<int32_t> ids;
  for (const JsonValue& id : list.Items()) {
    // Ids of the vectors go beyond 31 bits; all of these are unknown.
    ids.push_back(id.Int() > INT32_MAX ? INT32_MAX
                                       : static_cast<int32_t>(id.Int()));
  }
  return ids;
}

std::string Show(const std::vector<int32_t>& ids) {
  std::string out;
  for (size_t i = 0; i < ids.size() && i < 60; ++i) {
    out += std::to_string(ids[i]) + " ";
  }
  return out;
}

std::vector<JsonDocument> Lines(const std::string& path) {
  std::vector<JsonDocument> lines;
  auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status().message();
  if (!text.ok()) return lines;
  size_t begin = 0;
  while (begin < text->size()) {
    size_t end = text->find('\n', begin);
    if (end == std::string::npos) end = text->size();
    if (end > begin) {
      auto line = JsonDocument::Parse(text->substr(begin, end - begin));
      EXPECT_TRUE(line.ok()) << line.status().message();
      if (line.ok()) lines.push_back(std::move(line).value());
    }
    begin = end + 1;
  }
  return lines;
}

void CheckDecoded(const Tokenizer& t, const std::vector<int32_t>& ids,
                  const JsonValue& line, const std::string& where,
                  Count* count) {
  for (const bool skip : {false, true}) {
    const JsonValue* want = line.Find(skip ? "decoded_skip" : "decoded");
    if (want == nullptr || want->IsNull()) continue;
    const std::string got = t.Decode(ids, skip);
    count->Add(got == want->String(),
               where + " skip=" + std::to_string(skip) + " ids " + Show(ids) +
                   "\n got: " + Printable(got, 400) +
                   "\nwant: " + Printable(want->String(), 400));
  }
}

void CheckStream(const Tokenizer& t, const std::vector<int32_t>& ids,
                 const JsonValue& line, const std::string& where,
                 Count* count) {
  const JsonValue* want = line.Find("stream");
  if (want == nullptr || want->IsNull()) return;
  TokenStream stream(t, /*skip_special_tokens=*/false);
  std::string got_all;
  bool ok = want->Items().size() == ids.size();
  for (size_t i = 0; ok && i < ids.size(); ++i) {
    std::string piece = stream.Push(ids[i]);
    if (i + 1 == ids.size()) piece += stream.Flush();
    ok = piece == want->Items()[i].String();
    got_all += "[" + Printable(piece) + "]";
  }
  count->Add(ok, where + " stream of " + Show(ids) + "\n got: " + got_all);
}

void CheckVectors(const Tokenizer& t, const std::string& folder, Count* encode,
                  Count* decode, Count* stream) {
  size_t number = 0;
  for (const JsonDocument& document : Lines(folder + "/vectors.jsonl")) {
    const JsonValue& line = document.root();
    const std::string where =
        folder + "/vectors.jsonl:" + std::to_string(++number);
    const std::string_view text = line.Find("text")->String();
    const std::vector<int32_t> want = Ids(*line.Find("ids"));
    auto ids = t.Encode(
        text, {.add_special_tokens = line.Find("add_special_tokens")->Bool()});
    encode->Add(ids.ok() && *ids == want,
                where + " text: " + Printable(text, 300) + "\n got: " +
                    (ids.ok() ? Show(*ids) : ids.status().message()) +
                    "\nwant: " + Show(want));
    CheckDecoded(t, want, line, where, decode);
    CheckStream(t, want, line, where, stream);
  }
}

void CheckDecodeVectors(const Tokenizer& t, const std::string& folder,
                        Count* decode) {
  size_t number = 0;
  for (const JsonDocument& document : Lines(folder + "/decode_vectors.jsonl")) {
    const JsonValue& line = document.root();
    const std::string where =
        folder + "/decode_vectors.jsonl:" + std::to_string(++number);
    const std::vector<int32_t> ids = Ids(*line.Find("ids"));
    CheckDecoded(t, ids, line, where, decode);
    // What is streamed is UTF-8 and, where all bytes are, the same text.
    const JsonValue* want = line.Find("decoded");
    if (want->IsNull() ||
        want->String().find("\xEF\xBF\xBD") != std::string_view::npos) {
      continue;
    }
    TokenStream stream(t, /*skip_special_tokens=*/false);
    std::string got;
    for (const int32_t id : ids) got += stream.Push(id);
    got += stream.Flush();
    decode->Add(got == want->String(), where + " streamed " + Show(ids) +
                                           "\n got: " + Printable(got, 300));
  }
}

TEST(TokenizerVectors, ComponentsAndFamiliesEncodeAndDecodeAsTheReference) {
  SLM_NEED_FIXTURES();
  const std::string base = kShared + "/fixtures/tokenizers";
  std::vector<std::string> folders;
  for (const char* family : {"qwen2", "llama-bpe", "phi-3", "gpt-2"}) {
    folders.push_back(base + "/" + family);
  }
  for (const std::string& name : ListFolder(base + "/components")) {
    folders.push_back(base + "/components/" + name);
  }
  Count load, encode, decode, stream;
  for (const std::string& folder : folders) {
    auto t = LoadTokenizer(folder + "/tokenizer.json");
    load.Add(t.ok(), t.status().message());
    if (!t.ok()) continue;
    CheckVectors(**t, folder, &encode, &decode, &stream);
    CheckDecodeVectors(**t, folder, &decode);
  }
  std::printf(
      "tokenizers %zu of %zu, encode %zu of %zu, decode %zu of %zu, "
      "stream %zu of %zu\n",
      load.good, load.all, encode.good, encode.all, decode.good, decode.all,
      stream.good, stream.all);
}

TEST(TokenizerVectors, ModelFoldersEncodeAndDecodeAsTheReference) {
  SLM_NEED_FIXTURES();
  const std::string base = kShared + "/fixtures/models";
  Count encode, decode;
  for (const std::string& name : ListFolder(base)) {
    const std::string cases = base + "/" + name + "/tokenizer_cases.json";
    if (!IsFile(cases)) continue;
    auto t = LoadTokenizer(base + "/" + name + "/hf/tokenizer.json");
    ASSERT_TRUE(t.ok()) << t.status().message();
    auto document = JsonDocument::Load(cases);
    ASSERT_TRUE(document.ok()) << document.status().message();
    for (const JsonValue& c : document->root().Find("encode")->Items()) {
      const std::string_view text = c.Find("text")->String();
      for (const bool special : {false, true}) {
        const std::vector<int32_t> want =
            Ids(*c.Find(special ? "ids_special" : "ids"));
        auto ids = (*t)->Encode(text, {.add_special_tokens = special});
        encode.Add(ids.ok() && *ids == want,
                   name + ": " + Printable(text, 300) + "\n got: " +
                       (ids.ok() ? Show(*ids) : ids.status().message()) +
                       "\nwant: " + Show(want));
      }
      CheckDecoded(**t, Ids(*c.Find("ids")), c, name, &decode);
    }
  }
  std::printf("encode %zu of %zu, decode %zu of %zu\n", encode.good, encode.all,
              decode.good, decode.all);
}

TEST(TokenizerVectors, BrokenFilesAreRefusedWithFileAndCause) {
  SLM_NEED_FIXTURES();
  const struct {
    const char* name;
    const char* cause;
  } kCases[] = {{"broken-json", "broken JSON"},
                {"missing-merges", "\"merges\" is missing"},
                {"unknown-model", "is not supported"},
                {"deep-nesting", "nest"},
                {"bad-regex", "regular expression"},
                {"invalid-utf8", "line"},
                {"missing", "tokenizer.json"}};
  for (const auto& c : kCases) {
    const std::string path =
        kShared + "/fixtures/bad/tokenizer-" + c.name + "/tokenizer.json";
    auto t = LoadTokenizer(path);
    ASSERT_FALSE(t.ok()) << c.name;
    const std::string message = t.status().message();
    EXPECT_NE(message.find(c.cause), std::string::npos) << message;
    EXPECT_NE(message.find("tokenizer.json"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

// Prints figures; run with --gtest_also_run_disabled_tests.
TEST(TokenizerVectors, DISABLED_TimesLoadAndEncode) {
  SLM_NEED_FIXTURES();
  // Processor time: other work on the machine does not count.
  const auto seconds = [](std::clock_t from) {
    return static_cast<double>(std::clock() - from) / CLOCKS_PER_SEC;
  };
  for (const char* family : {"qwen2", "llama-bpe", "phi-3", "gpt-2"}) {
    const std::string folder = kShared + "/fixtures/tokenizers/" + family;
    std::unique_ptr<Tokenizer> t;
    double load = 1e9;
    for (int i = 0; i < 5; ++i) {
      const std::clock_t begin = std::clock();
      auto loaded = LoadTokenizer(folder + "/tokenizer.json");
      load = std::min(load, seconds(begin));
      ASSERT_TRUE(loaded.ok());
      t = std::move(loaded).value();
    }
    std::string prose, mixed;
    for (const JsonDocument& line : Lines(folder + "/vectors.jsonl")) {
      const std::string_view kind = line.root().Find("class")->String();
      const std::string_view text = line.root().Find("text")->String();
      if (kind != "run" && kind != "fuzz") mixed.append(text) += ' ';
      if (kind == "english" || kind == "prose") prose.append(text) += ' ';
    }
    const auto rate = [&](std::string text, size_t size) {
      std::string all;
      while (all.size() < size) all += text;
      all.resize(size);
      // The clock's step of a microsecond must not show.
      const size_t rounds = 1 + (size_t{1} << 18) / size;
      double best = 1e9;
      for (int i = 0; i < 7; ++i) {
        const std::clock_t begin = std::clock();
        for (size_t k = 0; k < rounds; ++k) {
          EXPECT_TRUE(t->Encode(all, {}).ok());
        }
        best = std::min(best, seconds(begin));
      }
      return static_cast<double>(size * rounds) / best / 1e6;
    };
    std::printf(
        "%-10s load %.1f ms, encode MB/s: vectors %.1f, english %.1f, "
        "20000 x a %.1f, 20000 spaces %.1f\n",
        family, load * 1e3, rate(mixed, 2 << 20),
        rate(prose.empty() ? "Hello world. " : prose, 2 << 20),
        rate("a", 20000), rate(" ", 20000));
  }
}

}  // namespace
}  // namespace slm
