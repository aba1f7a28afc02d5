// SPDX-License-Identifier: MIT
// Broken folders: those of fixtures/bad through the C API, and hundreds of
// damaged forms of tests/data/tiny-model's model.onnx. Nothing may crash, hang
// or take much memory; what must be refused is refused naming its file.
#include <chrono>
#include <string>
#include <vector>

#include "loader/json.h"
#include "runtime/core/file.h"
#include "slm/slm.hpp"
#include "tests/runtime/model_test_util.h"
#include "tests/shared_fixtures.h"

namespace slm {
namespace {

constexpr const char* kBad = "fixtures/bad";
// The fixtures allow 10 s; nothing here has more than a few kB to read.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kSeconds = 10;
#else
constexpr double kSeconds = 2;
#endif

// Opens a folder, renders a chat, says up to four tokens.
api::Failure ChatBriefly(const std::string& folder) {
  slm_model_params model_params;
  slm_model_params_init(&model_params);
  model_params.path = folder.c_str();
  api::ModelPtr model;
  api::Failure failure = api::OpenModel(model_params, &model);
  if (failure) return failure;
  slm_chat_params chat_params;
  slm_chat_params_init(&chat_params);
  chat_params.threads = 1;
  api::ChatPtr chat;
  failure = api::NewChat(model.get(), chat_params, &chat);
  if (failure) return failure;
  failure = api::AddTurn(chat.get(), "user", "hi the it");
  if (failure) return failure;
  slm_sampling sampling;
  slm_sampling_init(model.get(), &sampling);
  sampling.max_tokens = 4;
  return api::Answer(chat.get(), sampling,
                     [](std::string_view) { return true; });
}

// The message names a file of the folder.
bool NamesAFile(const std::string& message) {
  for (const char* file : {"model.onnx", "genai_config.json", "tokenizer.json",
                           "tokenizer_config.json", "chat_template.jinja"}) {
    if (message.find(file) != std::string::npos) return true;
  }
  return false;
}

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ =
      std::chrono::steady_clock::now();
};

TEST(BadFixtures, AreRefusedNamingTheirFile) {
  SLM_NEEDS_SHARED(kBad);
  const auto expect = JsonDocument::Load(SharedPath(kBad) + "/expect.json");
  ASSERT_TRUE(expect.ok()) << expect.status().message();
  size_t cases = 0;
  for (const auto& [name, rule] : expect->root().Find("cases")->Members()) {
    const Stopwatch watch;
    const api::Failure failure =
        ChatBriefly(SharedPath(kBad) + "/" + std::string(name));
    const std::string message = failure.message();
    if (rule.Find("must")->String() == "refuse") {
      EXPECT_TRUE(failure) << name << " was taken";
      EXPECT_TRUE(NamesAFile(message)) << name << ": " << message;
    }
    if (failure) {
      EXPECT_FALSE(message.empty()) << name;
      EXPECT_NE(failure.error.status, SLM_RUNTIME_ERROR)
          << name << ": " << message;
    }
    EXPECT_LT(watch.Seconds(), kSeconds) << name;
    ++cases;
  }
  EXPECT_GT(cases, 30u);
}

TEST(BadFixtures, TheGoodOneRuns) {
  SLM_NEEDS_SHARED(kBad);
  const api::Failure failure = ChatBriefly(SharedPath(kBad) + "/_good");
  EXPECT_FALSE(failure) << failure.message();
}

bool CopyTinyModel(const std::string& to) {
  const std::string copy = "mkdir -p '" + to + "' && cp '" + TinyModelPath() +
                           "'/* '" + to + "' && chmod -R u+w '" + to + "'";
  return std::system(copy.c_str()) == 0;
}

bool WriteText(const std::string& path, const std::string& bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (!file) return false;
  const bool whole =
      std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  return std::fclose(file) == 0 && whole;
}

// The names that ORT-GenAI's builder gives a gpt2.
TEST(UnsupportedConfig, KeysAndValuesInOneTensorAreNamed) {
  struct Case {
    const char *before, *key, *names;
  };
  const Case cases[] = {
      {"\"past_key_names\"", "past_names", "past_%d"},
      {"\"present_key_names\"", "present_names", "present_%d"},
  };
  const std::string folder = testing::TempDir() + "slm_combined_caches";
  ASSERT_TRUE(CopyTinyModel(folder));
  const auto config = ReadFile(TinyModelPath() + "/genai_config.json");
  ASSERT_TRUE(config.ok());
  for (const Case& c : cases) {
    std::string text = *config;
    text.insert(text.find(c.before),
                Format("\"%s\": \"%s\", ", c.key, c.names));
    ASSERT_TRUE(WriteText(folder + "/genai_config.json", text));
    const auto model = Model::Open(folder, ModelOptions());
    ASSERT_FALSE(model.ok()) << c.key;
    EXPECT_EQ(model.status().kind(), ErrorKind::kInvalid);
    const std::string message = model.status().message();
    for (const char* part : {"genai_config.json", c.key, c.names, "gpt2"}) {
      EXPECT_NE(message.find(part), std::string::npos) << message;
    }
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

// ---- damaged model.onnx ---------------------------------------------------

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  uint32_t Below(size_t n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>((state_ >> 33) % n);
  }

 private:
  uint64_t state_;
};

enum class Damage { kFlip, kCut, kRemove, kRepeat, kSwapNumber };

std::string Damaged(std::string bytes, uint64_t seed) {
  Random random(seed);
  const auto kind = static_cast<Damage>(random.Below(5));
  const size_t at = random.Below(bytes.size());
  const size_t n = 1 + random.Below(40);
  switch (kind) {
    case Damage::kFlip:
      for (size_t i = 0; i < 1 + n / 8; ++i) {
        bytes[random.Below(bytes.size())] ^=
            static_cast<char>(1 << random.Below(8));
      }
      break;
    case Damage::kCut:
      bytes.resize(at);
      break;
    case Damage::kRemove:
      bytes.erase(at, n);
      break;
    case Damage::kRepeat:
      bytes.insert(at, bytes.substr(at, n));
      break;
    case Damage::kSwapNumber:
      // Varints of 1 to 100 are most of the sizes, dims and attributes.
      for (size_t i = at; i < bytes.size(); ++i) {
        const auto byte = static_cast<uint8_t>(bytes[i]);
        if (byte == 0 || byte > 100) continue;
        constexpr char kNew[] = {0, 1, 2, 3, 7, 64, 127, -1};
        bytes[i] = kNew[random.Below(sizeof kNew)];
        break;
      }
      break;
  }
  return bytes;
}

// What still opens is run, too: most damage hits a name or a number.
void OpenAndRun(const std::string& folder, size_t* opened) {
  auto model = Model::Open(folder, ModelOptions());
  if (!model.ok()) {
    EXPECT_FALSE(model.status().message().empty());
    return;
  }
  ++*opened;
  ThreadPool pool(1);
  Session session((*model)->plan(), (*model)->decoder(), pool,
                  SessionOptions());
  const std::vector<int32_t> tokens = {1, 2, 3};
  const SequenceId id = session.NewSequence();
  const Session::Item item{id, tokens, LogitsFor::kLast};
  for (int i = 0; i < 2; ++i) {
    if (!session.Run({&item, 1}).ok()) return;
  }
}

TEST(DamagedModel, IsRefusedOrRuns) {
  const std::string to = testing::TempDir() + "slm_damaged_model";
  ASSERT_TRUE(CopyTinyModel(to));
  const auto bytes = ReadFile(to + "/model.onnx");
  ASSERT_TRUE(bytes.ok());
  const Stopwatch watch;
  size_t opened = 0, count = 0;
  for (uint64_t seed = 0; seed < 1000 && watch.Seconds() < 15; ++seed) {
    SCOPED_TRACE(seed);
    ASSERT_TRUE(WriteText(to + "/model.onnx", Damaged(*bytes, seed)));
    const Stopwatch one;
    OpenAndRun(to, &opened);
    EXPECT_LT(one.Seconds(), kSeconds);
    ++count;
  }
  EXPECT_GT(count, 100u);
  EXPECT_GT(opened, 0u);  // else the damage hides what comes later
  EXPECT_LT(opened, count);
  RecordProperty("damaged", static_cast<int>(count));
  RecordProperty("opened", static_cast<int>(opened));
}

}  // namespace
}  // namespace slm
