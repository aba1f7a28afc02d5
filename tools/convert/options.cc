// SPDX-License-Identifier: MIT
#include "tools/convert/options.h"

#include <charconv>
#include <cmath>
#include <exception>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/convert/help.h"
#include "tools/convert/olive.h"

#define CXXOPTS_NO_REGEX  // its own parser does, without the size of std::regex
#define CXXOPTS_VECTOR_DELIMITER '\0'  // paths may have commas
#include "cxxopts.hpp"

namespace slm::convert {
namespace {

constexpr size_t kMostThreads = 1024;
constexpr size_t kFewestTokens = 64, kMostTokens = 1 << 20;

struct Flag {
  const char* names;
  const char* value;
  const char* help;
};

constexpr Flag kFlags[] = {
    {"p,precision", "int4|int8|fp16|fp32", "weights of the matrices (int4)"},
    {"b,block-size", "16|32|64|128|256", "weights that share a scale (32)"},
    {"symmetric", "", "no zero points (this is the default)"},
    {"asymmetric", "", "a zero point for each block"},
    {"a,algorithm", "search|default|rtn|k_quant|gptq",
     "how scales are chosen (search)"},
    {"imatrix", "FILE",
     "weigh errors by activations; FILE: a text, or saved statistics; "
     "without: on text sampled from the model (--imatrix=FILE, with =)"},
    {"save-imatrix", "FILE", "keep the statistics for another conversion"},
    {"calibration-tokens", "N",
     "that activations are measured on (8192, more for gptq)"},
    {"accuracy-level", "0|1|2|3|4", "of MatMulNBits; 4: int8 activations (4)"},
    {"lm-head", "int4|int8|float", "the head and an embedding tied to it"},
    {"embedding", "int4|int8|float", "the embedding (float where not tied)"},
    {"mixed", "last|down|layers|auto",
     "8 bits for what needs them most, see below"},
    {"target-bpw", "X", "of --mixed auto: bits per weight of the output"},
    {"override", "NODE=TYPE", "int4, int8 or float for nodes of that name"},
    {"exclude", "NODE", "float for nodes of that name"},
    {"qdq", "", "DequantizeLinear and MatMul instead of MatMulNBits"},
    {"adapter", "DIR[:SCALE]", "a PEFT LoRA to merge; may come several times"},
    {"expert-bits", "4|8", "of a mixture of experts (as the other weights)"},
    {"expert-block-size", "row|16|32|64|128|256",
     "likewise; row: all of a row"},
    {"no-shared-embeddings", "", "tied models: a float32 embedding of its own"},
    {"requantize", "", "quantise again what the source has quantised"},
    {"name", "NAME", "of the model (the output folder's, of NAME/onnx NAME)"},
    {"t,threads", "N|auto", "threads (auto: all cores)"},
    {"force", "", "replace the output folder"},
    {"dry-run", "", "check everything and print sizes, write nothing"},
    {"no-check", "", "do not try the result beside its source"},
    {"q,quiet", "", "no progress, no summary"},
    {"version", "", "version"},
    {"h,help", "", "what is used most"},
    {"help-all", "", "this text"},
};

// Flags that may come several times.
bool IsList(std::string_view name) {
  return name == "adapter" || name == "override" || name == "exclude";
}

cxxopts::Options MakeParser() {
  cxxopts::Options parser(
      "slm-convert",
      "A Hugging Face folder (safetensors) or a GGUF file into a model folder "
      "for\nFoundry Local, ONNX Runtime GenAI and slm.");
  auto add = parser.add_options();
  for (const Flag& flag : kFlags) {
    if (flag.value[0] == '\0') {
      add(flag.names, flag.help);
    } else if (IsList(flag.names)) {
      add(flag.names, flag.help, cxxopts::value<std::vector<std::string>>(),
          flag.value);
    } else if (std::string_view(flag.names) == "imatrix") {
      add(flag.names, flag.help,
          cxxopts::value<std::string>()->implicit_value(""), flag.value);
    } else {
      add(flag.names, flag.help, cxxopts::value<std::string>(), flag.value);
    }
  }
  parser.add_options("Positional")("words", "",
                                   cxxopts::value<std::vector<std::string>>());
  parser.parse_positional({"words"});
  parser.positional_help("SOURCE OUTPUT");
  return parser;
}

constexpr std::pair<const char*, Precision> kPrecisions[] = {
    {"int4", Precision::kInt4},
    {"int8", Precision::kInt8},
    {"fp16", Precision::kFp16},
    {"fp32", Precision::kFp32},
};

constexpr std::pair<const char*, QuantAlgorithm> kAlgorithmNames[] = {
    {"search", QuantAlgorithm::kSearch},
    {"gptq", QuantAlgorithm::kSearch},  // with CalibrationOptions::gptq
    {"default", QuantAlgorithm::kDefault},
    {"rtn", QuantAlgorithm::kRtn},
    {"k_quant", QuantAlgorithm::kKQuant},
};

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
    status_ = Usage("--%s is \"%s\", must be %s; see slm-convert --help", name,
                    Printable(text).c_str(), expected.c_str());
  }

  void Get(const char* name, size_t low, size_t high, size_t* out) {
    const std::string* text = Text(name);
    if (text == nullptr) return;
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), end, *out);
    if (error != std::errc() || stop != end || text->empty() || *out < low ||
        *out > high) {
      Fail(name, *text, Format("a whole number %zu..%zu", low, high));
    }
  }

  template <typename T, size_t n>
  void Get(const char* name, const std::pair<const char*, T> (&choices)[n],
           T* out) {
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
  const cxxopts::ParseResult& parsed_;
  Status status_;
};

// Names of llama.cpp for the nearest that MatMulNBits has.
struct LlamaType {
  const char* name;  // upper case
  Precision precision;
  bool symmetric;
  const char* mixed;
};
constexpr LlamaType kLlamaTypes[] = {
    {"F16", Precision::kFp16, true, ""},
    {"F32", Precision::kFp32, true, ""},
    {"Q8_0", Precision::kInt8, true, ""},
    {"Q4_0", Precision::kInt4, true, ""},
    {"Q4_1", Precision::kInt4, false, ""},
    {"Q4_K_S", Precision::kInt4, false, ""},
    {"Q4_K_M", Precision::kInt4, false, "layers"},
    {"Q4_K", Precision::kInt4, false, "layers"},
};

const LlamaType* FindLlamaType(const std::string* text) {
  if (text == nullptr) return nullptr;
  std::string upper = *text;
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  for (const LlamaType& type : kLlamaTypes) {
    if (upper == type.name) return &type;
  }
  return nullptr;
}

// --mixed auto needs its target, and has no other use for it.
Status ReadTarget(const Reader& in, Options* o) {
  const std::string* mixed = in.Text("mixed");
  const std::string* text = in.Text("target-bpw");
  const bool automatic = mixed && *mixed == "auto";
  if (!automatic && !text) return OkStatus();
  if (!automatic) return Usage("--target-bpw means something to --mixed auto");
  if (!text) return Usage("--mixed auto needs --target-bpw X");
  if (o->graph.precision != Precision::kInt4 || o->graph.qdq) {
    return Usage(
        "--mixed auto chooses between 4 and 8 bits of MatMulNBits: "
        "not with %s",
        o->graph.qdq ? "--qdq" : "another precision than int4");
  }
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, o->target_bpw);
  if (error == std::errc() && stop == end && o->target_bpw > 0 &&
      o->target_bpw <= 64) {
    return OkStatus();
  }
  return Usage("--target-bpw is \"%s\", must be a number above 0, to 64",
               Printable(*text).c_str());
}

// Flags that say nothing of unquantised weights are refused with them.
Status CheckQuantizeFlags(const Reader& in, const GraphOptions& graph) {
  if (in.Has("symmetric") && in.Has("asymmetric")) {
    return Usage("--symmetric and --asymmetric exclude each other");
  }
  if (const LlamaType* type = FindLlamaType(in.Text("precision"))) {
    for (const char* name : {"symmetric", "asymmetric", "block-size"}) {
      if (in.Has(name)) {
        return Usage("--precision %s says what --%s says", type->name, name);
      }
    }
  }
  const std::string* algorithm = in.Text("algorithm");
  if (algorithm && *algorithm == "k_quant" && in.Has("symmetric")) {
    return Usage("--algorithm k_quant has no --symmetric");
  }
  if (graph.quantized()) return OkStatus();
  for (const char* name :
       {"block-size", "symmetric", "asymmetric", "algorithm", "accuracy-level",
        "requantize", "lm-head", "embedding", "mixed", "override", "exclude",
        "qdq", "imatrix", "target-bpw", "expert-bits", "expert-block-size"}) {
    if (in.Has(name)) {
      return Usage("--%s means nothing with --precision %s", name,
                   PrecisionName(graph.precision));
    }
  }
  return OkStatus();
}

// In the order in which they win.
Status ReadRules(const cxxopts::ParseResult& parsed, const Reader& in,
                 GraphOptions* graph) {
  const auto list = [&](const char* name) {
    return parsed.count(name) > 0 ? parsed[name].as<std::vector<std::string>>()
                                  : std::vector<std::string>();
  };
  for (const std::string& node : list("exclude")) {
    graph->rules.push_back({NodeGroup::kPattern, node, 0});
  }
  for (const std::string& text : list("override")) {
    const size_t equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0) {
      return Usage("--override \"%s\": expected NODE=TYPE",
                   Printable(text).c_str());
    }
    SLM_ASSIGN_OR_RETURN(const int bits,
                         BitsOfType("--override", text.substr(equals + 1)));
    graph->rules.push_back({NodeGroup::kPattern, text.substr(0, equals), bits});
  }
  for (const auto& [name, node] :
       {std::pair<const char*, const char*>{"lm-head", kHeadNode},
        {"embedding", kEmbeddingNode}}) {
    const std::string* text = in.Text(name);
    if (text == nullptr) continue;
    SLM_ASSIGN_OR_RETURN(const int bits,
                         BitsOfType("--" + std::string(name), *text));
    graph->rules.push_back({NodeGroup::kPattern, node, bits});
  }
  const LlamaType* type = FindLlamaType(in.Text("precision"));
  std::string preset = type ? type->mixed : "";
  if (const std::string* text = in.Text("mixed")) preset = *text;
  if (preset.empty() || preset == "auto") return OkStatus();
  SLM_ASSIGN_OR_RETURN(const std::vector<PrecisionRule> rules,
                       RulesOfPreset(preset));
  graph->rules.insert(graph->rules.end(), rules.begin(), rules.end());
  return OkStatus();
}

void ReadGraph(Reader* in, GraphOptions* graph) {
  const LlamaType* type = FindLlamaType(in->Text("precision"));
  if (type) {
    graph->precision = type->precision;
  } else {
    in->Get("precision", kPrecisions, &graph->precision);
  }
  in->Get("algorithm", kAlgorithmNames, &graph->quantize.algorithm);
  static constexpr std::pair<const char*, size_t> kBlocks[] = {
      {"16", 16}, {"32", 32}, {"64", 64}, {"128", 128}, {"256", 256}};
  in->Get("block-size", kBlocks, &graph->quantize.block_size);
  static constexpr std::pair<const char*, int> kBits[] = {{"4", 4}, {"8", 8}};
  in->Get("expert-bits", kBits, &graph->expert_bits);
  static constexpr std::pair<const char*, size_t> kExpertBlocks[] = {
      {"row", 0}, {"16", 16},   {"32", 32},
      {"64", 64}, {"128", 128}, {"256", 256}};
  if (in->Has("expert-block-size")) {
    size_t block = 0;
    in->Get("expert-block-size", kExpertBlocks, &block);
    graph->expert_block_size = block;
  }
  size_t level = static_cast<size_t>(graph->accuracy_level);
  in->Get("accuracy-level", 0, 4, &level);
  graph->accuracy_level = static_cast<int64_t>(level);
  graph->quantize.bits = graph->precision == Precision::kInt8 ? 8 : 4;
  graph->quantize.symmetric =
      type && !in->Has("symmetric") ? type->symmetric : !in->Has("asymmetric");
  graph->qdq = in->Has("qdq");
  graph->share_embeddings = !in->Has("no-shared-embeddings");
}

Status ReadCalibration(Reader* in, const GraphOptions& graph,
                       CalibrationOptions* out) {
  const std::string* name = in->Text("algorithm");
  out->gptq = name && *name == "gptq";
  out->used = in->Has("imatrix") || out->gptq;
  if (const std::string* file = in->Text("imatrix")) out->file = *file;
  if (const std::string* save = in->Text("save-imatrix")) out->save = *save;
  in->Get("calibration-tokens", kFewestTokens, kMostTokens, &out->tokens);
  SLM_RETURN_IF_ERROR(in->status());
  for (const char* flag : {"save-imatrix", "calibration-tokens"}) {
    if (in->Has(flag) && !out->used) {
      return Usage("--%s means nothing without --imatrix or --algorithm gptq",
                   flag);
    }
  }
  const QuantAlgorithm algorithm = graph.quantize.algorithm;
  if (out->used && algorithm != QuantAlgorithm::kSearch) {
    return Usage("--imatrix means nothing with --algorithm %s",
                 AlgorithmName(algorithm));
  }
  return OkStatus();
}

// The last colon begins a scale where a number follows it.
AdapterRequest AdapterOf(const std::string& text) {
  AdapterRequest request{text, 1};
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return request;
  double scale = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] =
      std::from_chars(text.data() + colon + 1, end, scale);
  if (error != std::errc() || stop != end || !std::isfinite(scale)) {
    return request;
  }
  return {text.substr(0, colon), scale};
}

Status ReadPaths(const cxxopts::ParseResult& parsed, Options* o) {
  std::vector<std::string> words;
  if (parsed.count("words") > 0) {
    words = parsed["words"].as<std::vector<std::string>>();
  }
  if (words.size() == 3 && parsed.count("imatrix") > 0) {
    return Usage(
        "3 paths, expected SOURCE OUTPUT; --imatrix takes its file "
        "behind =, as in --imatrix=FILE");
  }
  if (words.size() != 2 || words[0].empty() || words[1].empty()) {
    return Usage(
        "%zu paths, expected a source and an output folder, as in "
        "slm-convert SOURCE OUTPUT",
        words.size());
  }
  if (parsed.count("adapter") > 0) {
    for (const std::string& text :
         parsed["adapter"].as<std::vector<std::string>>()) {
      o->adapters.push_back(AdapterOf(text));
    }
  }
  o->source = words[0];
  o->output = words[1];
  return OkStatus();
}

Result<Options> ParseCheck(std::span<const std::string> args) {
  if (args.size() != 1 || args[0].empty() || args[0][0] == '-') {
    return Usage("usage: slm-convert check FOLDER");
  }
  Options options;
  options.action = Action::kCheck;
  options.source = args[0];
  return options;
}

}  // namespace

const char* PrecisionName(Precision precision) {
  for (const auto& [name, value] : kPrecisions) {
    if (value == precision) return name;
  }
  return "";
}

const char* AlgorithmName(const Options& options) {
  return options.calibration.gptq
             ? "gptq"
             : AlgorithmName(options.graph.quantize.algorithm);
}

const char* AlgorithmName(QuantAlgorithm algorithm) {
  for (const auto& [name, value] : kAlgorithmNames) {
    if (value == algorithm) return name;
  }
  return "";
}

Status SettleGraphOptions(GraphOptions* graph) {
  if (!graph->quantized()) {
    if (graph->rules.empty() && !graph->qdq && !graph->quantize_embedding) {
      return OkStatus();
    }
    return Usage("quantised matrices mean nothing with precision %s",
                 PrecisionName(graph->precision));
  }
  if (graph->quantize.algorithm == QuantAlgorithm::kKQuant) {
    graph->quantize.symmetric = false;
  }
  if (graph->qdq && graph->precision != Precision::kInt4) {
    return Usage("DequantizeLinear (qdq) is for int4, not for %s",
                 PrecisionName(graph->precision));
  }
  return OkStatus();
}

Result<Options> ParseOptions(std::span<const std::string> args) {
  static constexpr std::pair<const char*, Action> kAsked[] = {
      {"help", Action::kHelp},
      {"help-all", Action::kHelpAll},
      {"version", Action::kVersion}};
  const bool verb =
      !args.empty() && (args[0] == "check" || IsForeignCommand(args));
  if (verb && (args.back() == "--help" || args.back() == "-h")) {
    Options help;
    help.action = Action::kHelp;
    return help;
  }
  if (!args.empty() && args[0] == "check") return ParseCheck(args.subspan(1));
  if (IsForeignCommand(args)) {
    SLM_ASSIGN_OR_RETURN(Options foreign, ParseForeignCommand(args));
    foreign.given.precision = true;  // by the user or by the tool
    if (!foreign.graph.quantize.symmetric) foreign.given.symmetry = true;
    foreign.keeps_weights = !foreign.graph.quantized();
    return foreign;
  }
  std::vector<const char*> argv = {"slm-convert"};
  for (const std::string& arg : args) argv.push_back(arg.c_str());
  Options options;
  // cxxopts reports by exceptions; they end here.
  try {
    cxxopts::Options parser = MakeParser();
    const cxxopts::ParseResult parsed =
        parser.parse(static_cast<int>(argv.size()), argv.data());
    for (const auto& [flag, action] : kAsked) {
      if (parsed.count(flag) == 0) continue;
      options.action = action;
      return options;
    }
    Reader in(parsed);
    ReadGraph(&in, &options.graph);
    const std::string* threads = in.Text("threads");
    if (threads != nullptr && *threads != "auto") {
      in.Get("threads", 1, kMostThreads, &options.threads);
    }
    if (const std::string* name = in.Text("name")) options.name = *name;
    options.given = {in.Has("precision"), in.Has("block-size"),
                     in.Has("symmetric") || in.Has("asymmetric"),
                     in.Has("accuracy-level")};
    options.requantize = in.Has("requantize");
    options.force = in.Has("force");
    options.dry_run = in.Has("dry-run");
    options.check = !in.Has("no-check");
    options.quiet = in.Has("quiet");
    SLM_RETURN_IF_ERROR(in.status());
    SLM_RETURN_IF_ERROR(CheckQuantizeFlags(in, options.graph));
    SLM_RETURN_IF_ERROR(ReadRules(parsed, in, &options.graph));
    SLM_RETURN_IF_ERROR(SettleGraphOptions(&options.graph));
    SLM_RETURN_IF_ERROR(ReadTarget(in, &options));
    SLM_RETURN_IF_ERROR(
        ReadCalibration(&in, options.graph, &options.calibration));
    SLM_RETURN_IF_ERROR(ReadPaths(parsed, &options));
  } catch (const std::exception& e) {
    return Usage("%s; see slm-convert --help", Printable(e.what()).c_str());
  }
  return options;
}

std::string HelpAll() { return MakeParser().help({""}) + HelpNotes(); }

}  // namespace slm::convert
