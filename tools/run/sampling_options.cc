// SPDX-License-Identifier: MIT
// What decides the next token, as flags and as settings of a chat.
#include <algorithm>
#include <limits>

#include "tools/run/flag_reader.h"
#include "tools/run/flags.h"
#include "tools/run/options_parts.h"

namespace slm {
namespace {

constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();

// A number of tokens, or off, which is -1 and takes back what was set before.
void GetBudget(FlagReader* in, std::optional<int64_t>* out) {
  const std::string* text = in->Text("think-budget");
  if (text == nullptr) return;
  int64_t value = 0;
  if (*text == "off") {
    *out = -1;
  } else if (FlagReader::ParseAll(*text, &value) && value >= 0) {
    *out = value;
  } else {
    in->Fail("think-budget", *text, "off or a whole number from 0");
  }
}

}  // namespace

void ReadSampling(FlagReader* in, RunOptions* o) {
  constexpr double kAny = FlagReader::kAny;
  in->Get("max-tokens", 1, kMaxInt, &o->max_tokens);
  in->Get("temp", 0.0, kAny, &o->temperature);
  in->Get("top-p", 0.0, 1.0, &o->top_p);
  in->Get("top-k", 0, kMaxInt, &o->top_k);
  in->Get("min-p", 0.0, 1.0, &o->min_p);
  in->Get("repeat-penalty", std::numeric_limits<float>::min(), kAny,
          &o->repetition_penalty);
  in->Get("presence-penalty", -kAny, kAny, &o->presence_penalty);
  in->Get("frequency-penalty", -kAny, kAny, &o->frequency_penalty);
  in->Get("no-repeat-ngram", 0, kMaxInt, &o->no_repeat_ngram_size);
  in->Get("beams", 1, 32, &o->num_beams);
  in->Get("lookup", 0, 16, &o->lookup);
  in->Get("seed", 0, std::numeric_limits<uint32_t>::max(), &o->seed);
  GetBudget(in, &o->think_budget);
  o->greedy = in->Has("greedy");
  o->stop = in->List("stop");
  for (const std::string& stop : o->stop) {
    if (stop.empty()) in->Fail("stop", stop, "a text");
  }
  for (const std::string& text : in->List("logit-bias")) {
    const std::string_view view = text;
    const size_t equals = view.find('=');
    int32_t token = 0;
    double bias = 0;
    if (equals != std::string_view::npos &&
        FlagReader::ParseAll(view.substr(0, equals), &token) && token >= 0 &&
        FlagReader::ParseAll(view.substr(equals + 1), &bias) &&
        std::isfinite(bias)) {
      o->logit_bias.emplace_back(token, bias);
    } else {
      in->Fail("logit-bias", text, "TOKEN=NUMBER, as in 42=-100");
    }
  }
}

std::vector<std::string> SamplingNames() {
  std::vector<std::string> names;
  for (const RunFlag& flag : RunFlags()) {
    if (std::string_view(flag.group) != "Sampling") continue;
    names.emplace_back(LongName(flag));
  }
  return names;
}

Status SetSampling(const std::string& name, const std::string& value,
                   RunOptions* options) {
  const std::vector<std::string> names = SamplingNames();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    std::string all;
    for (const std::string& n : names) all += (all.empty() ? "" : ", ") + n;
    return Usage("no setting \"%s\"; there are %s", Printable(name).c_str(),
                 all.c_str());
  }
  RunOptions& o = *options;
  if (name == "greedy") {
    if (value != "on" && value != "off") {
      return Usage("greedy is \"%s\", must be on or off",
                   Printable(value).c_str());
    }
    o.greedy = value == "on";
    if (o.greedy) o.temperature.reset();
    return OkStatus();
  }
  SLM_ASSIGN_OR_RETURN(const RunOptions given,
                       ParseRunOptions(std::vector<std::string>{
                           "MODEL", "--" + name + "=" + value}));
  const auto take = [](const auto& from, auto* to) {
    if (from) *to = from;
  };
  take(given.max_tokens, &o.max_tokens);
  take(given.temperature, &o.temperature);
  take(given.top_p, &o.top_p);
  take(given.top_k, &o.top_k);
  take(given.min_p, &o.min_p);
  take(given.repetition_penalty, &o.repetition_penalty);
  take(given.presence_penalty, &o.presence_penalty);
  take(given.frequency_penalty, &o.frequency_penalty);
  take(given.no_repeat_ngram_size, &o.no_repeat_ngram_size);
  take(given.num_beams, &o.num_beams);
  take(given.lookup, &o.lookup);
  take(given.seed, &o.seed);
  take(given.think_budget, &o.think_budget);
  if (!given.logit_bias.empty()) o.logit_bias = given.logit_bias;
  if (!given.stop.empty()) o.stop = given.stop;
  // The newer of two wishes counts.
  if (given.temperature.value_or(0) > 0) {
    o.greedy = false;
    o.num_beams.reset();
  }
  if (given.num_beams.value_or(1) > 1) o.temperature.reset();
  return OkStatus();
}

}  // namespace slm
