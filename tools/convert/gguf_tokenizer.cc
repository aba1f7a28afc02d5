// SPDX-License-Identifier: MIT
#include "tools/convert/gguf_tokenizer.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include "loader/json.h"
#include "loader/tokenizer_json.h"
#include "runtime/core/utf8.h"
#include "tools/convert/gguf_vocab.h"
#include "tools/convert/json_text.h"

namespace slm::convert {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";
constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

// What tokenizer.ggml.pre names, as the tokenizer.json of those models have it.
enum class Cut {
  kExpression,  // a regular expression, then bytes
  kGpt2,        // ByteLevel's own
  kDigits,      // single digits, then as kGpt2
};

struct PreTokenizer {
  std::string_view name;
  Cut cut;
  std::string_view expression;
  bool nfc, ignore_merges, add_bos;
  std::string_view tokenizer_class;
};

// Of tiktoken: cl100k_base with up to three and with single digits, o200k_base,
// and Mistral's.
constexpr std::string_view kThreeDigits =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kOneDigit =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::string_view kFast = "PreTrainedTokenizerFast";
constexpr std::string_view kGpt2Class = "GPT2Tokenizer";
constexpr std::string_view kQwenClass = "Qwen2Tokenizer";

// Sorted by name.
constexpr PreTokenizer kPreTokenizers[] = {
    {"dbrx", Cut::kExpression, kThreeDigits, false, false, false, kGpt2Class},
    {"deepseek-r1-qwen", Cut::kExpression, kOneDigit, true, false, false,
     kFast},
    {"gpt-2", Cut::kGpt2, "", false, false, false, kGpt2Class},
    {"gpt-4o", Cut::kExpression, kO200k, false, false, false, kGpt2Class},
    {"llama-bpe", Cut::kExpression, kThreeDigits, false, true, true, kFast},
    {"llama-v3", Cut::kExpression, kThreeDigits, false, true, true, kFast},
    {"llama3", Cut::kExpression, kThreeDigits, false, true, true, kFast},
    {"phi-2", Cut::kGpt2, "", false, false, false, kGpt2Class},
    {"qwen2", Cut::kExpression, kOneDigit, true, false, false, kQwenClass},
    {"refact", Cut::kDigits, "", false, false, false, kGpt2Class},
    {"smaug-bpe", Cut::kExpression, kThreeDigits, false, false, false, kFast},
    {"smollm", Cut::kDigits, "", false, false, false, kGpt2Class},
    {"starcoder", Cut::kDigits, "", false, false, false, kGpt2Class},
    {"tekken", Cut::kExpression, kTekken, false, true, true, kFast},
};

Result<const PreTokenizer*> FindPreTokenizer(const Gguf& gguf) {
  const GgufValue* value = gguf.Value("tokenizer.ggml.pre");
  const std::string_view name = value ? value->text : "";
  std::string known;
  for (const PreTokenizer& row : kPreTokenizers) {
    if (row.name == name) return &row;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  if (name.empty()) {
    return Invalid(
        "key \"tokenizer.ggml.pre\" is missing: an old file, which "
        "does not say how its texts are cut; make it anew");
  }
  return Invalid("tokenizer.ggml.pre \"%s\" is not supported; supported: %s",
                 Printable(name).c_str(), known.c_str());
}

class Builder {
 public:
  Builder(const Gguf& gguf, const GgufFamily& family)
      : gguf_(gguf), family_(family) {}

  Result<GgufTokenizer> Make();

 private:
  Result<bool> Flag(const char* name, bool fallback) const;
  // The id under tokenizer.ggml.NAME; -1 if there is none.
  Result<int64_t> Id(const char* name, int64_t fallback = -1) const;
  Status ReadModel();
  Status ReadIds();
  void FindEndTokens();
  Status ReadTemplate();
  Status Check(const std::string& text) const;

  std::string TokenizerText() const;
  void AddAddedTokens(JsonText* json) const;
  void AddNormalizer(JsonText* json) const;
  void AddPreTokenizer(JsonText* json) const;
  void AddPostProcessor(JsonText* json) const;
  void AddDecoder(JsonText* json) const;
  void AddModel(JsonText* json) const;
  std::string ConfigText() const;
  std::string SpecialTokensText() const;
  void AddSpecialTokens(JsonText* json) const;

  std::string_view Text(int64_t id) const {
    return vocab_.tokens[static_cast<size_t>(id)];
  }

  const Gguf& gguf_;
  const GgufFamily& family_;
  GgufTokenizer out_;
  GgufVocab vocab_;
  GgufMerges merges_;
  const PreTokenizer* pre_ = nullptr;  // of byte-level BPE; else SentencePiece
  bool add_bos_ = false, add_eos_ = false, prefix_ = false;
  bool strips_right_ = false;  // Phi-3's markers
  int64_t unknown_ = -1;
};

Result<bool> Builder::Flag(const char* name, bool fallback) const {
  const std::string key = std::string(kPrefix) + name;
  const GgufValue* value = gguf_.Value(key);
  if (!value) return fallback;
  if (value->kind != GgufValue::Kind::kBool) {
    return Invalid("key \"%s\" is no boolean", key.c_str());
  }
  return value->integer != 0;
}

Result<int64_t> Builder::Id(const char* name, int64_t fallback) const {
  const std::string key = std::string(kPrefix) + name + "_token_id";
  const GgufValue* value = gguf_.Value(key);
  if (!value) return fallback;
  if (value->kind != GgufValue::Kind::kInt) {
    return Invalid("key \"%s\" is no integer", key.c_str());
  }
  // Old files have 2^32 - 1 or a negative number for none.
  if (value->integer < 0 || value->integer == INT64_C(0xFFFFFFFF)) return -1;
  if (value->integer >= static_cast<int64_t>(vocab_.tokens.size())) {
    return Invalid("%s = %lld is not below the %zu tokens", key.c_str(),
                   static_cast<long long>(value->integer),
                   vocab_.tokens.size());
  }
  return value->integer;
}

Status Builder::ReadModel() {
  const GgufValue* model = gguf_.Value("tokenizer.ggml.model");
  if (!model || model->kind != GgufValue::Kind::kString) {
    return Invalid("key \"tokenizer.ggml.model\" is missing");
  }
  const bool bytes = model->text == "gpt2";
  if (!bytes && model->text != "llama") {
    return Invalid(
        "tokenizer.ggml.model \"%s\" is not supported; supported: "
        "gpt2, llama",
        Printable(model->text).c_str());
  }
  for (const char* name : {"remove_extra_whitespaces", "add_sep_token"}) {
    SLM_ASSIGN_OR_RETURN(const bool set, Flag(name, false));
    if (set) return Invalid("tokenizer.ggml.%s is not supported", name);
  }
  if (gguf_.Value("tokenizer.ggml.precompiled_charsmap")) {
    return Invalid("tokenizer.ggml.precompiled_charsmap is not supported");
  }
  SLM_ASSIGN_OR_RETURN(vocab_, ReadGgufVocab(gguf_));
  if (bytes) {
    SLM_ASSIGN_OR_RETURN(pre_, FindPreTokenizer(gguf_));
    SLM_ASSIGN_OR_RETURN(merges_, ReadGgufMerges(gguf_));
  } else {
    SLM_ASSIGN_OR_RETURN(merges_, MergesFromScores(vocab_));
  }
  SLM_ASSIGN_OR_RETURN(add_bos_,
                       Flag("add_bos_token", pre_ ? pre_->add_bos : true));
  SLM_ASSIGN_OR_RETURN(add_eos_, Flag("add_eos_token", false));
  SLM_ASSIGN_OR_RETURN(prefix_, Flag("add_space_prefix", pre_ == nullptr));
  if (pre_ && prefix_) {
    return Invalid("tokenizer.ggml.add_space_prefix is not supported for gpt2");
  }
  // The file does not say so; llama.cpp goes by the name, too.
  const GgufValue* name = gguf_.Value("general.name");
  std::string lower(name ? name->text : "");
  for (char& c : lower) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  strips_right_ = !pre_ && (lower.find("phi-3") != std::string::npos ||
                            lower.find("phi3") != std::string::npos);
  return OkStatus();
}

Status Builder::ReadIds() {
  GgufTokenIds& ids = out_.ids;
  SLM_ASSIGN_OR_RETURN(ids.bos, Id("bos", pre_ ? -1 : 1));
  SLM_ASSIGN_OR_RETURN(const int64_t eos, Id("eos", pre_ ? -1 : 2));
  SLM_ASSIGN_OR_RETURN(ids.pad, Id("padding"));
  SLM_ASSIGN_OR_RETURN(unknown_, Id("unknown", pre_ ? -1 : 0));
  const auto size = static_cast<int64_t>(vocab_.tokens.size());
  if (std::max({ids.bos, eos, unknown_}) >= size) {
    return Invalid(
        "tokenizer.ggml.tokens has %lld tokens, fewer than its "
        "special ones",
        static_cast<long long>(size));
  }
  if (eos < 0) return Invalid("key \"tokenizer.ggml.eos_token_id\" is missing");
  ids.eos.push_back(eos);
  if (add_bos_ && ids.bos < 0) {
    return Invalid("tokenizer.ggml.add_bos_token without a bos_token_id");
  }
  for (const char* name : {"eot", "eom"}) {
    SLM_ASSIGN_OR_RETURN(const int64_t id, Id(name));
    if (id >= 0 && std::count(ids.eos.begin(), ids.eos.end(), id) == 0) {
      ids.eos.push_back(id);
    }
  }
  FindEndTokens();
  return OkStatus();
}

// The format has one end of text and one end of a turn, generation_config.json
// all of them. The others go by their texts, as llama.cpp has it.
void Builder::FindEndTokens() {
  constexpr std::string_view kEnds[] = {
      "<|eot_id|>",      "<|im_end|>", "<|end|>",       "<|return|>",
      "<|call|>",        "<|eom_id|>", "<end_of_turn>", "<|endoftext|>",
      "<|end_of_text|>", "<EOT>",
  };
  std::vector<int64_t>& eos = out_.ids.eos;
  std::string added;
  for (size_t i = 0; i < vocab_.tokens.size(); ++i) {
    const auto id = static_cast<int64_t>(i);
    if (vocab_.types[i] != GgufTokenType::kControl ||
        std::count(eos.begin(), eos.end(), id) != 0 ||
        std::find(std::begin(kEnds), std::end(kEnds), vocab_.tokens[i]) ==
            std::end(kEnds)) {
      continue;
    }
    eos.push_back(id);
    added += (added.empty() ? "" : ", ") + Printable(vocab_.tokens[i]);
  }
  if (!added.empty()) {
    out_.notes.push_back("these tokens end an answer, too: " + added);
  }
}

Status Builder::ReadTemplate() {
  const GgufValue* value = gguf_.Value("tokenizer.chat_template");
  if (!value) return OkStatus();
  if (value->kind != GgufValue::Kind::kString || !IsValidUtf8(value->text)) {
    return Invalid("key \"tokenizer.chat_template\" is no text in UTF-8");
  }
  out_.chat_template = value->text;
  return OkStatus();
}

void Builder::AddAddedTokens(JsonText* json) const {
  constexpr std::string_view kNotStripped[] = {"<unk>", "<s>", "<|endoftext|>"};
  json->BeginArray("added_tokens");
  for (size_t i = 0; i < vocab_.tokens.size(); ++i) {
    if (!vocab_.IsAdded(i)) continue;
    const std::string_view text = vocab_.tokens[i];
    const bool special = vocab_.types[i] != GgufTokenType::kUserDefined;
    const bool rstrip =
        strips_right_ && (special || text == "</s>") &&
        std::find(std::begin(kNotStripped), std::end(kNotStripped), text) ==
            std::end(kNotStripped);
    json->BeginObject();
    json->Int("id", static_cast<int64_t>(i));
    json->String("content", text);
    json->Bool("single_word", false);
    json->Bool("lstrip", false);
    json->Bool("rstrip", rstrip);
    json->Bool("normalized", false);
    json->Bool("special", special);
    json->EndObject();
  }
  json->EndArray();
}

void Builder::AddNormalizer(JsonText* json) const {
  if (pre_) {
    json->Key("normalizer");
    if (!pre_->nfc) return json->Null();
    json->BeginObject();
    json->String("type", "NFC");
    return json->EndObject();
  }
  json->BeginObject("normalizer");
  json->String("type", "Sequence");
  json->BeginArray("normalizers");
  if (prefix_) {
    json->BeginObject();
    json->String("type", "Prepend");
    json->String("prepend", kSpace);
    json->EndObject();
  }
  json->BeginObject();
  json->String("type", "Replace");
  json->BeginObject("pattern");
  json->String("String", " ");
  json->EndObject();
  json->String("content", kSpace);
  json->EndObject();
  json->EndArray();
  json->EndObject();
}

void AddByteLevel(bool prefix, bool trim, bool regex, JsonText* json) {
  json->BeginObject();
  json->String("type", "ByteLevel");
  json->Bool("add_prefix_space", prefix);
  json->Bool("trim_offsets", trim);
  json->Bool("use_regex", regex);
  json->EndObject();
}

void Builder::AddPreTokenizer(JsonText* json) const {
  json->Key("pre_tokenizer");
  if (!pre_) return json->Null();
  if (pre_->cut == Cut::kGpt2) return AddByteLevel(false, true, true, json);
  json->BeginObject();
  json->String("type", "Sequence");
  json->BeginArray("pretokenizers");
  json->BeginObject();
  if (pre_->cut == Cut::kDigits) {
    json->String("type", "Digits");
    json->Bool("individual_digits", true);
  } else {
    json->String("type", "Split");
    json->BeginObject("pattern");
    json->String("Regex", pre_->expression);
    json->EndObject();
    json->String("behavior", "Isolated");
    json->Bool("invert", false);
  }
  json->EndObject();
  AddByteLevel(false, pre_->cut == Cut::kDigits, pre_->cut == Cut::kDigits,
               json);
  json->EndArray();
  json->EndObject();
}

void Builder::AddPostProcessor(JsonText* json) const {
  json->Key("post_processor");
  if (!add_bos_ && !add_eos_) {
    return pre_ ? AddByteLevel(true, false, true, json) : json->Null();
  }
  const int64_t bos = add_bos_ ? out_.ids.bos : -1;
  const int64_t eos = add_eos_ ? out_.ids.eos[0] : -1;
  const auto special = [&](int64_t id, int64_t type) {
    if (id < 0) return;
    json->BeginObject();
    json->BeginObject("SpecialToken");
    json->String("id", Text(id));
    json->Int("type_id", type);
    json->EndObject();
    json->EndObject();
  };
  const auto sequence = [&](const char* name, int64_t type) {
    special(bos, type);
    json->BeginObject();
    json->BeginObject("Sequence");
    json->String("id", name);
    json->Int("type_id", type);
    json->EndObject();
    json->EndObject();
    special(eos, type);
  };
  json->BeginObject();
  json->String("type", "TemplateProcessing");
  json->BeginArray("single");
  sequence("A", 0);
  json->EndArray();
  json->BeginArray("pair");
  sequence("A", 0);
  sequence("B", 1);
  json->EndArray();
  json->BeginObject("special_tokens");
  for (const int64_t id : {bos, eos == bos ? -1 : eos}) {
    if (id < 0) continue;
    json->BeginObject(Text(id));
    json->String("id", Text(id));
    json->BeginArray("ids");
    json->Int(id);
    json->EndArray();
    json->BeginArray("tokens");
    json->String(Text(id));
    json->EndArray();
    json->EndObject();
  }
  json->EndObject();
  json->EndObject();
}

void Builder::AddDecoder(JsonText* json) const {
  json->Key("decoder");
  if (pre_) return AddByteLevel(true, true, true, json);
  json->BeginObject();
  json->String("type", "Sequence");
  json->BeginArray("decoders");
  json->BeginObject();
  json->String("type", "Replace");
  json->BeginObject("pattern");
  json->String("String", kSpace);
  json->EndObject();
  json->String("content", " ");
  json->EndObject();
  for (const char* type : {"ByteFallback", "Fuse"}) {
    json->BeginObject();
    json->String("type", type);
    json->EndObject();
  }
  if (prefix_) {
    json->BeginObject();
    json->String("type", "Strip");
    json->String("content", " ");
    json->Int("start", 1);
    json->Int("stop", 0);
    json->EndObject();
  }
  json->EndArray();
  json->EndObject();
}

void Builder::AddModel(JsonText* json) const {
  const bool bytes = std::find(vocab_.types.begin(), vocab_.types.end(),
                               GgufTokenType::kByte) != vocab_.types.end();
  json->BeginObject("model");
  json->String("type", "BPE");
  for (const char* key :
       {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    json->Key(key);
    json->Null();
  }
  json->Key("unk_token");
  if (pre_ || unknown_ < 0) {
    json->Null();
  } else {
    json->String(Text(unknown_));
  }
  json->Bool("fuse_unk", !pre_);
  json->Bool("byte_fallback", !pre_ && bytes);
  json->Bool("ignore_merges", pre_ && pre_->ignore_merges);
  json->BeginObject("vocab");
  const size_t size = vocab_.ModelSize();
  for (size_t i = 0; i < size; ++i) {
    json->Int(vocab_.tokens[i], static_cast<int64_t>(i));
  }
  json->EndObject();
  json->BeginArray("merges");
  for (const auto& [left, right] : merges_) {
    json->String(std::string(left) + " " + std::string(right));
  }
  json->EndArray();
  json->EndObject();
}

std::string Builder::TokenizerText() const {
  JsonText json(0);
  json.BeginObject();
  json.String("version", "1.0");
  json.Key("truncation");
  json.Null();
  json.Key("padding");
  json.Null();
  AddAddedTokens(&json);
  AddNormalizer(&json);
  AddPreTokenizer(&json);
  AddPostProcessor(&json);
  AddDecoder(&json);
  AddModel(&json);
  json.EndObject();
  return json.text();
}

void Builder::AddSpecialTokens(JsonText* json) const {
  const std::pair<const char*, int64_t> tokens[] = {
      {"bos_token", out_.ids.bos},
      {"eos_token", out_.ids.eos[0]},
      {"pad_token", out_.ids.pad},
      {"unk_token", pre_ ? -1 : unknown_}};
  for (const auto& [key, id] : tokens) {
    if (id >= 0) json->String(key, Text(id));
  }
}

std::string Builder::SpecialTokensText() const {
  JsonText json(2);
  json.BeginObject();
  AddSpecialTokens(&json);
  json.EndObject();
  return json.text();
}

std::string Builder::ConfigText() const {
  JsonText json(2);
  json.BeginObject();
  if (!pre_) {
    json.Bool("add_bos_token", add_bos_);
    json.Bool("add_eos_token", add_eos_);
  }
  AddSpecialTokens(&json);
  json.Bool("clean_up_tokenization_spaces", false);
  json.String("tokenizer_class", pre_               ? pre_->tokenizer_class
                                 : family_.plus_one ? "GemmaTokenizer"
                                                    : "LlamaTokenizer");
  json.EndObject();
  return json.text();
}

// What was written is read, and every id stands for the file's token.
Status Builder::Check(const std::string& text) const {
  SLM_ASSIGN_OR_RETURN(const JsonDocument document, JsonDocument::Parse(text));
  SLM_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                       ParseTokenizer(document.root(), "tokenizer.ggml"));
  for (size_t i = 0; i < vocab_.tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    // Padding after the last token needs no texts.
    if (vocab_.types[i] == GgufTokenType::kUnused) continue;
    if (tokenizer->TokenId(vocab_.tokens[i]) != id) {
      return Invalid(
          "tokenizer.ggml.tokens: token %zu, \"%s\", would become "
          "%d",
          i, Printable(vocab_.tokens[i]).c_str(),
          tokenizer->TokenId(vocab_.tokens[i]));
    }
  }
  return OkStatus();
}

Result<GgufTokenizer> Builder::Make() {
  SLM_RETURN_IF_ERROR(ReadModel());
  SLM_RETURN_IF_ERROR(ReadIds());
  SLM_RETURN_IF_ERROR(ReadTemplate());
  std::string text = TokenizerText();
  SLM_RETURN_IF_ERROR(Check(text));
  out_.files["tokenizer.json"] = std::move(text);
  out_.files["tokenizer_config.json"] = ConfigText();
  out_.files["special_tokens_map.json"] = SpecialTokensText();
  TokenizerConfig& config = out_.config;
  const auto token = [&](int64_t id) {
    return id < 0 ? std::optional<std::string>() : std::string(Text(id));
  };
  config.bos_token = token(out_.ids.bos);
  config.eos_token = token(out_.ids.eos[0]);
  config.pad_token = token(out_.ids.pad);
  config.unk_token = token(pre_ ? -1 : unknown_);
  if (!out_.chat_template.empty()) config.chat_template = out_.chat_template;
  return std::move(out_);
}

}  // namespace

Result<GgufTokenizer> ReadGgufTokenizer(const Gguf& gguf,
                                        const GgufFamily& family) {
  return Builder(gguf, family).Make();
}

}  // namespace slm::convert
