// SPDX-License-Identifier: MIT
#include "tools/bench/quality_options.h"

#include <optional>

namespace slm::bench {
namespace {

constexpr size_t kMostTokens = size_t{1} << 20;

// What says which tokens of which text are scored.
constexpr Flag kFile = {"f,file", "FILE", "the text, in UTF-8"};
constexpr Flag kWindow = {"c,ctx", "N",
                          "tokens of a window (512, or the model's context)"};
constexpr Flag kStride = {
    "stride", "N", "windows that slide by N tokens; without: side by side"};
constexpr Flag kChunks = {"chunks", "N", "the first N windows only"};
constexpr Flag kSpecial = {"parse-special", "",
                           "control tokens spelt in the text are tokens"};

constexpr Flag kPerplexityRows[] = {kFile, kWindow, kStride, kChunks, kSpecial};
constexpr Flag kReferenceRows[] = {
    {"save", "REF.slmk", "the file to write, or to replace"},
    kFile,
    kWindow,
    kStride,
    kChunks,
    kSpecial};
constexpr Flag kDivergenceRows[] = {
    {"ref", "REF.slmk", "what slm-bench ref saved, with its text"},
    kFile,
    kWindow,
    kStride,
    kChunks,
    kSpecial};

constexpr const char* kAfterPerplexity = R"(
Without --stride as llama-perplexity: of each window the second half is scored,
512 - 1 - 512 / 2 tokens of 512, behind a BOS in place of the first token if the
tokenizer has one. With it as Hugging Face's sliding window: each token once.
  slm-bench ppl MODEL -f wiki.test.raw
  slm-bench ppl MODEL -f wiki.test.raw -c 2048 --stride 512 -o json
Exit: 0 ok, 1 failure, 2 usage or text, 3 not found, 4 model invalid or
unsupported, 5 memory, 6 CPU or SLM_TARGET, 7 -c exceeds the model's context.
)";

constexpr const char* kAfterReference = R"(
Saves the 64 largest logits, the log-sum-exp and the mass of the rest for each
token that ppl scores: some 550 bytes a token. tools/bench/README.md: format.
  slm-bench ref models/q-fp32 -f wiki.test.raw --chunks 100 --save q.slmk
  slm-bench kld models/q-int4 --ref q.slmk
Exit: 0 ok, 1 failure, 2 usage or text, 3 not found, 4 model invalid or
unsupported, 5 memory, 6 CPU or SLM_TARGET, 7 -c exceeds the model's context.
)";

constexpr const char* kAfterDivergence = R"(
KL(reference || MODEL) in nats a token. Of a saved reference it is that of its
64 best tokens and of all others as one: a lower bound. Of a model it is exact.
  slm-bench kld models/q-int4 --ref q.slmk
  slm-bench kld models/q-int4 models/q-fp32 -f wiki.test.raw --chunks 100
Exit: 0 ok, 1 failure, 2 usage or text, 3 not found, 4 model or reference
invalid or of another tokenizer, 5 memory, 6 CPU or SLM_TARGET, 7 -c too large.
)";

Status ReadText(Flags* flags, QualityOptions* o) {
  const std::string* file = flags->Text("file");
  if (file == nullptr || file->empty()) {
    SLM_RETURN_IF_ERROR(flags->status());
    return Usage("no text: pass a file, as in slm-bench %s %s -f FILE",
                 flags->set().verb, flags->set().words);
  }
  o->file = *file;
  flags->Get("ctx", 3, kMostTokens, &o->windows.window);
  flags->Get("stride", 1, kMostTokens, &o->windows.stride);
  flags->Get("chunks", 1, kMostTokens, &o->windows.most_windows);
  o->windows.parse_special = flags->Has("parse-special");
  return flags->status();
}

// A reference has its text and its windows.
Status CheckNoText(const Flags& flags) {
  for (const char* name :
       {"file", "ctx", "stride", "chunks", "parse-special"}) {
    if (!flags.Has(name)) continue;
    return Usage("--%s does not go with --ref, which has its own text", name);
  }
  return OkStatus();
}

}  // namespace

const FlagSet kPerplexityFlags = {
    .verb = "ppl",
    .summary = "perplexity and bits per byte of a text",
    .words = "MODEL",
    .has_model = true,
    .flags = kPerplexityRows,
    .after = kAfterPerplexity,
};

const FlagSet kReferenceFlags = {
    .verb = "ref",
    .summary = "saves a model's logits of a text, for kld",
    .words = "MODEL",
    .has_model = true,
    .flags = kReferenceRows,
    .after = kAfterReference,
};

const FlagSet kDivergenceFlags = {
    .verb = "kld",
    .summary = "how far a model is from a reference",
    .words = "MODEL [MODEL]",
    .has_model = true,
    .flags = kDivergenceRows,
    .after = kAfterDivergence,
};

Result<QualityOptions> ReadPerplexityOptions(Flags* flags) {
  QualityOptions o;
  SLM_RETURN_IF_ERROR(ReadCommon(flags, &o));
  SLM_RETURN_IF_ERROR(ReadText(flags, &o));
  SLM_RETURN_IF_ERROR(flags->Done());
  return o;
}

Result<QualityOptions> ReadReferenceOptions(Flags* flags) {
  QualityOptions o;
  SLM_RETURN_IF_ERROR(ReadCommon(flags, &o));
  SLM_RETURN_IF_ERROR(ReadText(flags, &o));
  SLM_RETURN_IF_ERROR(flags->Done());
  const std::string* save = flags->Text("save");
  if (save == nullptr || save->empty()) {
    return Usage("no file to write: pass --save REF.slmk");
  }
  o.save = *save;
  return o;
}

Result<QualityOptions> ReadDivergenceOptions(Flags* flags) {
  QualityOptions o;
  SLM_RETURN_IF_ERROR(ReadCommon(flags, &o));
  o.reference_model = flags->TakeWord();
  if (const std::string* reference = flags->Text("ref")) {
    if (reference->empty()) {
      flags->Fail("ref", *reference, "a path");
      return flags->status();
    }
    o.reference = *reference;
  }
  SLM_RETURN_IF_ERROR(flags->Done());
  if (o.reference.empty() == o.reference_model.empty()) {
    return Usage(
        "kld compares with either --ref REF.slmk or a second model, as in "
        "slm-bench kld MODEL REFERENCE_MODEL -f FILE");
  }
  SLM_RETURN_IF_ERROR(o.reference.empty() ? ReadText(flags, &o)
                                          : CheckNoText(*flags));
  return o;
}

}  // namespace slm::bench
