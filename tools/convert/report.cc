// SPDX-License-Identifier: MIT
#include "tools/convert/report.h"

#include "slm/slm.h"
#include "tools/convert/json_text.h"

namespace slm::convert {
namespace {

// Of the keys of conversion_report.json: raised when one changes its meaning.
constexpr int64_t kSchemaVersion = 1;

void AddFigures(const Divergence& d, JsonText* json) {
  if (d.rows == 0) return;
  json->Double("mean_kl", d.MeanKl());
  json->Double("top1_agreement", d.Top1());
  json->Double("relative_logit_error", d.RelativeError());
  if (d.predictions == 0) return;
  json->Double("source_perplexity", d.SourcePerplexity());
  json->Double("output_perplexity", d.OutputPerplexity());
  json->Double("delta_perplexity", d.OutputPerplexity() - d.SourcePerplexity());
}

void AddCheck(const SelfCheck& check, JsonText* json) {
  json->BeginObject("self_check");
  json->Bool("chat_template", check.has_template);
  json->Int("tokenizer_texts", static_cast<int64_t>(check.texts));
  json->Int("tokenizer_round_trips", static_cast<int64_t>(check.round_trips));
  if (check.no_reference.empty()) {
    json->String("reference", "source");
  } else {
    json->Key("reference");
    json->Null();
    json->String("no_reference_because", check.no_reference);
  }
  json->Int("tokens", static_cast<int64_t>(check.TokenCount()));
  AddFigures(check.all, json);
  json->BeginArray("prompts");
  for (const CheckedPrompt& prompt : check.prompts) {
    json->BeginObject();
    json->String("name", prompt.name);
    json->Int("tokens", static_cast<int64_t>(prompt.tokens.size()));
    AddFigures(prompt.divergence, json);
    json->EndObject();
  }
  json->EndArray();
  json->Double("seconds", check.seconds);
  json->EndObject();
}

}  // namespace

double BitsPerWeight(uint64_t bytes, uint64_t weights) {
  return weights
             ? 8.0 * static_cast<double>(bytes) / static_cast<double>(weights)
             : 0;
}

std::string ReportText(const ReportFacts& facts, const Options& options) {
  const GraphOptions& graph = options.graph;
  JsonText json(2);
  json.BeginObject();
  json.Int("schema_version", kSchemaVersion);
  json.String("tool", "slm-convert");
  json.String("tool_version", slm_version());
  json.String("source", facts.source_name);
  json.String("architecture", facts.architecture);
  json.String("precision", PrecisionName(graph.precision));
  if (graph.quantized()) {
    json.String("algorithm", AlgorithmName(options));
    json.Int("block_size", static_cast<int64_t>(graph.quantize.block_size));
    json.Bool("symmetric", graph.quantize.symmetric);
    json.Int("accuracy_level", graph.accuracy_level);
  }
  json.Int("weights", static_cast<int64_t>(facts.weights));
  json.Double("bits_per_weight",
              BitsPerWeight(facts.output_bytes, facts.weights));
  json.BeginObject("bytes");
  json.Int("output", static_cast<int64_t>(facts.output_bytes));
  json.Int("source", static_cast<int64_t>(facts.source_bytes));
  json.Int("fp16", static_cast<int64_t>(2 * facts.weights));
  json.Int("fp32", static_cast<int64_t>(4 * facts.weights));
  json.EndObject();
  json.Double("seconds", facts.seconds);
  if (facts.check) AddCheck(*facts.check, &json);
  json.EndObject();
  return json.text();
}

std::string CheckLine(const SelfCheck& check) {
  const std::string head = Format("self-check: %zu tokens of %zu prompts",
                                  check.TokenCount(), check.prompts.size());
  const std::string tail = Format(", %.1f s", check.seconds);
  if (!check.no_reference.empty()) {
    return head + " without reference (" + Printable(check.no_reference, 200) +
           ")" + tail;
  }
  const Divergence& d = check.all;
  return head +
         Format(
             " beside the source: KL %.2g, top-1 %.0f %%, perplexity %.4g "
             "-> %.4g, relative logit error %.2g %%",
             d.MeanKl(), 100 * d.Top1(), d.SourcePerplexity(),
             d.OutputPerplexity(), 100 * d.RelativeError()) +
         tail;
}

}  // namespace slm::convert
