// SPDX-License-Identifier: MIT
#include "loader/folder.h"

#include <filesystem>
#include <map>
#include <string>

#include "gtest/gtest.h"
#include "tests/loader/shared_fixtures.h"
#include "tests/temporary_folder.h"

namespace slm {
namespace {

const std::string kModels = SLM_SHARED_DIR "/fixtures/models";
const std::string kBad = SLM_SHARED_DIR "/fixtures/bad";

constexpr const char* kGenAi =
    R"({"model": {"type": "llama", "vocab_size": 9, "context_length": 8,
        "eos_token_id": 1, "decoder": {"filename": "model.onnx"}}})";
constexpr const char* kHf =
    R"({"model_type": "llama", "vocab_size": 9, "eos_token_id": 1,
        "max_position_embeddings": 8})";

// A folder of files, most of which need no content.
class Folder : public TemporaryFolder {
 protected:
  Result<ModelFolder> Open(const std::string& name) {
    OpenOptions options;
    options.log = log_.Sink();
    return OpenFolder(root_ + name, options);
  }
  void ExpectRefused(const std::string& name, ErrorKind kind,
                     const std::string& part) {
    const auto folder = Open(name);
    ASSERT_FALSE(folder.ok()) << name;
    EXPECT_EQ(folder.status().kind(), kind) << folder.status().message();
    EXPECT_NE(folder.status().message().find(part), std::string::npos)
        << folder.status().message();
    EXPECT_EQ(folder.status().message().find('\n'), std::string::npos);
  }

  LogLines log_;
};

TEST_F(Folder, OpensTheFourLayouts) {
  // builder, nested variant, flat plain, hub
  for (const char* base : {"b/", "n/v1/", "p/", "h/"}) {
    Write(std::string(base) + "tokenizer.json", "{}");
    Write(std::string(base) + "tokenizer_config.json", "{}");
  }
  Write("b/genai_config.json", kGenAi);
  Write("b/model.onnx");
  Write("n/v1/genai_config.json", kGenAi);
  Write("n/v1/model.onnx");
  Write("n/inference_model.json", R"({"Name": "n:3"})");
  Write("p/config.json", kHf);
  Write("p/model.onnx");
  Write("h/config.json", kHf);
  Write("h/onnx/model.onnx");
  Write("h/onnx/model_q4.onnx");
  struct Case {
    const char* model;
    const char* folder;
    const char* onnx;
    bool genai;
  };
  const Case cases[] = {
      {"/b", "/b", "/b/model.onnx", true},
      {"/b//", "/b", "/b/model.onnx", true},
      {"/b/model.onnx", "/b", "/b/model.onnx", true},
      {"/n", "/n/v1", "/n/v1/model.onnx", true},
      {"/n/v1", "/n/v1", "/n/v1/model.onnx", true},
      {"/p", "/p", "/p/model.onnx", false},
      {"/h", "/h", "/h/onnx/model.onnx", false},
      {"/h/onnx", "/h", "/h/onnx/model.onnx", false},
      {"/h/onnx/model_q4.onnx", "/h", "/h/onnx/model_q4.onnx", false},
  };
  for (const Case& c : cases) {
    const auto folder = Open(c.model);
    ASSERT_TRUE(folder.ok()) << c.model << folder.status().message();
    EXPECT_EQ(folder->folder, root_ + c.folder) << c.model;
    EXPECT_EQ(folder->onnx_path, root_ + c.onnx) << c.model;
    EXPECT_EQ(folder->tokenizer_path, root_ + c.folder + "/tokenizer.json");
    EXPECT_EQ(folder->has_genai_config, c.genai) << c.model;
  }
  EXPECT_EQ(Open("/n")->inference_model.name, "n:3");
  EXPECT_EQ(log_.lines, std::vector<std::string>());
}

TEST_F(Folder, OpensRelativePathsOfAHubFolder) {
  Write("config.json", kHf);
  Write("tokenizer.json", "{}");
  Write("onnx/model.onnx");
  const std::filesystem::path before = std::filesystem::current_path();
  for (const char* model : {"onnx", "onnx/model.onnx", "./onnx/", "."}) {
    std::filesystem::current_path(root_);
    const auto folder = OpenFolder(model);
    EXPECT_TRUE(folder.ok()) << model << folder.status().message();
  }
  std::filesystem::current_path(root_ + "/onnx");
  for (const char* model : {".", "model.onnx", "../onnx", "..", "../"}) {
    const auto folder = OpenFolder(model);
    EXPECT_TRUE(folder.ok()) << model << folder.status().message();
  }
  std::filesystem::current_path(before);
}

TEST_F(Folder, SaysWhatIsMissing) {
  ExpectRefused("/nowhere", ErrorKind::kNotFound,
                "no such folder; pass a folder that holds");
  ExpectRefused("", ErrorKind::kNotFound,
                "genai_config.json or config.json not found (found: nothing)");
  Write("a/genai_config.json", kGenAi);
  ExpectRefused("/a", ErrorKind::kNotFound,
                "a/\": model.onnx not found (found: genai_config.json)");
  Write("a/model.onnx");
  ExpectRefused(
      "/a", ErrorKind::kNotFound,
      "a/\": tokenizer.json not found (found: genai_config.json, model.onnx)");
  Write("a/tokenizer.json", "{}");
  EXPECT_TRUE(Open("/a").ok());
  Write("a/download.tmp");
  ExpectRefused("/a", ErrorKind::kNotFound, "download is not complete");

  Write("h/config.json", kHf);
  ExpectRefused("/h", ErrorKind::kNotFound, "model.onnx not found (found:");
  Write("h/model.safetensors");
  ExpectRefused("/h", ErrorKind::kNotFound, "slm-convert makes");
  Write("h/onnx/model_q4.onnx");
  Write("h/onnx/model_fp16.onnx");
  ExpectRefused("/h", ErrorKind::kNotFound,
                "pass one of its files: onnx/model_fp16.onnx, "
                "onnx/model_q4.onnx");
  Write("h/readme.txt");
  ExpectRefused("/h/readme.txt", ErrorKind::kInvalid, "not an .onnx file");
  Write("lone/deep/model.onnx");
  ExpectRefused("/lone/deep/model.onnx", ErrorKind::kNotFound,
                "genai_config.json or config.json not found (found: "
                "model.onnx)");
}

TEST_F(Folder, TwoVariantsAreNotGuessedBetween) {
  for (const char* variant : {"cpu", "gpu"}) {
    Write(std::string("m/") + variant + "/genai_config.json", kGenAi);
  }
  ExpectRefused("/m", ErrorKind::kNotFound,
                "holds 2 models, pass one of them: cpu, gpu");
}

TEST_F(Folder, PathsFromConfigsStayInside) {
  struct Case {
    const char* key;
    const char* path;
  };
  const Case cases[] = {
      {"filename", "../model.onnx"}, {"filename", "/etc/passwd"},
      {"filename", "a/../../x"},     {"filename", "C:\\\\model.onnx"},
      {"filename", "a\\u0000b"},     {"tokenizer_dir", "../t"},
      {"tokenizer_dir", "/t"},
  };
  Write("model.onnx");
  Write("tokenizer.json", "{}");
  for (const Case& c : cases) {
    const bool decoder = std::string(c.key) == "filename";
    Write("genai_config.json",
          Format(R"({"model": {"vocab_size": 9, "context_length": 8,
                   "eos_token_id": 1, "tokenizer_dir": "%s",
                   "decoder": {"filename": "%s"}}})",
                 decoder ? "" : c.path, decoder ? c.path : "model.onnx"));
    ExpectRefused("", ErrorKind::kInvalid, "leaves the model folder");
    ExpectRefused("", ErrorKind::kInvalid, c.key);
  }
}

TEST_F(Folder, SettingsComeFromTheStrongestFile) {
  Write("model.onnx");
  Write("tokenizer.json", "{}");
  Write("genai_config.json",
        R"({"model": {"vocab_size": 90, "context_length": 64,
            "eos_token_id": 1, "decoder": {"filename": "model.onnx"}},
            "search": {"top_p": 0.5}})");
  Write("generation_config.json", R"({"top_p": 0.6, "top_k": 6})");
  Write("inference_model.json", R"({"Name": "x", "ModelConfig": {
      "top_p": 0.7, "top_k": 7, "temperature": 0.8, "max_length": 2048}})");
  const auto folder = Open("");
  ASSERT_TRUE(folder.ok()) << folder.status().message();
  const SearchConfig& search = folder->config.search;
  EXPECT_EQ(search.top_p.value, 0.5);
  EXPECT_EQ(search.top_p.source, ConfigSource::kGenAiConfig);
  EXPECT_EQ(search.top_k.value, 6);
  EXPECT_EQ(search.top_k.source, ConfigSource::kGenerationConfig);
  EXPECT_EQ(search.temperature.value, 0.8);
  EXPECT_EQ(search.temperature.source, ConfigSource::kInferenceModel);
  EXPECT_TRUE(search.do_sample.value);
  EXPECT_EQ(search.max_length.value, 64);
  EXPECT_EQ(search.min_p.source, ConfigSource::kDefault);
}

TEST_F(Folder, OversizedConfigsAreRefused) {
  Write("genai_config.json", std::string(kMaxConfigBytes + 1, ' '));
  ExpectRefused("", ErrorKind::kInvalid, "is larger than");
  // The worst tree that fits; its memory is what the limit is for.
  std::string zeros = "{\"a\": [0";
  while (zeros.size() + 4 < kMaxConfigBytes) zeros += ",0";
  Write("genai_config.json", zeros + "]}");
  ExpectRefused("", ErrorKind::kInvalid, "object \"model\" is missing");
}

TEST(SharedFolders, EveryModelFixtureOpens) {
  SLM_NEED_SHARED(kModels);
  int opened = 0;
  for (const std::string& model : ListFolder(kModels)) {
    for (const std::string& variant : ListFolder(kModels + "/" + model)) {
      const bool genai = variant.rfind("onnx-", 0) == 0;
      if (!genai && variant.rfind("plain-", 0) != 0) continue;
      const std::string path = kModels + "/" + model + "/" + variant;
      SCOPED_TRACE(path);
      LogLines log;
      OpenOptions options;
      options.log = log.Sink();
      const auto folder = OpenFolder(path, options);
      ASSERT_TRUE(folder.ok()) << folder.status().message();
      ++opened;
      EXPECT_EQ(folder->has_genai_config, genai);
      EXPECT_TRUE(IsFile(folder->onnx_path));
      EXPECT_TRUE(IsFile(folder->tokenizer_path));
      EXPECT_EQ(folder->config.context_length, 256);
      EXPECT_FALSE(folder->config.eos_token_ids.empty());
      EXPECT_FALSE(folder->chat_template.source.empty());
      EXPECT_TRUE(folder->config.known_architecture);
      EXPECT_GT(folder->config.decoder.head_size, 0);
      for (const std::string& line : log.lines) ADD_FAILURE() << line;
    }
  }
  EXPECT_GE(opened, 60);
}

TEST(SharedFolders, HubFilesOpenOneByOne) {
  const std::string hub = kModels + "/qwen2-tied/plain-hub";
  SLM_NEED_SHARED(hub);
  for (const char* name : {"model.onnx", "model_fp16.onnx", "model_q4.onnx",
                           "model_quantized.onnx"}) {
    const auto folder = OpenFolder(hub + "/onnx/" + name);
    ASSERT_TRUE(folder.ok()) << folder.status().message();
    EXPECT_EQ(folder->folder, hub);
    EXPECT_EQ(folder->tokenizer_dir, hub);
    EXPECT_EQ(folder->onnx_path, hub + "/onnx/" + name);
    EXPECT_EQ(folder->config.vocab_size, 648);
    EXPECT_EQ(folder->config.eos_token_ids, (std::vector<int64_t>{635, 633}));
  }
}

TEST(SharedFolders, CheckpointsAreToldApart) {
  const std::string hf = kModels + "/qwen3-tied/hf";
  SLM_NEED_SHARED(hf);
  const auto folder = OpenFolder(hf);
  ASSERT_FALSE(folder.ok());
  EXPECT_NE(folder.status().message().find("slm-convert"), std::string::npos)
      << folder.status().message();
}

TEST(SharedFolders, BrokenFoldersAreRefusedWithTheirCause) {
  SLM_NEED_SHARED(kBad);
  // Parts of the message; cases that are not listed have nothing wrong that can
  // be seen without graph, tokenizer.json or the template's syntax.
  const std::map<std::string, const char*> kRefused = {
      {"config-broken-json", "genai_config.json: broken JSON: line 22"},
      {"config-context-negative",
       "genai_config.json: model.context_length = -1, expected 1"},
      {"config-eos-out-of-range",
       "genai_config.json: eos_token_id = 99999, expected 0 to 274"},
      {"config-invalid-utf8", "genai_config.json: broken JSON: line 7"},
      {"config-missing-decoder", "genai_config.json: model.decoder is missing"},
      {"template-invalid-utf8", "tokenizer_config.json: broken JSON: line 34"},
      {"tokenizer-missing", "tokenizer.json not found (found: "},
  };
  size_t refused = 0;
  for (const std::string& name : ListFolder(kBad)) {
    if (!IsFolder(kBad + "/" + name)) continue;
    const auto folder = OpenFolder(kBad + "/" + name);
    const auto expected = kRefused.find(name);
    if (expected == kRefused.end()) {
      EXPECT_TRUE(folder.ok()) << name << ": " << folder.status().message();
      continue;
    }
    ++refused;
    ASSERT_FALSE(folder.ok()) << name;
    EXPECT_NE(folder.status().message().find(expected->second),
              std::string::npos)
        << name << ": " << folder.status().message();
  }
  EXPECT_EQ(refused, kRefused.size());
}

// The graph of all these folders: one layer, 275 logits.
TEST(SharedFolders, ConfigsOfOtherGraphsAreRefused) {
  SLM_NEED_SHARED(kBad);
  const GraphFacts facts = {"model.onnx", 1, 0, 275};
  EXPECT_TRUE(
      CheckAgainstGraph(OpenFolder(kBad + "/_good")->config, facts).ok());
  const Status layers = CheckAgainstGraph(
      OpenFolder(kBad + "/config-layer-count")->config, facts);
  EXPECT_NE(layers.message().find("num_hidden_layers = 7"), std::string::npos)
      << layers.message();
  const Status vocab = CheckAgainstGraph(
      OpenFolder(kBad + "/config-vocab-mismatch")->config, facts);
  EXPECT_NE(vocab.message().find("vocab_size = 100000"), std::string::npos)
      << vocab.message();
}

}  // namespace
}  // namespace slm
