// SPDX-License-Identifier: MIT
#include "tools/run/think.h"

#include <algorithm>

namespace slm {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";
constexpr const char* kBlanks = " \t\n\r";

std::string_view WithoutBlanksAtEnd(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() &&
         text.substr(text.size() - end.size()) == end;
}

// Bytes at the end of the text that may be the beginning of the mark.
size_t MaybeMark(std::string_view text, std::string_view mark) {
  for (size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == mark.substr(0, n)) return n;
  }
  return 0;
}

}  // namespace

ThinkSplitter::ThinkSplitter(std::string_view prompt) {
  if (EndsWith(WithoutBlanksAtEnd(prompt), kOpen)) state_ = State::kReasoning;
}

ThinkSplitter::Parts ThinkSplitter::Push(std::string_view piece) {
  held_ += piece;
  return Take(false);
}

ThinkSplitter::Parts ThinkSplitter::Finish() { return Take(true); }

ThinkSplitter::Parts ThinkSplitter::Take(bool end) {
  Parts parts;
  if (state_ == State::kBegin) {
    const size_t first =
        std::min(held_.find_first_not_of(kBlanks), held_.size());
    const std::string_view rest = std::string_view(held_).substr(first);
    if (rest.substr(0, kOpen.size()) == kOpen) {
      held_.erase(0, first + kOpen.size());
      state_ = State::kReasoning;
    } else if (!end && kOpen.substr(0, rest.size()) == rest) {
      return parts;  // goes on as a mark, or is blank so far
    } else {
      state_ = State::kAnswer;
    }
  }
  if (state_ == State::kReasoning) {
    const size_t close = held_.find(kClose);
    if (close != std::string::npos) {
      parts.reasoning = held_.substr(0, close);
      held_.erase(0, close + kClose.size());
      state_ = State::kGap;
    } else {
      const size_t kept = end ? 0 : MaybeMark(held_, kClose);
      parts.reasoning = held_.substr(0, held_.size() - kept);
      held_.erase(0, held_.size() - kept);
      return parts;
    }
  }
  if (state_ == State::kGap) {  // blank lines between reasoning and answer
    held_.erase(0, std::min(held_.find_first_not_of(kBlanks), held_.size()));
    if (held_.empty()) return parts;
    state_ = State::kAnswer;
  }
  parts.answer = std::move(held_);
  held_.clear();
  return parts;
}

std::string WithoutThought(std::string_view answer) {
  // The opening mark may be in the prompt and so be missing here.
  const bool opened_by_prompt = answer.find(kClose) != std::string_view::npos;
  ThinkSplitter splitter(opened_by_prompt ? kOpen : std::string_view());
  std::string text = splitter.Push(answer).answer;
  return text += splitter.Finish().answer;
}

}  // namespace slm
