// SPDX-License-Identifier: MIT
// The command line of a verb: its flags as a table, those that all verbs share
// beside them, and a reader of their values that remembers the first failure.
#ifndef SLM_TOOLS_BENCH_FLAGS_H_
#define SLM_TOOLS_BENCH_FLAGS_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/core/dtype.h"
#include "runtime/core/result.h"

namespace slm::bench {

enum class Action { kRun, kHelp, kVersion };
enum class OutputFormat { kText, kMarkdown, kCsv, kJson };

// One row per flag, the names of slm-run where it has the same. A flag without
// a value has an empty `value`.
struct Flag {
  const char* names;  // as cxxopts wants them: "m,model"
  const char* value;
  const char* help;
};

// What a verb is called and takes.
struct FlagSet {
  const char* verb;
  const char* summary;  // a line: of --help, and of the list of all verbs
  const char* words;    // what goes without a flag: "MODEL"
  bool has_model;       // the shared flags of a model, not only -o and -q
  std::span<const Flag> flags;
  const char* after;  // of --help: examples and exit codes
};

// A screen.
std::string Help(const FlagSet& set);

// A list longer than this is a slip of the keyboard, not an evening's work.
inline constexpr size_t kMostItems = 64;

class Flags {
 public:
  // `args` without the program's name and without the verb. Every failure of
  // this class is kUsage.
  static Result<Flags> Parse(const FlagSet& set,
                             std::span<const std::string> args);

  const FlagSet& set() const { return *set_; }
  Action action() const { return action_; }
  // The first value that was refused; the Get functions do nothing after it.
  const Status& status() const { return status_; }
  bool Has(std::string_view name) const;
  // The last one given, nullptr if there is none or after a failure.
  const std::string* Text(std::string_view name) const;
  void Fail(const char* name, std::string_view text,
            const std::string& expected);

  void Get(const char* name, std::optional<std::string>* out);
  void Get(const char* name, size_t low, size_t high, size_t* out);
  // Whole numbers with commas between.
  void Get(const char* name, size_t low, size_t high, std::vector<size_t>* out);
  void Get(const char* name, double low, double high,
           std::optional<double>* out);
  // 1500000, 800M, 1.5G, 2GiB: powers of 1024.
  void GetSize(const char* name, std::optional<uint64_t>* out);
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

  // The next of the words that belong to no flag, "" after the last.
  std::string NextWord() const;
  std::string TakeWord();
  // kUsage if there are words that nobody took, else what status() is.
  Status Done() const;

 private:
  explicit Flags(const FlagSet& set) : set_(&set) {}

  const FlagSet* set_;
  Action action_ = Action::kRun;
  std::vector<std::pair<std::string, std::string>> values_;
  std::vector<std::string> words_;
  size_t taken_ = 0;
  Status status_;
};

// The flags that all verbs with a model share.
struct CommonOptions {
  std::string model;  // a path or a name
  std::optional<std::string> models_dir;
  size_t threads = 0;  // 0: the model's wish, else all cores
  DType kv = DType::kF16;
  OutputFormat output = OutputFormat::kText;
  bool quiet = false;
};
// The model is that of -m, else the next word.
Status ReadCommon(Flags* flags, CommonOptions* options);
// Of them -o and -q alone, for what has no model.
void ReadOutput(Flags* flags, CommonOptions* options);

const char* KvName(DType kv);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_FLAGS_H_
