// SPDX-License-Identifier: MIT
#include "runtime/answer_guide.h"

#include <algorithm>
#include <limits>

namespace slm {

bool AnswerGuide::IsEos(int32_t token) const {
  return std::find(options_.eos_ids.begin(), options_.eos_ids.end(), token) !=
         options_.eos_ids.end();
}

int32_t AnswerGuide::Forced() const {
  if (!thought_.thinking() || options_.think_budget < 0) return -1;
  const bool used_up =
      thought_.tokens() >= static_cast<uint64_t>(options_.think_budget);
  return used_up && closed_ < options_.think_close.size()
             ? options_.think_close[closed_]
             : -1;
}

Status AnswerGuide::Forbid(std::span<float> logits) {
  if (!options_.json) return OkStatus();
  if (!thought_.thinking()) {
    options_.json->Allowed(text_, &allowed_);
    const size_t open = static_cast<size_t>(options_.think_open);
    if (options_.think_open >= 0 && thought_.may_open() &&
        open / 64 < allowed_.size()) {
      allowed_[open / 64] |= uint64_t{1} << (open % 64);
    }
    if (std::all_of(allowed_.begin(), allowed_.end(),
                    [](uint64_t bits) { return bits == 0; })) {
      return Error(ErrorKind::kRuntime,
                   "no token of the vocabulary goes on with the JSON text so "
                   "far");
    }
    ForbidOthers(allowed_, logits);
  }
  // Neither does a thought end the answer.
  for (const int32_t id : options_.eos_ids) {
    if (id >= 0 && static_cast<size_t>(id) < logits.size()) {
      logits[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
    }
  }
  return OkStatus();
}

bool AnswerGuide::Allows(int32_t token) const {
  if (!options_.json) return true;
  if (IsEos(token)) return false;
  if (thought_.thinking()) return true;
  if (token == options_.think_open && thought_.may_open()) return true;
  const std::string_view bytes = options_.json->Bytes(token);
  JsonAcceptor text = text_;
  return !bytes.empty() && text.Take(bytes);
}

void AnswerGuide::Take(int32_t token) {
  const bool forced = Forced() == token;
  if (forced) ++closed_;
  const bool was_thinking = thought_.thinking();
  thought_.Take(options_.bytes(token), !forced);
  if (!options_.json || was_thinking) return;
  if (thought_.thinking()) {
    text_ = JsonAcceptor();
  } else {
    text_.Take(options_.json->Bytes(token));
  }
}

}  // namespace slm
