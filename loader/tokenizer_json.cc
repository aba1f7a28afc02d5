// SPDX-License-Identifier: MIT
#include "loader/tokenizer_json.h"

#include <utility>
#include <vector>

#include "loader/json_fields.h"
#include "loader/regex_split.h"
#include "loader/tokenizer_model.h"
#include "runtime/core/utf8.h"
#include "runtime/text/splitters.h"
#include "runtime/text/unicode.h"

namespace slm {
namespace {

using text::DecoderStep;
using text::NormalizerStep;
using text::PostProcessorStep;
using text::PreTokenizerStep;

constexpr int kMaxNesting = 32;  // of sequences in sequences
constexpr size_t kMaxSteps = 1000;

// One type of a component: its name in the file and how its step is read.
template <typename Step>
struct Type {
  std::string_view name;
  Status (*parse)(const JsonValue& json, Step* step);
};

// Reads a component: one step, or a sequence of them, flattened.
// `list` names the sequence's member.
template <typename Step, size_t N>
Status ParseSteps(const JsonValue& json, const Type<Step> (&types)[N],
                  std::string_view list, int depth, std::vector<Step>* steps) {
  if (depth > kMaxNesting) {
    return Invalid("sequences nest deeper than %d", kMaxNesting);
  }
  SLM_ASSIGN_OR_RETURN(const std::string_view name, StringField(json, "type"));
  if (name == "Sequence") {
    SLM_ASSIGN_OR_RETURN(const JsonValue* items, ArrayField(json, list));
    for (const JsonValue& item : items->Items()) {
      SLM_RETURN_IF_ERROR(ParseSteps(item, types, list, depth + 1, steps));
    }
    return OkStatus();
  }
  if (steps->size() >= kMaxSteps) {
    return Invalid("more than %zu steps", kMaxSteps);
  }
  for (const Type<Step>& type : types) {
    if (type.name != name) continue;
    Step step{};
    const Status status = type.parse(json, &step);
    if (!status.ok()) return status.In(name);
    steps->push_back(std::move(step));
    return OkStatus();
  }
  return Invalid("type \"%s\" is not supported", Printable(name).c_str());
}

Result<text::SplitBehavior> ParseBehavior(std::string_view name) {
  static constexpr struct {
    std::string_view name;
    text::SplitBehavior behavior;
  } kBehaviors[] = {
      {"Removed", text::SplitBehavior::kRemoved},
      {"Isolated", text::SplitBehavior::kIsolated},
      {"MergedWithPrevious", text::SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", text::SplitBehavior::kMergedWithNext},
      {"Contiguous", text::SplitBehavior::kContiguous}};
  for (const auto& row : kBehaviors) {
    if (row.name == name) return row.behavior;
  }
  return Invalid("behavior \"%s\" is not supported", Printable(name).c_str());
}

// {"String": "..."} or {"Regex": "..."}.
Status ParsePattern(const JsonValue& json, text::Pattern* pattern) {
  SLM_ASSIGN_OR_RETURN(const JsonValue* field, ObjectField(json, "pattern"));
  if (field->Find("String") != nullptr) {
    SLM_ASSIGN_OR_RETURN(pattern->literal, StringField(*field, "String"));
    return OkStatus();
  }
  SLM_ASSIGN_OR_RETURN(const std::string_view regex,
                       StringField(*field, "Regex"));
  pattern->splitter = text::FindSplitter(regex);
  if (pattern->splitter == nullptr) {
    SLM_ASSIGN_OR_RETURN(pattern->regex, CompileRegex(regex));
  }
  return OkStatus();
}

// A text of exactly one character.
Status ParseCharacter(const JsonValue& json, std::string_view name,
                      std::string* out) {
  SLM_ASSIGN_OR_RETURN(*out, StringField(json, name));
  if (out->empty() || text::SizeOfLead((*out)[0]) != out->size()) {
    return Invalid("\"%s\" is \"%s\", expected one character",
                   Printable(name).c_str(), Printable(*out).c_str());
  }
  return OkStatus();
}

// --- normalizers

template <text::NormalForm kForm>
Status ParseNormalForm(const JsonValue&, NormalizerStep* step) {
  step->kind = NormalizerStep::Kind::kNormalForm;
  step->form = kForm;
  return OkStatus();
}

template <NormalizerStep::Kind kKind>
Status ParsePlainNormalizer(const JsonValue&, NormalizerStep* step) {
  step->kind = kKind;
  return OkStatus();
}

Status ParseStripNormalizer(const JsonValue& json, NormalizerStep* step) {
  step->kind = NormalizerStep::Kind::kStrip;
  SLM_ASSIGN_OR_RETURN(step->strip_left, BoolField(json, "strip_left"));
  SLM_ASSIGN_OR_RETURN(step->strip_right, BoolField(json, "strip_right"));
  return OkStatus();
}

Status ParseBertNormalizer(const JsonValue& json, NormalizerStep* step) {
  step->kind = NormalizerStep::Kind::kBert;
  SLM_ASSIGN_OR_RETURN(step->clean_text, BoolField(json, "clean_text"));
  SLM_ASSIGN_OR_RETURN(step->chinese_chars,
                       BoolField(json, "handle_chinese_chars"));
  SLM_ASSIGN_OR_RETURN(step->lowercase, BoolField(json, "lowercase"));
  SLM_ASSIGN_OR_RETURN(step->strip_accents,
                       BoolField(json, "strip_accents", step->lowercase));
  return OkStatus();
}

Status ParseReplaceNormalizer(const JsonValue& json, NormalizerStep* step) {
  step->kind = NormalizerStep::Kind::kReplace;
  SLM_RETURN_IF_ERROR(ParsePattern(json, &step->pattern));
  SLM_ASSIGN_OR_RETURN(step->content, StringField(json, "content"));
  return OkStatus();
}

Status ParsePrepend(const JsonValue& json, NormalizerStep* step) {
  step->kind = NormalizerStep::Kind::kPrepend;
  SLM_ASSIGN_OR_RETURN(step->content, StringField(json, "prepend"));
  return OkStatus();
}

int Base64Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

Result<std::string> DecodeBase64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int digit = Base64Digit(c);
    if (digit < 0) return Invalid("broken base64");
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFF);
    }
  }
  return out;
}

// Little-endian: the size of the trie in bytes, the trie, the texts.
Status ParsePrecompiled(const JsonValue& json, NormalizerStep* step) {
  step->kind = NormalizerStep::Kind::kPrecompiled;
  SLM_ASSIGN_OR_RETURN(const std::string_view encoded,
                       StringField(json, "precompiled_charsmap"));
  SLM_ASSIGN_OR_RETURN(const std::string bytes, DecodeBase64(encoded));
  const auto word = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = 4; i-- > 0;) {
      value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
    }
    return value;
  };
  const uint32_t size = bytes.size() < 4 ? 0 : word(0);
  if (bytes.size() < 4 || size > bytes.size() - 4 || size % 4 != 0) {
    return Invalid("precompiled_charsmap: a trie of %u bytes in %zu bytes",
                   size, bytes.size());
  }
  for (size_t at = 4; at < 4 + size_t{size}; at += 4) {
    step->charsmap.trie.push_back(word(at));
  }
  step->charsmap.texts = bytes.substr(4 + size_t{size});
  if (!IsValidUtf8(step->charsmap.texts)) {
    return Invalid("precompiled_charsmap: texts are not UTF-8");
  }
  return OkStatus();
}

constexpr Type<NormalizerStep> kNormalizers[] = {
    {"NFC", ParseNormalForm<text::NormalForm::kNfc>},
    {"NFD", ParseNormalForm<text::NormalForm::kNfd>},
    {"NFKC", ParseNormalForm<text::NormalForm::kNfkc>},
    {"NFKD", ParseNormalForm<text::NormalForm::kNfkd>},
    {"Lowercase", ParsePlainNormalizer<NormalizerStep::Kind::kLowercase>},
    {"Strip", ParseStripNormalizer},
    {"StripAccents", ParsePlainNormalizer<NormalizerStep::Kind::kStripAccents>},
    {"BertNormalizer", ParseBertNormalizer},
    {"Replace", ParseReplaceNormalizer},
    {"Prepend", ParsePrepend},
    {"ByteLevel", ParsePlainNormalizer<NormalizerStep::Kind::kByteLevel>},
    {"Nmt", ParsePlainNormalizer<NormalizerStep::Kind::kNmt>},
    {"Precompiled", ParsePrecompiled},
};

// --- pre-tokenizers

template <PreTokenizerStep::Kind kKind>
Status ParsePlainSplit(const JsonValue&, PreTokenizerStep* step) {
  step->kind = kKind;
  return OkStatus();
}

Status ParseByteLevelSplit(const JsonValue& json, PreTokenizerStep* step) {
  step->kind = PreTokenizerStep::Kind::kByteLevel;
  SLM_ASSIGN_OR_RETURN(step->add_prefix_space,
                       BoolField(json, "add_prefix_space"));
  SLM_ASSIGN_OR_RETURN(step->use_pattern, BoolField(json, "use_regex", true));
  step->pattern.splitter = text::FindSplitter(text::kGpt2Expression);
  return OkStatus();
}

// What the pre-tokenizer and the decoder of this name share. Old files have
// add_prefix_space in the place of prepend_scheme.
Status ParseMetaspace(const JsonValue& json, std::string* replacement,
                      PreTokenizerStep::Prepend* prepend) {
  using Prepend = PreTokenizerStep::Prepend;
  SLM_RETURN_IF_ERROR(ParseCharacter(json, "replacement", replacement));
  *prepend = Prepend::kAlways;
  if (FindField(json, "prepend_scheme") != nullptr) {
    SLM_ASSIGN_OR_RETURN(const std::string_view scheme,
                         StringField(json, "prepend_scheme"));
    if (scheme == "first") {
      *prepend = Prepend::kFirst;
    } else if (scheme == "never") {
      *prepend = Prepend::kNever;
    } else if (scheme != "always") {
      return Invalid("prepend_scheme \"%s\" is not supported",
                     Printable(scheme).c_str());
    }
  }
  SLM_ASSIGN_OR_RETURN(const bool prefix,
                       BoolField(json, "add_prefix_space", true));
  if (!prefix && *prepend != Prepend::kNever) {
    if (FindField(json, "prepend_scheme") != nullptr) {
      return Invalid("add_prefix_space does not match prepend_scheme");
    }
    return Invalid(
        "add_prefix_space is false without prepend_scheme "
        "\"never\"; the reference refuses such a file, too");
  }
  return OkStatus();
}

Status ParseMetaspaceSplit(const JsonValue& json, PreTokenizerStep* step) {
  step->kind = PreTokenizerStep::Kind::kMetaspace;
  SLM_RETURN_IF_ERROR(ParseMetaspace(json, &step->replacement, &step->prepend));
  SLM_ASSIGN_OR_RETURN(step->split, BoolField(json, "split", true));
  return OkStatus();
}

Status ParseCharDelimiter(const JsonValue& json, PreTokenizerStep* step) {
  step->kind = PreTokenizerStep::Kind::kCharDelimiter;
  return ParseCharacter(json, "delimiter", &step->replacement);
}

Status ParseSplit(const JsonValue& json, PreTokenizerStep* step) {
  step->kind = PreTokenizerStep::Kind::kSplit;
  SLM_RETURN_IF_ERROR(ParsePattern(json, &step->pattern));
  SLM_ASSIGN_OR_RETURN(const std::string_view behavior,
                       StringField(json, "behavior"));
  SLM_ASSIGN_OR_RETURN(step->behavior, ParseBehavior(behavior));
  SLM_ASSIGN_OR_RETURN(step->invert, BoolField(json, "invert"));
  return OkStatus();
}

Status ParsePunctuation(const JsonValue& json, PreTokenizerStep* step) {
  step->kind = PreTokenizerStep::Kind::kPunctuation;
  if (FindField(json, "behavior") == nullptr) return OkStatus();
  SLM_ASSIGN_OR_RETURN(const std::string_view behavior,
                       StringField(json, "behavior"));
  SLM_ASSIGN_OR_RETURN(step->behavior, ParseBehavior(behavior));
  return OkStatus();
}

Status ParseDigits(const JsonValue& json, PreTokenizerStep* step) {
  step->kind = PreTokenizerStep::Kind::kDigits;
  SLM_ASSIGN_OR_RETURN(step->individual_digits,
                       BoolField(json, "individual_digits"));
  return OkStatus();
}

Status ParseFixedLength(const JsonValue& json, PreTokenizerStep* step) {
  step->kind = PreTokenizerStep::Kind::kFixedLength;
  if (FindField(json, "length") == nullptr) return OkStatus();
  SLM_ASSIGN_OR_RETURN(const int64_t length,
                       CountField(json, "length", int64_t{1} << 40));
  if (length == 0) return Invalid("\"length\" is 0, supported: 1 and more");
  step->length = static_cast<size_t>(length);
  return OkStatus();
}

constexpr Type<PreTokenizerStep> kPreTokenizers[] = {
    {"ByteLevel", ParseByteLevelSplit},
    {"BertPreTokenizer", ParsePlainSplit<PreTokenizerStep::Kind::kBert>},
    {"Whitespace", ParsePlainSplit<PreTokenizerStep::Kind::kWhitespace>},
    {"WhitespaceSplit",
     ParsePlainSplit<PreTokenizerStep::Kind::kWhitespaceSplit>},
    {"Metaspace", ParseMetaspaceSplit},
    {"CharDelimiterSplit", ParseCharDelimiter},
    {"Split", ParseSplit},
    {"Punctuation", ParsePunctuation},
    {"Digits", ParseDigits},
    {"UnicodeScripts",
     ParsePlainSplit<PreTokenizerStep::Kind::kUnicodeScripts>},
    {"FixedLength", ParseFixedLength},
};

// --- post-processors

constexpr int64_t kMaxId = text::Vocabulary::kMaxId;

// ["[SEP]", 102]
Status ParseTokenPair(const JsonValue& json, std::string_view name,
                      int32_t* id) {
  SLM_ASSIGN_OR_RETURN(const JsonValue* pair, ArrayField(json, name));
  if (pair->Items().size() != 2 || !pair->Items()[0].IsString() ||
      !pair->Items()[1].IsInt() || pair->Items()[1].Int() < 0 ||
      pair->Items()[1].Int() > kMaxId) {
    return Invalid("\"%s\" is not a token and its id", Printable(name).c_str());
  }
  *id = static_cast<int32_t>(pair->Items()[1].Int());
  return OkStatus();
}

template <PostProcessorStep::Kind kKind>
Status ParseSurrounding(const JsonValue& json, PostProcessorStep* step) {
  step->kind = kKind;
  SLM_RETURN_IF_ERROR(ParseTokenPair(json, "cls", &step->cls));
  return ParseTokenPair(json, "sep", &step->sep);
}

// {"SpecialToken": {"id": "<s>", ...}} or {"Sequence": {"id": "A", ...}}.
Status ParseTemplatePart(const JsonValue& json, const JsonValue& specials,
                         text::TemplatePart* part) {
  if (const JsonValue* sequence = json.Find("Sequence")) {
    SLM_ASSIGN_OR_RETURN(const std::string_view id,
                         StringField(*sequence, "id"));
    if (id != "A" && id != "B") {
      return Invalid("sequence \"%s\" is not supported", Printable(id).c_str());
    }
    part->is_sequence = true;
    part->is_second = id == "B";
    return OkStatus();
  }
  SLM_ASSIGN_OR_RETURN(const JsonValue* token,
                       ObjectField(json, "SpecialToken"));
  SLM_ASSIGN_OR_RETURN(const std::string_view name, StringField(*token, "id"));
  const JsonValue* special = specials.Find(name);
  if (special == nullptr) {
    return Invalid("special_tokens lacks \"%s\"", Printable(name).c_str());
  }
  SLM_ASSIGN_OR_RETURN(const JsonValue* ids, ArrayField(*special, "ids"));
  for (const JsonValue& id : ids->Items()) {
    if (!id.IsInt() || id.Int() < 0 || id.Int() > kMaxId) {
      return Invalid("an id of special token \"%s\" is out of range",
                     Printable(name).c_str());
    }
    part->ids.push_back(static_cast<int32_t>(id.Int()));
  }
  return OkStatus();
}

Status ParseTemplateList(const JsonValue& json, std::string_view name,
                         std::vector<text::TemplatePart>* parts) {
  SLM_ASSIGN_OR_RETURN(const JsonValue* list, ArrayField(json, name));
  SLM_ASSIGN_OR_RETURN(const JsonValue* specials,
                       ObjectField(json, "special_tokens"));
  if (list->Items().size() > kMaxSteps) {
    return Invalid("\"%s\" has more than %zu parts", Printable(name).c_str(),
                   kMaxSteps);
  }
  for (const JsonValue& item : list->Items()) {
    text::TemplatePart part;
    SLM_RETURN_IF_ERROR(ParseTemplatePart(item, *specials, &part));
    parts->push_back(std::move(part));
  }
  return OkStatus();
}

Status ParseTemplate(const JsonValue& json, PostProcessorStep* step) {
  step->kind = PostProcessorStep::Kind::kTemplate;
  SLM_RETURN_IF_ERROR(ParseTemplateList(json, "single", &step->single));
  SLM_RETURN_IF_ERROR(ParseTemplateList(json, "pair", &step->pair));
  return OkStatus();
}

Status ParseByteLevelPost(const JsonValue&, PostProcessorStep* step) {
  step->kind = PostProcessorStep::Kind::kNone;
  return OkStatus();
}

constexpr Type<PostProcessorStep> kPostProcessors[] = {
    {"ByteLevel", ParseByteLevelPost},
    {"RobertaProcessing", ParseSurrounding<PostProcessorStep::Kind::kRoberta>},
    {"BertProcessing", ParseSurrounding<PostProcessorStep::Kind::kBert>},
    {"TemplateProcessing", ParseTemplate},
};

// --- decoders

template <DecoderStep::Kind kKind>
Status ParsePlainDecoder(const JsonValue&, DecoderStep* step) {
  step->kind = kKind;
  return OkStatus();
}

Status ParseWordPieceDecoder(const JsonValue& json, DecoderStep* step) {
  step->kind = DecoderStep::Kind::kWordPiece;
  SLM_ASSIGN_OR_RETURN(step->text, StringField(json, "prefix"));
  SLM_ASSIGN_OR_RETURN(step->cleanup, BoolField(json, "cleanup"));
  return OkStatus();
}

Status ParseMetaspaceDecoder(const JsonValue& json, DecoderStep* step) {
  step->kind = DecoderStep::Kind::kMetaspace;
  PreTokenizerStep::Prepend prepend;
  SLM_RETURN_IF_ERROR(ParseMetaspace(json, &step->text, &prepend));
  step->drops_first = prepend != PreTokenizerStep::Prepend::kNever;
  return OkStatus();
}

Status ParseBpeDecoder(const JsonValue& json, DecoderStep* step) {
  step->kind = DecoderStep::Kind::kBpe;
  SLM_ASSIGN_OR_RETURN(step->text, StringField(json, "suffix"));
  return OkStatus();
}

Status ParseCtcDecoder(const JsonValue& json, DecoderStep* step) {
  step->kind = DecoderStep::Kind::kCtc;
  SLM_ASSIGN_OR_RETURN(step->text, StringField(json, "pad_token"));
  SLM_ASSIGN_OR_RETURN(step->delimiter,
                       StringField(json, "word_delimiter_token"));
  SLM_ASSIGN_OR_RETURN(step->cleanup, BoolField(json, "cleanup"));
  return OkStatus();
}

Status ParseReplaceDecoder(const JsonValue& json, DecoderStep* step) {
  step->kind = DecoderStep::Kind::kReplace;
  SLM_RETURN_IF_ERROR(ParsePattern(json, &step->pattern));
  SLM_ASSIGN_OR_RETURN(step->text, StringField(json, "content"));
  return OkStatus();
}

Status ParseStripDecoder(const JsonValue& json, DecoderStep* step) {
  step->kind = DecoderStep::Kind::kStrip;
  SLM_RETURN_IF_ERROR(ParseCharacter(json, "content", &step->text));
  SLM_ASSIGN_OR_RETURN(const int64_t start,
                       CountField(json, "start", int64_t{1} << 30));
  SLM_ASSIGN_OR_RETURN(const int64_t stop,
                       CountField(json, "stop", int64_t{1} << 30));
  step->start = static_cast<size_t>(start);
  step->stop = static_cast<size_t>(stop);
  return OkStatus();
}

constexpr Type<DecoderStep> kDecoders[] = {
    {"ByteLevel", ParsePlainDecoder<DecoderStep::Kind::kByteLevel>},
    {"WordPiece", ParseWordPieceDecoder},
    {"Metaspace", ParseMetaspaceDecoder},
    {"BPEDecoder", ParseBpeDecoder},
    {"CTC", ParseCtcDecoder},
    {"Replace", ParseReplaceDecoder},
    {"ByteFallback", ParsePlainDecoder<DecoderStep::Kind::kByteFallback>},
    {"Fuse", ParsePlainDecoder<DecoderStep::Kind::kFuse>},
    {"Strip", ParseStripDecoder},
};

// --- the rest of the file

Status ParseAddedTokens(const JsonValue& root, TokenizerParts* parts) {
  if (FindField(root, "added_tokens") == nullptr) return OkStatus();
  SLM_ASSIGN_OR_RETURN(const JsonValue* list, ArrayField(root, "added_tokens"));
  for (const JsonValue& item : list->Items()) {
    text::AddedToken token;
    SLM_ASSIGN_OR_RETURN(token.content, StringField(item, "content"));
    SLM_ASSIGN_OR_RETURN(token.single_word, BoolField(item, "single_word"));
    SLM_ASSIGN_OR_RETURN(token.lstrip, BoolField(item, "lstrip"));
    SLM_ASSIGN_OR_RETURN(token.rstrip, BoolField(item, "rstrip"));
    SLM_ASSIGN_OR_RETURN(token.normalized, BoolField(item, "normalized"));
    SLM_ASSIGN_OR_RETURN(token.special, BoolField(item, "special"));
    parts->added_tokens.push_back(std::move(token));
  }
  return OkStatus();
}

constexpr int64_t kMaxLength = int64_t{1} << 30;

Result<bool> ParseIsLeft(const JsonValue& json) {
  if (FindField(json, "direction") == nullptr) return false;
  SLM_ASSIGN_OR_RETURN(const std::string_view direction,
                       StringField(json, "direction"));
  if (direction != "Left" && direction != "Right") {
    return Invalid("direction \"%s\" is not supported",
                   Printable(direction).c_str());
  }
  return direction == "Left";
}

Status ParseTruncation(const JsonValue& json, TokenizerParts* parts) {
  text::Truncation t;
  SLM_ASSIGN_OR_RETURN(const int64_t most,
                       CountField(json, "max_length", INT64_MAX));
  SLM_ASSIGN_OR_RETURN(const int64_t stride,
                       CountField(json, "stride", INT64_MAX));
  t.max_length = static_cast<size_t>(most);
  t.stride = static_cast<size_t>(stride);
  SLM_ASSIGN_OR_RETURN(const std::string_view strategy,
                       StringField(json, "strategy"));
  t.only_second = strategy == "OnlySecond";
  if (!t.only_second && strategy != "OnlyFirst" && strategy != "LongestFirst") {
    return Invalid("strategy \"%s\" is not supported",
                   Printable(strategy).c_str());
  }
  SLM_ASSIGN_OR_RETURN(t.left, ParseIsLeft(json));
  parts->post.truncation = t;
  return OkStatus();
}

// "strategy" is "BatchLongest" or {"Fixed": length}.
Status ParsePadding(const JsonValue& json, TokenizerParts* parts) {
  text::Padding p;
  const JsonValue* strategy = FindField(json, "strategy");
  if (strategy != nullptr && strategy->IsObject()) {
    SLM_ASSIGN_OR_RETURN(const int64_t length,
                         CountField(*strategy, "Fixed", kMaxLength));
    p.length = static_cast<size_t>(length);
  } else if (strategy == nullptr || !strategy->IsString() ||
             strategy->String() != "BatchLongest") {
    return Invalid("strategy is none of \"BatchLongest\", {\"Fixed\": N}");
  }
  if (FindField(json, "pad_to_multiple_of") != nullptr) {
    SLM_ASSIGN_OR_RETURN(const int64_t multiple,
                         CountField(json, "pad_to_multiple_of", kMaxLength));
    p.multiple = static_cast<size_t>(multiple);
  }
  SLM_ASSIGN_OR_RETURN(p.left, ParseIsLeft(json));
  SLM_ASSIGN_OR_RETURN(const int64_t id, CountField(json, "pad_id", kMaxId));
  p.id = static_cast<int32_t>(id);
  parts->post.padding = p;
  return OkStatus();
}

// Runs parse(member) if the member is there, and names it in a failure.
template <typename F>
Status ParseMember(const JsonValue& root, std::string_view name, F parse) {
  const JsonValue* value = FindField(root, name);
  if (value == nullptr) return OkStatus();
  const Status status = parse(*value);
  return status.ok() ? status : status.In(name);
}

Status ParseParts(const JsonValue& root, TokenizerParts* parts) {
  if (!root.IsObject()) {
    return Invalid("the file is %s, expected object", root.TypeName());
  }
  SLM_RETURN_IF_ERROR(ParseMember(root, "version", [](const JsonValue& v) {
    return v.IsString() && v.String() == "1.0" ? OkStatus()
                                               : Invalid("supported: \"1.0\"");
  }));
  SLM_RETURN_IF_ERROR(ParseMember(root, "truncation", [&](const auto& v) {
    return ParseTruncation(v, parts);
  }));
  SLM_RETURN_IF_ERROR(ParseMember(
      root, "padding", [&](const auto& v) { return ParsePadding(v, parts); }));
  const Status added = ParseAddedTokens(root, parts);
  if (!added.ok()) return added.In("added_tokens");
  SLM_RETURN_IF_ERROR(ParseMember(root, "normalizer", [&](const auto& v) {
    return ParseSteps(v, kNormalizers, "normalizers", 0, &parts->normalizer);
  }));
  SLM_RETURN_IF_ERROR(ParseMember(root, "pre_tokenizer", [&](const auto& v) {
    return ParseSteps(v, kPreTokenizers, "pretokenizers", 0,
                      &parts->pre_tokenizer);
  }));
  SLM_RETURN_IF_ERROR(ParseMember(root, "post_processor", [&](const auto& v) {
    return ParseSteps(v, kPostProcessors, "processors", 0, &parts->post.steps);
  }));
  if (FindField(root, "decoder") == nullptr) {
    DecoderStep join{};
    join.kind = DecoderStep::Kind::kJoin;
    parts->decoder.push_back(std::move(join));
  }
  SLM_RETURN_IF_ERROR(ParseMember(root, "decoder", [&](const auto& v) {
    return ParseSteps(v, kDecoders, "decoders", 0, &parts->decoder);
  }));
  const JsonValue* model = FindField(root, "model");
  if (model == nullptr || !model->IsObject()) {
    return WrongField("model", model, "object");
  }
  return ParseTokenizerModel(*model, parts);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> ParseTokenizer(const JsonValue& root,
                                                  std::string_view name) {
  TokenizerParts parts;
  const std::string file = Printable(name, 400);
  const Status status = ParseParts(root, &parts);
  if (!status.ok()) return status.In(file);
  auto tokenizer = Tokenizer::Create(std::move(parts));
  if (!tokenizer.ok()) return tokenizer.status().In(file);
  return tokenizer;
}

Result<std::unique_ptr<Tokenizer>> LoadTokenizer(
    const std::string& tokenizer_json_path) {
  SLM_ASSIGN_OR_RETURN(const JsonDocument document,
                       JsonDocument::Load(tokenizer_json_path));
  return ParseTokenizer(document.root(), tokenizer_json_path);
}

}  // namespace slm
