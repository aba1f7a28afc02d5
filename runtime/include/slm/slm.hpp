// SPDX-License-Identifier: MIT
// slm for C++17: owning types over slm.h, nothing else. Failures stay values.
#ifndef SLM_SLM_HPP_
#define SLM_SLM_HPP_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "slm/slm.h"

namespace slm::api {

struct Free {
  void operator()(slm_model* model) const { slm_model_free(model); }
  void operator()(slm_chat* chat) const { slm_chat_free(chat); }
};
using ModelPtr = std::unique_ptr<slm_model, Free>;
using ChatPtr = std::unique_ptr<slm_chat, Free>;

// A status with its message; converts to true when it is a failure.
struct Failure {
  slm_error error{SLM_OK, {0}};
  explicit operator bool() const { return error.status != SLM_OK; }
  const char* message() const { return error.message; }
};

inline Failure OpenModel(const slm_model_params& params, ModelPtr* model) {
  Failure failure;
  slm_model* raw = nullptr;
  failure.error.status = slm_model_open(&params, &raw, &failure.error);
  model->reset(raw);
  return failure;
}

inline Failure NewChat(const slm_model* model, const slm_chat_params& params,
                       ChatPtr* chat) {
  Failure failure;
  slm_chat* raw = nullptr;
  failure.error.status = slm_chat_new(model, &params, &raw, &failure.error);
  chat->reset(raw);
  return failure;
}

inline Failure AddTurn(slm_chat* chat, const char* role,
                       std::string_view text) {
  Failure failure;
  failure.error.status =
      slm_chat_add(chat, role, text.data(), text.size(), &failure.error);
  return failure;
}

// A text of a C function that copies at most so many bytes and tells the size.
template <typename Copy>
Failure CopyText(const Copy& copy, std::string* text) {
  Failure failure;
  size_t size = 0;
  failure.error.status = copy(nullptr, size_t{0}, &size, &failure.error);
  if (failure) return failure;
  text->resize(size + 1);
  failure.error.status =
      copy(text->data(), text->size(), &size, &failure.error);
  text->resize(size);
  return failure;
}

inline Failure Memory(const slm_model* model, std::string* text) {
  return CopyText(
      [model](char* buffer, size_t capacity, size_t* size, slm_error* error) {
        return slm_model_memory(model, buffer, capacity, size, error);
      },
      text);
}

inline Failure Template(const slm_model* model, std::string* text) {
  return CopyText(
      [model](char* buffer, size_t capacity, size_t* size, slm_error* error) {
        return slm_model_template(model, buffer, capacity, size, error);
      },
      text);
}

inline Failure TokenText(const slm_model* model, int32_t token,
                         std::string* text) {
  return CopyText(
      [=](char* buffer, size_t capacity, size_t* size, slm_error* error) {
        return slm_token_text(model, token, buffer, capacity, size, error);
      },
      text);
}

inline Failure Tokenize(const slm_model* model, std::string_view text,
                        std::vector<int32_t>* tokens) {
  Failure failure;
  size_t count = 0;
  failure.error.status = slm_tokenize(model, text.data(), text.size(), nullptr,
                                      0, &count, &failure.error);
  if (failure) return failure;
  tokens->resize(count);
  failure.error.status =
      slm_tokenize(model, text.data(), text.size(), tokens->data(),
                   tokens->size(), &count, &failure.error);
  return failure;
}

inline Failure Prompt(slm_chat* chat, std::string* text) {
  return CopyText(
      [chat](char* buffer, size_t capacity, size_t* size, slm_error* error) {
        return slm_chat_prompt(chat, buffer, capacity, size, error);
      },
      text);
}

// Runs a whole answer: on_text(std::string_view) for each piece; return false
// from it to cancel.
template <typename OnText>
Failure Answer(slm_chat* chat, const slm_sampling& sampling, OnText on_text,
               slm_finish* finish = nullptr) {
  Failure failure;
  failure.error.status = slm_chat_start(chat, &sampling, &failure.error);
  slm_event event{};
  event.struct_size = sizeof event;
  while (!failure && event.finish == SLM_FINISH_NONE) {
    failure.error.status = slm_chat_step(chat, &event, &failure.error);
    if (failure) break;
    if (event.text_size > 0 &&
        !on_text(std::string_view(event.text, event.text_size))) {
      slm_chat_cancel(chat);
    }
  }
  if (finish) *finish = event.finish;
  return failure;
}

}  // namespace slm::api

#endif  // SLM_SLM_HPP_
