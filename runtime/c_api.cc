// SPDX-License-Identifier: MIT
// slm.h over Model, Conversation, Session and Generator. Exceptions of third
// parties and bad_alloc end here.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

#include "runtime/chat.h"
#include "runtime/core/clock.h"
#include "runtime/core/cpu.h"
#include "runtime/core/memory.h"
#include "runtime/core/utf8.h"
#include "runtime/generate.h"
#include "runtime/include/slm/slm.h"
#include "runtime/memory_plan.h"
#include "runtime/model.h"

struct slm_model {
  std::unique_ptr<slm::Model> model;
};

struct slm_chat {
  slm_chat(const slm::Model* m, bool raw) : model(m), conversation(m, raw) {}

  const slm::Model* model;
  slm::Conversation conversation;
  slm::DecoderSpec spec;
  std::unique_ptr<slm::ThreadPool> threads;
  std::unique_ptr<slm::Session> session;
  std::unique_ptr<slm::Generator> generator;
  slm_overflow on_overflow = SLM_OVERFLOW_ERROR;
  std::atomic<bool> cancel{false};
  bool running = false;
  std::string answer;       // so far
  slm::GenerateStep step;   // what the last event points to
  std::vector<slm_token_logprob> top;
  size_t dropped_turns = 0;
  double start_seconds = 0, first_seconds = 0, last_seconds = 0;
};

namespace {

using slm::Error;
using slm::ErrorKind;
using slm::Status;
using slm::Usage;

slm_status Report(const Status& status, slm_error* error) {
  if (!error) return static_cast<slm_status>(status.kind());
  error->status = static_cast<slm_status>(status.kind());
  const std::string& message = status.message();
  size_t size = std::min(message.size(), sizeof error->message - 1);
  size -= slm::IncompleteUtf8Suffix(message.substr(0, size));
  std::memcpy(error->message, message.data(), size);
  error->message[size] = '\0';
  return error->status;
}

// Runs body, which returns a Status, and keeps exceptions inside.
template <typename Body>
slm_status Guard(slm_error* error, const Body& body) {
  try {
    return Report(body(), error);
  } catch (const std::bad_alloc&) {
    return Report(Error(ErrorKind::kMemory, "out of memory"), error);
  } catch (const std::exception& e) {
    return Report(Error(ErrorKind::kRuntime, "unexpected: %s", e.what()),
                  error);
  }
}

// The caller may have been compiled against an earlier, shorter struct.
template <typename T>
Status CheckSize(const T* params, const char* what) {
  if (!params || params->struct_size != sizeof(T)) {
    return Usage("%s: struct_size is not set; call its init function", what);
  }
  return slm::OkStatus();
}

Status CopyText(const std::string& text, char* buffer, size_t capacity,
                size_t* size) {
  if (size) *size = text.size();
  if (buffer && capacity > 0) {
    const size_t n = std::min(text.size(), capacity - 1);
    std::memcpy(buffer, text.data(), n);
    buffer[n] = '\0';
  }
  return slm::OkStatus();
}

slm::DType KvType(slm_kv kv) {
  return kv == SLM_KV_F16    ? slm::DType::kF16
         : kv == SLM_KV_INT8 ? slm::DType::kI8
                             : slm::DType::kF32;
}

double Mib(size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// Weights, KV cache at full context and scratch against the caller's limit.
Status CheckMemory(const slm::Model& model, const slm_chat_params& params,
                   size_t context) {
  if (params.max_memory == 0 || !model.plan().ragged) return slm::OkStatus();
  const slm::Plan& plan = model.plan();
  const size_t kv = slm::KvBytesFor(plan, KvType(params.kv), context);
  SLM_ASSIGN_OR_RETURN(const size_t scratch,
                       slm::ScratchBytesFor(plan, context));
  const size_t weights = model.WeightBytes();
  const size_t total = weights + kv + scratch;
  if (total <= params.max_memory) return slm::OkStatus();
  return Error(ErrorKind::kMemory,
               "model needs %.1f MiB but the limit is %.1f MiB: weights %.1f + "
               "KV cache %.1f (context %zu) + scratch %.1f; try a smaller "
               "context or an int8 KV cache",
               Mib(total), Mib(params.max_memory), Mib(weights), Mib(kv),
               context, Mib(scratch));
}

slm::GenerateOptions OptionsOf(const slm_sampling& s, const slm_chat& chat,
                               size_t prompt_tokens) {
  slm::GenerateOptions o;
  slm::SearchOptions& search = o.search;
  search.do_sample = s.do_sample != 0;
  search.temperature = s.temperature;
  search.top_k = s.top_k;
  search.top_p = s.top_p;
  search.min_p = s.min_p;
  search.repetition_penalty = s.repetition_penalty;
  search.presence_penalty = s.presence_penalty;
  search.frequency_penalty = s.frequency_penalty;
  search.no_repeat_ngram_size = s.no_repeat_ngram_size;
  search.min_length = s.min_length;
  search.num_beams = s.num_beams;
  search.length_penalty = s.length_penalty;
  search.early_stopping = s.early_stopping != 0;
  search.seed = s.seed;
  search.top_logprobs = s.top_logprobs;
  const size_t context = chat.spec.context_length;
  const size_t room = context - std::min(context, prompt_tokens);
  const size_t most = s.max_tokens ? std::min(s.max_tokens, room) : room;
  search.max_length = static_cast<int64_t>(prompt_tokens + most);
  if (!s.ignore_eos) {
    for (int64_t id : chat.model->config().eos_token_ids) {
      search.eos_ids.push_back(static_cast<int32_t>(id));
    }
  }
  for (size_t i = 0; i < s.logit_bias_count; ++i) {
    search.logit_bias.push_back({s.logit_bias[i].token, s.logit_bias[i].bias});
  }
  for (size_t i = 0; i < s.stop_count; ++i) o.stop.push_back(s.stop[i]);
  o.ngram.ngram_size = s.ngram_size;
  o.ngram.chained_lookup = s.ngram_size > 0 && s.ngram_chained_lookup != 0;
  o.ngram.max_draft_tokens = s.max_draft_tokens;
  o.ngram.min_adaptive_k = s.min_adaptive_k;
  o.ngram.cooldown = s.draft_cooldown != 0;
  o.seed = slm::RandomSeed();
  o.json = s.json != 0;
  o.think_budget = s.think_budget;
  return o;
}

bool Thinks(const slm::Model& model) {
  const std::string& source = model.folder().chat_template.source;
  return model.tokenizer().TokenId(slm::Thought::kClose) >= 0 ||
         source.find(slm::Thought::kOpen) != std::string::npos ||
         source.find(slm::Thought::kClose) != std::string::npos;
}

Status CheckThinking(const slm_sampling& sampling, const slm::Model& model) {
  if (sampling.think_budget < -1) {
    return Usage("think_budget is %lld, must be -1 (no limit) or more",
                 static_cast<long long>(sampling.think_budget));
  }
  if (sampling.think_budget >= 0 && !Thinks(model)) {
    return Usage("think_budget is %lld, but the model does not think: "
                 "</think> is neither in its vocabulary nor in its chat "
                 "template",
                 static_cast<long long>(sampling.think_budget));
  }
  return slm::OkStatus();
}

// The prompt's tokens, with the oldest turns dropped if that is allowed.
slm::Result<std::vector<int32_t>> FitPrompt(slm_chat* chat) {
  const size_t context = chat->spec.context_length;
  // An answer needs some room: a quarter of the context, at most 256 tokens.
  const size_t room = std::min<size_t>(256, context / 4);
  for (;;) {
    SLM_ASSIGN_OR_RETURN(slm::ChatPrompt prompt, chat->conversation.Prompt());
    if (chat->on_overflow != SLM_OVERFLOW_DROP_OLDEST ||
        prompt.tokens.size() + room <= context ||
        !chat->conversation.DropOldest()) {
      return std::move(prompt.tokens);
    }
    ++chat->dropped_turns;
  }
}

// The answer so far becomes a turn.
Status EndAnswer(slm_chat* chat) {
  chat->running = false;
  return chat->conversation.Add("assistant", std::move(chat->answer));
}

Status StepChat(slm_chat* chat, slm_event* event) {
  if (!chat->running) {
    return Usage("slm_chat_step: no answer is running; call slm_chat_start "
                 "first");
  }
  if (chat->cancel.exchange(false)) {
    SLM_RETURN_IF_ERROR(EndAnswer(chat));
    return Status(static_cast<ErrorKind>(SLM_CANCELLED), "cancelled");
  }
  slm::Result<slm::GenerateStep> step = chat->generator->Next();
  if (!step.ok()) {
    chat->running = false;
    return step.status();
  }
  chat->step = std::move(step).value();
  chat->last_seconds = slm::MonotonicSeconds();
  if (chat->first_seconds == 0 && !chat->step.tokens.empty()) {
    chat->first_seconds = chat->last_seconds;
  }
  chat->answer += chat->step.text;
  chat->top.clear();
  for (const slm::TokenLogprob& t : chat->step.logprobs.top) {
    chat->top.push_back({t.token, t.logprob});
  }
  event->text = chat->step.text.data();
  event->text_size = chat->step.text.size();
  event->tokens = chat->step.tokens.data();
  event->token_count = chat->step.tokens.size();
  event->prompt_done = chat->step.prompt_done;
  event->chosen = {chat->step.logprobs.chosen.token,
                   chat->step.logprobs.chosen.logprob};
  event->top = chat->top.data();
  event->top_count = chat->top.size();
  event->finish = static_cast<slm_finish>(chat->step.finish);
  if (event->finish != SLM_FINISH_NONE) return EndAnswer(chat);
  return slm::OkStatus();
}

template <typename T>
void InitStruct(T* params) {
  std::memset(params, 0, sizeof *params);
  params->struct_size = sizeof *params;
}

}  // namespace

extern "C" {

int slm_api_version(void) { return SLM_API_VERSION; }
const char* slm_version(void) { return SLM_VERSION; }

slm_status slm_init(slm_error* error) {
  return Guard(error, [] { return slm::InitTargets(); });
}

void slm_model_params_init(slm_model_params* params) { InitStruct(params); }

slm_status slm_model_open(const slm_model_params* params, slm_model** model,
                          slm_error* error) {
  return Guard(error, [&]() -> Status {
    *model = nullptr;
    SLM_RETURN_IF_ERROR(CheckSize(params, "slm_model_open"));
    if (!params->path) return Usage("slm_model_open: path is NULL");
    slm::ModelOptions options;
    if (params->template_text) options.template_text = params->template_text;
    if (params->hf_template_order) {
      options.template_order = slm::TemplateOrder::kHuggingFace;
    }
    if (params->log) {
      options.log = [log = params->log, user = params->log_user](
                        slm::LogLevel level, std::string_view message) {
        log(user, static_cast<slm_log_level>(level),
            std::string(message).c_str());
      };
    }
    SLM_ASSIGN_OR_RETURN(auto opened, slm::Model::Open(params->path, options));
    *model = new slm_model{std::move(opened)};
    return slm::OkStatus();
  });
}

void slm_model_free(slm_model* model) { delete model; }

void slm_model_get_info(const slm_model* model, slm_model_info* info) {
  const slm::Model& m = *model->model;
  InitStruct(info);
  info->type = m.config().type.c_str();
  info->template_file = m.folder().chat_template.file.c_str();
  info->context_length = m.decoder().context_length;
  info->vocab_size = m.decoder().vocab_size;
  info->weight_bytes = m.WeightBytes();
  info->kv_bytes_per_token =
      slm::KvBytesFor(m.plan(), slm::DType::kF32, slm::KvFormat::kPageTokens) /
      slm::KvFormat::kPageTokens;
  info->thinks = Thinks(m);
}

slm_status slm_model_memory(const slm_model* model, char* buffer,
                            size_t capacity, size_t* size, slm_error* error) {
  return Guard(error, [&]() -> Status {
    SLM_ASSIGN_OR_RETURN(const std::string text,
                         slm::DescribeMemory(*model->model));
    return CopyText(text, buffer, capacity, size);
  });
}

slm_status slm_model_template(const slm_model* model, char* buffer,
                              size_t capacity, size_t* size, slm_error* error) {
  return Guard(error, [&] {
    return CopyText(model->model->folder().chat_template.source, buffer,
                    capacity, size);
  });
}

slm_status slm_tokenize(const slm_model* model, const char* text, size_t size,
                        int32_t* tokens, size_t capacity, size_t* count,
                        slm_error* error) {
  return Guard(error, [&]() -> Status {
    slm::EncodeOptions options;
    options.parse_special = false;
    SLM_ASSIGN_OR_RETURN(
        const std::vector<int32_t> ids,
        model->model->tokenizer().Encode({text, size}, options));
    if (count) *count = ids.size();
    if (tokens) std::copy_n(ids.begin(), std::min(capacity, ids.size()), tokens);
    return slm::OkStatus();
  });
}

void slm_chat_params_init(slm_chat_params* params) { InitStruct(params); }

slm_status slm_chat_new(const slm_model* model, const slm_chat_params* params,
                        slm_chat** chat, slm_error* error) {
  return Guard(error, [&]() -> Status {
    *chat = nullptr;
    SLM_RETURN_IF_ERROR(CheckSize(params, "slm_chat_new"));
    const slm::Model& m = *model->model;
    auto made = std::make_unique<slm_chat>(&m, params->raw != 0);
    made->spec = m.decoder();
    if (params->context > made->spec.context_length) {
      return Usage("context = %zu, the model has %zu", params->context,
                   made->spec.context_length);
    }
    if (params->context) made->spec.context_length = params->context;
    SLM_RETURN_IF_ERROR(CheckMemory(m, *params, made->spec.context_length));
    made->on_overflow = params->on_overflow;
    // The model's own wish counts unless the caller has one.
    const auto wish = m.config().decoder.session.intra_op_num_threads;
    made->threads = std::make_unique<slm::ThreadPool>(
        params->threads ? params->threads
        : wish          ? static_cast<size_t>(std::max<int64_t>(0, *wish))
                        : 0);
    slm::SessionOptions options;
    options.kv_dtype = KvType(params->kv);
    options.rope_recompute = params->no_rope_recompute == 0;
    made->session = std::make_unique<slm::Session>(m.plan(), made->spec,
                                                   *made->threads, options);
    made->generator = std::make_unique<slm::Generator>(made->session.get(),
                                                       &m.tokenizer());
    *chat = made.release();
    return slm::OkStatus();
  });
}

void slm_chat_free(slm_chat* chat) { delete chat; }

slm_status slm_chat_add(slm_chat* chat, const char* role, const char* text,
                        size_t size, slm_error* error) {
  return Guard(error, [&]() -> Status {
    if (chat->running) return Usage("slm_chat_add: an answer is running");
    return chat->conversation.Add(role, std::string(text, size));
  });
}

void slm_chat_clear(slm_chat* chat) {
  chat->running = false;
  chat->conversation.Clear();
}

void slm_chat_undo(slm_chat* chat, size_t count) {
  chat->running = false;
  chat->conversation.Undo(count);
}

slm_status slm_chat_set(slm_chat* chat, const char* name, const char* json,
                        slm_error* error) {
  return Guard(error, [&] { return chat->conversation.Set(name, json); });
}

slm_status slm_chat_prompt(slm_chat* chat, char* buffer, size_t capacity,
                           size_t* size, slm_error* error) {
  return Guard(error, [&]() -> Status {
    SLM_ASSIGN_OR_RETURN(const auto prompt, chat->conversation.Prompt());
    return CopyText(prompt.rendered.text, buffer, capacity, size);
  });
}

void slm_sampling_init(const slm_model* model, slm_sampling* sampling) {
  InitStruct(sampling);
  const slm::ModelConfig& config = model->model->config();
  const slm::SearchConfig& search = config.search;
  sampling->max_tokens =
      static_cast<size_t>(std::max<int64_t>(0, search.max_new_tokens.value));
  sampling->do_sample = search.do_sample.value;
  sampling->temperature = static_cast<float>(search.temperature.value);
  sampling->top_k = static_cast<int32_t>(search.top_k.value);
  sampling->top_p = static_cast<float>(search.top_p.value);
  sampling->min_p = static_cast<float>(search.min_p.value);
  sampling->repetition_penalty =
      static_cast<float>(search.repetition_penalty.value);
  sampling->no_repeat_ngram_size =
      static_cast<int32_t>(search.no_repeat_ngram_size.value);
  sampling->min_length = static_cast<int32_t>(search.min_length.value);
  sampling->num_beams = static_cast<int32_t>(search.num_beams.value);
  sampling->length_penalty = static_cast<float>(search.length_penalty.value);
  sampling->early_stopping = search.early_stopping.value;
  sampling->seed = search.random_seed.value;
  sampling->top_logprobs = -1;
  const slm::SpeculativeConfig& speculative = config.speculative;
  sampling->ngram_size = static_cast<int32_t>(speculative.ngram_size);
  sampling->ngram_chained_lookup = speculative.ngram_chained_lookup;
  sampling->max_draft_tokens =
      static_cast<int32_t>(speculative.max_draft_tokens);
  sampling->min_adaptive_k = static_cast<int32_t>(speculative.min_adaptive_k);
  sampling->draft_cooldown = speculative.cooldown;
  sampling->think_budget = -1;
}

slm_status slm_chat_start(slm_chat* chat, const slm_sampling* sampling,
                          slm_error* error) {
  return Guard(error, [&]() -> Status {
    SLM_RETURN_IF_ERROR(CheckSize(sampling, "slm_chat_start"));
    SLM_RETURN_IF_ERROR(CheckThinking(*sampling, *chat->model));
    chat->running = false;
    chat->cancel = false;
    chat->answer.clear();
    chat->dropped_turns = 0;
    chat->start_seconds = slm::MonotonicSeconds();
    chat->first_seconds = chat->last_seconds = 0;
    SLM_ASSIGN_OR_RETURN(const auto tokens, FitPrompt(chat));
    SLM_RETURN_IF_ERROR(chat->generator->Start(
        tokens, OptionsOf(*sampling, *chat, tokens.size())));
    chat->running = true;
    return slm::OkStatus();
  });
}

slm_status slm_chat_step(slm_chat* chat, slm_event* event, slm_error* error) {
  return Guard(error, [&]() -> Status {
    SLM_RETURN_IF_ERROR(CheckSize(event, "slm_chat_step"));
    return StepChat(chat, event);
  });
}

void slm_chat_cancel(slm_chat* chat) { chat->cancel = true; }

void slm_chat_get_stats(const slm_chat* chat, slm_stats* stats) {
  InitStruct(stats);
  const slm::GenerateStats& s = chat->generator->stats();
  stats->prompt_tokens = s.prompt_tokens;
  stats->cached_tokens = s.cached_tokens;
  stats->output_tokens = s.output_tokens;
  stats->draft_tokens = s.draft_tokens;
  stats->accepted_tokens = s.accepted_tokens;
  stats->dropped_turns = chat->dropped_turns;
  stats->thought_tokens = s.thought_tokens;
  stats->json_cut = s.json_cut;
  stats->context_used = s.prompt_tokens + s.output_tokens;
  stats->context_length = chat->spec.context_length;
  if (chat->first_seconds > 0) {
    stats->prompt_seconds = chat->first_seconds - chat->start_seconds;
    stats->output_seconds = chat->last_seconds - chat->first_seconds;
  }
  const slm::ProcessMemory memory = slm::GetProcessMemory();
  stats->rss_bytes = memory.resident;
  stats->peak_rss_bytes = memory.peak;
}

slm_status slm_token_text(const slm_model* model, int32_t token, char* buffer,
                          size_t capacity, size_t* size, slm_error* error) {
  return Guard(error, [&] {
    return CopyText(std::string(model->model->tokenizer().TokenText(token)),
                    buffer, capacity, size);
  });
}

}  // extern "C"
