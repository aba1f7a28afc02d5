/* SPDX-License-Identifier: MIT */
/* slm.h from C99, as its first comment says: one answer with a model. */
#include <string.h>

#include "slm/slm.h"

/* Copies the answer to `text`; the status of the first failure. */
slm_status slm_c99_answer(const char* path, const char* question, char* text,
                          size_t capacity, slm_error* error);

static slm_status Collect(slm_chat* chat, char* text, size_t capacity,
                          slm_error* error) {
  size_t used = 0;
  slm_event event;
  memset(&event, 0, sizeof event);
  event.struct_size = sizeof event;
  while (event.finish == SLM_FINISH_NONE) {
    const slm_status status = slm_chat_step(chat, &event, error);
    if (status != SLM_OK) return status;
    if (used + event.text_size >= capacity) return SLM_OUT_OF_MEMORY;
    memcpy(text + used, event.text, event.text_size);
    used += event.text_size;
  }
  text[used] = '\0';
  return SLM_OK;
}

slm_status slm_c99_answer(const char* path, const char* question, char* text,
                          size_t capacity, slm_error* error) {
  slm_model_params model_params;
  slm_chat_params chat_params;
  slm_sampling sampling;
  slm_model* model = NULL;
  slm_chat* chat = NULL;
  slm_status status;

  slm_model_params_init(&model_params);
  model_params.path = path;
  status = slm_model_open(&model_params, &model, error);
  if (status != SLM_OK) return status;
  slm_chat_params_init(&chat_params);
  chat_params.threads = 1;
  status = slm_chat_new(model, &chat_params, &chat, error);
  if (status == SLM_OK) {
    status = slm_chat_add(chat, "user", question, strlen(question), error);
  }
  slm_sampling_init(model, &sampling);
  if (status == SLM_OK) status = slm_chat_start(chat, &sampling, error);
  if (status == SLM_OK) status = Collect(chat, text, capacity, error);
  slm_chat_free(chat);
  slm_model_free(model);
  return status;
}
