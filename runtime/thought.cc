// SPDX-License-Identifier: MIT
#include "runtime/thought.h"

#include <algorithm>

namespace slm {
namespace {

constexpr const char* kBlanks = " \t\n\r";

}  // namespace

Thought::Thought(std::string_view prompt) {
  const std::string_view text =
      prompt.substr(0, prompt.find_last_not_of(kBlanks) + 1);
  if (text.ends_with(kOpen)) state_ = State::kThinking;
  if (text.ends_with(kClose)) state_ = State::kAnswer;
}

void Thought::Take(std::string_view bytes, bool own) {
  if (state_ == State::kThinking) {
    Continue(bytes);
    if (own && thinking()) ++tokens_;
    return;
  }
  if (state_ == State::kAnswer) return;
  held_ += bytes;
  held_.erase(0, std::min(held_.find_first_not_of(kBlanks), held_.size()));
  if (held_.starts_with(kOpen)) {
    state_ = State::kThinking;
    const std::string rest = held_.substr(kOpen.size());
    held_.clear();
    Continue(rest);
  } else if (!kOpen.starts_with(held_)) {
    state_ = State::kAnswer;
  }
}

void Thought::Continue(std::string_view bytes) {
  held_ += bytes;
  if (held_.find(kClose) != std::string::npos) {
    state_ = State::kAnswer;
    return;
  }
  if (held_.size() >= kClose.size()) {
    held_.erase(0, held_.size() - (kClose.size() - 1));
  }
}

}  // namespace slm
