// SPDX-License-Identifier: MIT
#include "tools/bench/options.h"

#include <charconv>
#include <cstring>
#include <exception>
#include <string_view>

#define CXXOPTS_NO_REGEX  // its own parser does, without the size of std::regex
#include "cxxopts.hpp"

namespace slm::bench {
namespace {

// A model of 2^20 tokens of context is the longest that we have seen.
constexpr size_t kMostTokens = size_t{1} << 20;
constexpr size_t kMostSequences = 1024;
constexpr size_t kMostRepetitions = 10000;
constexpr size_t kMostThreads = 1024;
// A list longer than this is a slip of the keyboard, not an evening's work.
constexpr size_t kMostItems = 64;

// One row per flag, the names of slm-run where it has the same. A flag without
// a value has an empty `value`.
struct Flag {
  const char* names;
  const char* value;
  const char* help;
};

constexpr Flag kFlags[] = {
    {"m,model", "PATH", "model folder, or the first argument"},
    {"p,prompt", "N,N...", "prefill tests of N tokens, 0: none (512)"},
    {"n,max-tokens", "N,N...", "decode tests of N tokens, 0: none (64)"},
    {"d,depth", "N,N...", "tokens that are in the cache already (0)"},
    {"b,batch", "N,N...", "sequences that run together (1)"},
    {"r,repeat", "N", "timed repetitions, after one warm-up (5)"},
    {"t,threads", "N|auto", "threads (auto: all, or what the model says)"},
    {"kv", "fp32|fp16|int8", "type of the KV cache (fp16)"},
    {"profile", "", "time per op, in a repetition of its own"},
    {"o,output", "text|md|csv|json", "format of the result (text)"},
    {"q,quiet", "", "no progress on standard error"},
    {"version", "", "version"},
    {"h,help", "", "this text"},
};

cxxopts::Options MakeParser() {
  cxxopts::Options parser(
      "slm-bench", "Speed of a model folder, beside the machine's own limits.");
  auto add = parser.add_options();
  for (const Flag& flag : kFlags) {
    if (flag.value[0] == '\0') {
      add(flag.names, flag.help);
    } else {
      add(flag.names, flag.help, cxxopts::value<std::string>(), flag.value);
    }
  }
  parser.add_options("Positional")("words", "",
                                   cxxopts::value<std::vector<std::string>>());
  parser.parse_positional({"words"});
  parser.positional_help("MODEL");
  return parser;
}

constexpr const char* kAfterHelp = R"(
Tests are ppN (prefill) and tgN (decode); @dN: N tokens in the cache, xB: B
sequences together. Lists are combined: -p 512 -n 64 -b 1,8 is four tests.
  slm-bench models/qwen3-0.6b-int4
  slm-bench MODEL -p 128,512 -n 64 -d 0,4096 --kv int8 -o md
  slm-bench MODEL -p 512 -n 64 -t 2 --profile
  SLM_TARGET=AVX2 slm-bench MODEL -o json > avx2.json
Exit: 0 ok, 1 failure, 2 usage, 3 not found, 4 model invalid or unsupported,
5 memory, 6 CPU or SLM_TARGET unsupported, 7 a test exceeds the context.
)";

// Reads flags and remembers the first failure.
class Reader {
 public:
  explicit Reader(const cxxopts::ParseResult& parsed) : parsed_(parsed) {}

  const Status& status() const { return status_; }
  bool Has(const char* name) const { return parsed_.count(name) > 0; }
  const std::string* Text(const char* name) const {
    return status_.ok() && Has(name) ? &parsed_[name].as<std::string>()
                                     : nullptr;
  }
  void Fail(const char* name, std::string_view text,
            const std::string& expected) {
    if (!status_.ok()) return;
    status_ = Usage("--%s is \"%s\", must be %s; see slm-bench --help", name,
                    Printable(text).c_str(), expected.c_str());
  }

  void Get(const char* name, size_t low, size_t high, size_t* out) {
    const std::string* text = Text(name);
    if (text != nullptr && !ParseIn(*text, low, high, out)) {
      Fail(name, *text, Format("a whole number %zu..%zu", low, high));
    }
  }

  void Get(const char* name, size_t low, size_t high,
           std::vector<size_t>* out) {
    const std::string* text = Text(name);
    if (text == nullptr) return;
    out->clear();
    std::string_view rest = *text;
    while (true) {
      const size_t comma = rest.find(',');
      size_t item = 0;
      if (!ParseIn(rest.substr(0, comma), low, high, &item) ||
          out->size() == kMostItems) {
        return Fail(
            name, *text,
            Format("whole numbers %zu..%zu with commas between", low, high));
      }
      out->push_back(item);
      if (comma == std::string_view::npos) return;
      rest.remove_prefix(comma + 1);
    }
  }

  template <typename T>
  void Get(const char* name,
           std::initializer_list<std::pair<const char*, T>> choices, T* out) {
    const std::string* text = Text(name);
    if (text == nullptr) return;
    std::string expected;
    for (const auto& [choice, value] : choices) {
      if (*text == choice) {
        *out = value;
        return;
      }
      expected += (expected.empty() ? "one of " : ", ") + std::string(choice);
    }
    Fail(name, *text, expected);
  }

 private:
  static bool ParseIn(std::string_view text, size_t low, size_t high,
                      size_t* value) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, *value);
    return error == std::errc() && stop == end && !text.empty() &&
           *value >= low && *value <= high;
  }

  const cxxopts::ParseResult& parsed_;
  Status status_;
};

Status ReadModel(Reader* in, const cxxopts::ParseResult& parsed, Options* o) {
  std::vector<std::string> words;
  if (in->Has("words")) {
    words = parsed["words"].as<std::vector<std::string>>();
  }
  if (const std::string* text = in->Text("model")) {
    words.insert(words.begin(), *text);
  }
  if (words.empty() || words[0].empty()) {
    return Usage("no model: pass a folder, as in slm-bench MODEL");
  }
  if (words.size() > 1) {
    return Usage("one model at a time, got \"%s\" and \"%s\"",
                 Printable(words[0]).c_str(), Printable(words[1]).c_str());
  }
  o->model = words[0];
  return OkStatus();
}

void ReadTests(Reader* in, Options* o) {
  in->Get("prompt", 0, kMostTokens, &o->prompts);
  in->Get("max-tokens", 0, kMostTokens, &o->generated);
  in->Get("depth", 0, kMostTokens, &o->depths);
  in->Get("batch", 1, kMostSequences, &o->batches);
  in->Get("repeat", 1, kMostRepetitions, &o->repetitions);
  const std::string* threads = in->Text("threads");
  if (threads != nullptr && *threads != "auto") {
    in->Get("threads", 1, kMostThreads, &o->threads);
  }
}

void ReadRest(Reader* in, Options* o) {
  // f32 and f16 are how slm-run spells them.
  in->Get<DType>("kv",
                 {{"fp32", DType::kF32},
                  {"fp16", DType::kF16},
                  {"int8", DType::kI8},
                  {"f32", DType::kF32},
                  {"f16", DType::kF16}},
                 &o->kv);
  in->Get<OutputFormat>("output",
                        {{"text", OutputFormat::kText},
                         {"md", OutputFormat::kMarkdown},
                         {"csv", OutputFormat::kCsv},
                         {"json", OutputFormat::kJson}},
                        &o->output);
  o->profile = in->Has("profile");
  o->quiet = in->Has("quiet");
}

}  // namespace

Result<Options> ParseOptions(std::span<const std::string> args) {
  std::vector<const char*> argv = {"slm-bench"};
  for (const std::string& arg : args) argv.push_back(arg.c_str());
  Options options;
  // cxxopts reports by exceptions; they end here.
  try {
    cxxopts::Options parser = MakeParser();
    const cxxopts::ParseResult parsed =
        parser.parse(static_cast<int>(argv.size()), argv.data());
    if (parsed.count("help") > 0 || parsed.count("version") > 0) {
      options.action =
          parsed.count("help") > 0 ? Action::kHelp : Action::kVersion;
      return options;
    }
    Reader in(parsed);
    ReadTests(&in, &options);
    ReadRest(&in, &options);
    SLM_RETURN_IF_ERROR(in.status());
    SLM_RETURN_IF_ERROR(ReadModel(&in, parsed, &options));
  } catch (const std::exception& e) {
    return Usage("%s; see slm-bench --help", Printable(e.what()).c_str());
  }
  if (TestsOf(options).empty()) {
    return Usage("no test is left: -p and -n are both 0");
  }
  if (options.profile && options.output == OutputFormat::kCsv) {
    return Usage("--profile has no csv form: use text, md or json");
  }
  return options;
}

std::string Help() { return MakeParser().help({""}) + kAfterHelp; }

std::string SpeedTest::Name() const {
  std::string name = Format("%s%zu", decode ? "tg" : "pp", tokens);
  if (depth > 0) name += Format("@d%zu", depth);
  if (batch > 1) name += Format("x%zu", batch);
  return name;
}

std::vector<SpeedTest> TestsOf(const Options& options) {
  std::vector<SpeedTest> tests;
  for (const size_t batch : options.batches) {
    for (const size_t depth : options.depths) {
      for (const size_t n : options.prompts) {
        if (n > 0) tests.push_back({false, n, depth, batch});
      }
      for (const size_t n : options.generated) {
        if (n > 0) tests.push_back({true, n, depth, batch});
      }
    }
  }
  return tests;
}

}  // namespace slm::bench
