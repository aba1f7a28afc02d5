/* SPDX-License-Identifier: MIT
 *
 * slm: small language models from Foundry Local / ONNX Runtime GenAI folders.
 * C99. Start with slm_model_open, slm_chat_new, slm_chat_add, slm_chat_start,
 * then slm_chat_step until it says that the answer ended.
 *
 * Rules that hold for every function:
 *  - Nothing is thrown or aborted across this boundary; a failure is a status,
 *    and, where `error` is not NULL, a message of one line (template errors
 *    have the source line and a caret below it).
 *  - Every params struct begins with struct_size; slm_*_init sets it and the
 *    defaults, so that later versions can add fields at the end.
 *  - Text is UTF-8. Text that comes out is always complete characters.
 *  - A model is immutable and may be shared by threads. A chat belongs to one
 *    thread at a time; slm_chat_cancel alone may be called from others. A chat
 *    must be freed before its model.
 */
#ifndef SLM_SLM_H_
#define SLM_SLM_H_

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SLM_API __attribute__((visibility("default")))
#else
#define SLM_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SLM_API_VERSION 1

/* The values are the exit codes of slm-run. */
typedef enum slm_status {
  SLM_OK = 0,
  SLM_RUNTIME_ERROR = 1,
  SLM_USAGE_ERROR = 2,    /* wrong argument or order of calls */
  SLM_NOT_FOUND = 3,      /* model or file not found or unreadable */
  SLM_INVALID_MODEL = 4,  /* model, template or tokenizer not supported */
  SLM_OUT_OF_MEMORY = 5,
  SLM_CPU_UNSUPPORTED = 6,
  SLM_CONTEXT_OVERFLOW = 7,
  SLM_CANCELLED = 130
} slm_status;

typedef struct slm_error {
  slm_status status;
  char message[1024]; /* ends with NUL, cut at a character */
} slm_error;

typedef struct slm_model slm_model;
typedef struct slm_chat slm_chat;

SLM_API int slm_api_version(void);
/* "0.1.0" */
SLM_API const char* slm_version(void);
/* Applies SLM_TARGET to the SIMD kernels, and refuses values of SLM_AMX other
   than "off". Optional, once, before all else. */
SLM_API slm_status slm_init(slm_error* error);

/* ---- model ---------------------------------------------------------------*/

typedef enum slm_log_level {
  SLM_LOG_ERROR, SLM_LOG_WARN, SLM_LOG_INFO, SLM_LOG_DEBUG
} slm_log_level;

typedef struct slm_model_params {
  size_t struct_size;
  const char* path;          /* a folder, or an .onnx file in one */
  const char* template_text; /* a Jinja chat template that replaces the model's;
                                NULL: the folder's */
  int hf_template_order;     /* 1: chat_template.jinja wins, as in
                                transformers; 0: tokenizer_config.json does */
  void (*log)(void* user, slm_log_level level, const char* message);
  void* log_user;
} slm_model_params;

SLM_API void slm_model_params_init(slm_model_params* params);
/* Maps the weights; no big memory is taken. */
SLM_API slm_status slm_model_open(const slm_model_params* params,
                                  slm_model** model, slm_error* error);
SLM_API void slm_model_free(slm_model* model);

typedef struct slm_model_info {
  size_t struct_size;
  const char* type;        /* "qwen3"; lives as long as the model */
  const char* template_file; /* "" if the model has no chat template */
  size_t context_length;   /* tokens */
  size_t vocab_size;
  size_t weight_bytes;     /* mapped */
  size_t kv_bytes_per_token; /* in float32; 0 if the graph keeps its own */
  int thinks;              /* 1: <think> and </think> are in its vocabulary or
                              its chat template */
} slm_model_info;

SLM_API void slm_model_get_info(const slm_model* model, slm_model_info* info);
/* The memory plan for a reader: lines for the weights, the KV cache in each
 * type at full context, and scratch. Allocates none of it. As slm_chat_prompt.
 */
SLM_API slm_status slm_model_memory(const slm_model* model, char* buffer,
                                    size_t capacity, size_t* size,
                                    slm_error* error);

/* The chat template, "" if the model has none. As slm_chat_prompt. */
SLM_API slm_status slm_model_template(const slm_model* model, char* buffer,
                                      size_t capacity, size_t* size,
                                      slm_error* error);
/* The tokens of a text, without what a template or post-processor adds; names
 * of control tokens in it stay plain text. Copies at most `capacity` of them;
 * *count is their whole number. */
SLM_API slm_status slm_tokenize(const slm_model* model, const char* text,
                                size_t size, int32_t* tokens, size_t capacity,
                                size_t* count, slm_error* error);

/* ---- chat ----------------------------------------------------------------*/

typedef enum slm_kv { SLM_KV_F32, SLM_KV_F16, SLM_KV_INT8 } slm_kv;

typedef enum slm_overflow {
  SLM_OVERFLOW_ERROR,       /* fail with both numbers */
  SLM_OVERFLOW_DROP_OLDEST  /* forget the oldest turns after the system text */
} slm_overflow;

typedef struct slm_chat_params {
  size_t struct_size;
  size_t threads;          /* 0: all cores that the process may use */
  size_t context;          /* tokens; 0: the model's */
  slm_kv kv;
  size_t max_memory;       /* bytes of weights, KV cache and scratch at full
                              context; more is refused at slm_chat_new; 0: no
                              limit */
  slm_overflow on_overflow;
  int raw;                 /* 1: no template; texts are joined as they are, and
                              control tokens in them count */
  int no_rope_recompute;   /* 1: a long-rope model (Phi-3.5) does not compute
                              its context again when that grows past the
                              border between its factors; 0: as ORT-GenAI */
} slm_chat_params;

SLM_API void slm_chat_params_init(slm_chat_params* params);
SLM_API slm_status slm_chat_new(const slm_model* model,
                                const slm_chat_params* params, slm_chat** chat,
                                slm_error* error);
SLM_API void slm_chat_free(slm_chat* chat);

/* Adds a turn: role "system", "user", "assistant" or "tool". Control tokens in
 * the text of users and tools stay plain text. */
SLM_API slm_status slm_chat_add(slm_chat* chat, const char* role,
                                const char* text, size_t size,
                                slm_error* error);
/* Forgets all turns. */
SLM_API void slm_chat_clear(slm_chat* chat);
/* Forgets the last `count` turns. */
SLM_API void slm_chat_undo(slm_chat* chat, size_t count);
/* Another variable for the template, as JSON: ("enable_thinking", "false"). */
SLM_API slm_status slm_chat_set(slm_chat* chat, const char* name,
                                const char* json, slm_error* error);
/* The prompt that slm_chat_start would run. Copies at most `capacity` bytes
 * with a NUL; *size is the whole size without it. */
SLM_API slm_status slm_chat_prompt(slm_chat* chat, char* buffer,
                                   size_t capacity, size_t* size,
                                   slm_error* error);

typedef struct slm_logit_bias { int32_t token; float bias; } slm_logit_bias;

/* What decides the next token; names as in genai_config.json. */
typedef struct slm_sampling {
  size_t struct_size;
  size_t max_tokens;      /* of the answer; 0: until the context is full */
  int do_sample;          /* 0: the most probable token */
  float temperature;
  int32_t top_k;          /* 0: all; with top_p 0 the most probable token, as in
                             ONNX Runtime GenAI */
  float top_p;
  float min_p;
  float repetition_penalty;
  float presence_penalty;
  float frequency_penalty;
  int32_t no_repeat_ngram_size;
  int32_t min_length;     /* prompt + answer */
  int32_t num_beams;
  float length_penalty;
  int early_stopping;
  int64_t seed;           /* -1: another one each time */
  const slm_logit_bias* logit_bias;
  size_t logit_bias_count;
  const char* const* stop;
  size_t stop_count;
  int32_t top_logprobs;   /* -1: none; 0: of the chosen token; n: and the best */
  int32_t ngram_size;     /* prompt look-up speculation; 0: off */
  int ngram_chained_lookup;
  int32_t max_draft_tokens; /* of a step, where min_adaptive_k is 0 */
  int32_t min_adaptive_k;   /* drafts of a step to begin with and at least;
                               more while that pays; 0: max_draft_tokens */
  int draft_cooldown;       /* 1: a step without drafts after three that were
                               all wrong */
  int ignore_eos;
  int json;               /* 1: the answer is one JSON object or array, at most
                             64 deep, and ends as that is complete; say in the
                             prompt what it shall hold. A thought before it is
                             free. Not with beams */
  int64_t think_budget;   /* tokens that a thought may have before </think> is
                             put in its place; -1: no limit. Not with beams */
} slm_sampling;

/* The model's own defaults (genai_config, generation_config,
 * inference_model.json). */
SLM_API void slm_sampling_init(const slm_model* model, slm_sampling* sampling);

/* Renders and tokenizes the turns and begins an answer. What is cached of an
 * earlier prompt is not computed again. */
SLM_API slm_status slm_chat_start(slm_chat* chat, const slm_sampling* sampling,
                                  slm_error* error);

/* STOP: a stop string, or the JSON value is complete. */
typedef enum slm_finish {
  SLM_FINISH_NONE, SLM_FINISH_EOS, SLM_FINISH_STOP, SLM_FINISH_LENGTH
} slm_finish;

typedef struct slm_token_logprob { int32_t token; float logprob; }
    slm_token_logprob;

/* What one step brought; pointers live until the next call with the chat. */
typedef struct slm_event {
  size_t struct_size;
  const char* text;      /* not NUL-terminated */
  size_t text_size;
  const int32_t* tokens; /* chosen in this step */
  size_t token_count;
  size_t prompt_done;    /* prompt tokens that are in */
  slm_finish finish;     /* not NONE: the answer ended and is a turn now */
  slm_token_logprob chosen;       /* valid if asked for */
  const slm_token_logprob* top;
  size_t top_count;
} slm_event;

/* A piece of the prompt (at most 512 tokens), or one token (several with
 * speculation). SLM_CANCELLED ends the answer; its text so far is a turn. */
SLM_API slm_status slm_chat_step(slm_chat* chat, slm_event* event,
                                 slm_error* error);
/* Makes the running answer end at its next step. From any thread or signal
 * handler. */
SLM_API void slm_chat_cancel(slm_chat* chat);

typedef struct slm_stats {
  size_t struct_size;
  size_t prompt_tokens;
  size_t cached_tokens;   /* of them, not computed again */
  size_t output_tokens;
  size_t draft_tokens;    /* proposed by speculation */
  size_t accepted_tokens;
  size_t dropped_turns;   /* by SLM_OVERFLOW_DROP_OLDEST, in this answer */
  size_t context_used;    /* tokens held now */
  size_t context_length;
  double prompt_seconds;  /* until the first token */
  double output_seconds;  /* after it */
  size_t rss_bytes, peak_rss_bytes; /* of the process */
  size_t thought_tokens;  /* of the output, between <think> and </think> */
  int json_cut;           /* 1: JSON was wanted, and what ended the answer, a
                             limit, a stop string or SLM_CANCELLED, cut it */
} slm_stats;

SLM_API void slm_chat_get_stats(const slm_chat* chat, slm_stats* stats);

/* Text of a token as the vocabulary has it. As slm_chat_prompt. */
SLM_API slm_status slm_token_text(const slm_model* model, int32_t token,
                                  char* buffer, size_t capacity, size_t* size,
                                  slm_error* error);

#ifdef __cplusplus
}
#endif

#endif  /* SLM_SLM_H_ */
