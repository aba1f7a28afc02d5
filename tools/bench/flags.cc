// SPDX-License-Identifier: MIT
#include "tools/bench/flags.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <exception>

// A comma is a part of a path or a list, which are read here.
#define CXXOPTS_VECTOR_DELIMITER '\0'
#define CXXOPTS_NO_REGEX  // its own parser does, without the size of std::regex
#include "cxxopts.hpp"

namespace slm::bench {
namespace {

constexpr size_t kMostThreads = 1024;

constexpr Flag kModelFlags[] = {
    {"m,model", "PATH|NAME", "model, or the first word"},
    {"models-dir", "DIR", "look for names below DIR first"},
    {"t,threads", "N|auto", "threads (auto: all, or what the model says)"},
    {"kv", "fp32|fp16|int8", "type of the KV cache (fp16)"},
};
constexpr Flag kOutputFlags[] = {
    {"o,output", "text|md|csv|json", "format of the result (text)"},
    {"q,quiet", "", "no progress on standard error"},
    {"version", "", "version"},
    {"h,help", "", "this text"},
};

void AddFlags(std::span<const Flag> flags, cxxopts::Options* parser) {
  auto add = parser->add_options();
  for (const Flag& flag : flags) {
    if (flag.value[0] == '\0') {
      add(flag.names, flag.help);
    } else {
      add(flag.names, flag.help, cxxopts::value<std::string>(), flag.value);
    }
  }
}

cxxopts::Options MakeParser(const FlagSet& set) {
  cxxopts::Options parser(std::string("slm-bench ") + set.verb, set.summary);
  AddFlags(set.flags, &parser);
  if (set.has_model) AddFlags(kModelFlags, &parser);
  AddFlags(kOutputFlags, &parser);
  parser.add_options("Positional")("words", "",
                                   cxxopts::value<std::vector<std::string>>());
  parser.parse_positional({"words"});
  parser.positional_help(set.words);
  return parser;
}

// The whole text is a number.
template <typename T>
bool ParseAll(std::string_view text, T* value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *value);
  return error == std::errc() && stop == end && !text.empty();
}

bool ParseIn(std::string_view text, size_t low, size_t high, size_t* value) {
  return ParseAll(text, value) && *value >= low && *value <= high;
}

// "" is 1, "K" and "KiB" 2^10 and so on; 0 for anything else.
double ScaleOf(std::string_view unit) {
  if (unit.empty()) return 1;
  const size_t power = std::string_view("KMGT").find(unit[0]);
  if (power == std::string_view::npos ||
      (unit.size() > 1 && unit.substr(1) != "iB")) {
    return 0;
  }
  return std::ldexp(1024.0, 10 * static_cast<int>(power));
}

}  // namespace

std::string Help(const FlagSet& set) {
  return MakeParser(set).help({""}) + set.after;
}

Result<Flags> Flags::Parse(const FlagSet& set,
                           std::span<const std::string> args) {
  std::vector<const char*> argv = {"slm-bench"};
  for (const std::string& arg : args) argv.push_back(arg.c_str());
  Flags flags(set);
  // cxxopts reports by exceptions; they end here.
  try {
    cxxopts::Options parser = MakeParser(set);
    const cxxopts::ParseResult parsed =
        parser.parse(static_cast<int>(argv.size()), argv.data());
    for (const auto& argument : parsed.arguments()) {
      if (argument.key() == "words") {
        flags.words_.push_back(argument.value());
      } else {
        flags.values_.emplace_back(argument.key(), argument.value());
      }
    }
  } catch (const std::exception& e) {
    return Usage("%s; see slm-bench %s --help", Printable(e.what()).c_str(),
                 set.verb);
  }
  flags.action_ = flags.Has("help")      ? Action::kHelp
                  : flags.Has("version") ? Action::kVersion
                                         : Action::kRun;
  return flags;
}

bool Flags::Has(std::string_view name) const {
  for (const auto& [key, value] : values_) {
    if (key == name) return true;
  }
  return false;
}

const std::string* Flags::Text(std::string_view name) const {
  const std::string* text = nullptr;
  if (!status_.ok()) return text;
  for (const auto& [key, value] : values_) {
    if (key == name) text = &value;
  }
  return text;
}

void Flags::Fail(const char* name, std::string_view text,
                 const std::string& expected) {
  if (!status_.ok()) return;
  status_ = Usage("--%s is \"%s\", must be %s; see slm-bench %s --help", name,
                  Printable(text).c_str(), expected.c_str(), set_->verb);
}

void Flags::Get(const char* name, std::optional<std::string>* out) {
  const std::string* text = Text(name);
  if (text == nullptr) return;
  if (text->empty()) return Fail(name, *text, "a path");
  *out = *text;
}

void Flags::Get(const char* name, size_t low, size_t high, size_t* out) {
  const std::string* text = Text(name);
  if (text != nullptr && !ParseIn(*text, low, high, out)) {
    Fail(name, *text, Format("a whole number %zu..%zu", low, high));
  }
}

void Flags::Get(const char* name, size_t low, size_t high,
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

void Flags::Get(const char* name, double low, double high,
                std::optional<double>* out) {
  const std::string* text = Text(name);
  if (text == nullptr) return;
  double value = 0;
  if (ParseAll(*text, &value) && value >= low && value <= high) {
    *out = value;
  } else {
    Fail(name, *text, Format("a number %g..%g", low, high));
  }
}

void Flags::GetSize(const char* name, std::optional<uint64_t>* out) {
  const std::string* text = Text(name);
  if (text == nullptr) return;
  double number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  const double bytes =
      error == std::errc()
          ? number * ScaleOf({stop, static_cast<size_t>(end - stop)})
          : 0;
  if (bytes >= 1 && bytes < 0x1p60) {
    *out = static_cast<uint64_t>(bytes);
  } else {
    Fail(name, *text, "a size as in 800M or 1.5G");
  }
}

std::string Flags::NextWord() const {
  return taken_ < words_.size() ? words_[taken_] : std::string();
}

std::string Flags::TakeWord() {
  std::string word = NextWord();
  taken_ = std::min(taken_ + 1, words_.size());
  return word;
}

Status Flags::Done() const {
  SLM_RETURN_IF_ERROR(status_);
  if (taken_ == words_.size()) return OkStatus();
  return Usage("\"%s\" is a word too many: usage is slm-bench %s %s",
               Printable(words_[taken_]).c_str(), set_->verb, set_->words);
}

void ReadOutput(Flags* flags, CommonOptions* o) {
  flags->Get<OutputFormat>("output",
                           {{"text", OutputFormat::kText},
                            {"md", OutputFormat::kMarkdown},
                            {"csv", OutputFormat::kCsv},
                            {"json", OutputFormat::kJson}},
                           &o->output);
  o->quiet = flags->Has("quiet");
}

Status ReadCommon(Flags* flags, CommonOptions* o) {
  ReadOutput(flags, o);
  flags->Get("models-dir", &o->models_dir);
  const std::string* threads = flags->Text("threads");
  if (threads != nullptr && *threads != "auto") {
    flags->Get("threads", 1, kMostThreads, &o->threads);
  }
  // f32 and f16 are how slm-run spells them.
  flags->Get<DType>("kv",
                    {{"fp32", DType::kF32},
                     {"fp16", DType::kF16},
                     {"int8", DType::kI8},
                     {"f32", DType::kF32},
                     {"f16", DType::kF16}},
                    &o->kv);
  SLM_RETURN_IF_ERROR(flags->status());
  const std::string* model = flags->Text("model");
  o->model = model != nullptr ? *model : flags->TakeWord();
  if (!o->model.empty()) return OkStatus();
  const char* verb = flags->set().verb;
  return Usage(
      "no model: pass a folder or a name, as in slm-bench %s MODEL; a folder "
      "of the name %s is ./%s",
      verb, verb, verb);
}

const char* KvName(DType kv) {
  return kv == DType::kF32 ? "fp32" : kv == DType::kF16 ? "fp16" : "int8";
}

}  // namespace slm::bench
