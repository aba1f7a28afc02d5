// SPDX-License-Identifier: MIT
#include "runtime/text/post_process.h"

#include <utility>

namespace slm::text {
namespace {

using Kind = PostProcessorStep::Kind;
// A step hands several lists on: a template one for each of its parts, which
// a second template takes for a first and a second text.
using Lists = std::vector<std::vector<int32_t>>;

size_t CountAdded(const std::vector<PostProcessorStep>& steps) {
  size_t count = 0;
  for (const PostProcessorStep& step : steps) {
    if (step.kind == Kind::kBert || step.kind == Kind::kRoberta) count += 2;
    for (const TemplatePart& part : step.single) count += part.ids.size();
  }
  return count;
}

Status Truncate(const PostProcessing& post, bool add_special_tokens,
                std::vector<int32_t>* ids) {
  const Truncation& t = *post.truncation;
  const size_t added = add_special_tokens ? CountAdded(post.steps) : 0;
  // The reference subtracts without a check; its result then is no limit.
  if (added > t.max_length) return OkStatus();
  const size_t length = t.max_length - added;
  if (length >= ids->size()) return OkStatus();
  if (length == 0) {
    ids->clear();
    return OkStatus();
  }
  if (t.only_second) {
    return Invalid(
        "tokenizer: truncation strategy OnlySecond cannot shorten "
        "one text of %zu ids to %zu",
        ids->size(), length);
  }
  if (t.stride >= length) {
    return Invalid(
        "tokenizer: truncation stride %zu is not below the length "
        "%zu",
        t.stride, length);
  }
  if (t.left) {
    ids->erase(ids->begin(), ids->end() - static_cast<ptrdiff_t>(length));
  } else {
    ids->resize(length);
  }
  return OkStatus();
}

Status ApplyTemplate(const PostProcessorStep& step, bool add_special_tokens,
                     Lists* lists) {
  if (lists->empty() || lists->size() > 2) {
    return Invalid(
        "tokenizer: a TemplateProcessing behind others gets %zu "
        "parts, supported: 1, 2",
        lists->size());
  }
  Lists out;
  for (const TemplatePart& part :
       lists->size() == 1 ? step.single : step.pair) {
    if (!part.is_sequence) {
      if (add_special_tokens) out.push_back(part.ids);
    } else if (part.is_second && lists->size() < 2) {
      return Invalid(
          "tokenizer: TemplateProcessing's \"single\" uses "
          "sequence B");
    } else {
      out.push_back((*lists)[part.is_second ? 1 : 0]);
    }
  }
  *lists = std::move(out);
  return OkStatus();
}

// [CLS] A [SEP], and B [SEP] or, as Roberta has it, [SEP] B [SEP].
void Surround(const PostProcessorStep& step, Lists* lists) {
  for (size_t i = 0; i < lists->size(); ++i) {
    std::vector<int32_t>& ids = (*lists)[i];
    if (i == 0) {
      ids.insert(ids.begin(), step.cls);
    } else if (step.kind == Kind::kRoberta) {
      ids.insert(ids.begin(), step.sep);
    }
    ids.push_back(step.sep);
  }
}

void Pad(const Padding& padding, std::vector<int32_t>* ids) {
  size_t length = padding.length.value_or(ids->size());
  if (padding.multiple > 0 && length % padding.multiple > 0) {
    length += padding.multiple - length % padding.multiple;
  }
  if (length <= ids->size()) return;
  ids->insert(padding.left ? ids->begin() : ids->end(), length - ids->size(),
              padding.id);
}

}  // namespace

Status PostProcess(const PostProcessing& post, bool add_special_tokens,
                   std::vector<int32_t>* ids) {
  if (post.truncation.has_value()) {
    SLM_RETURN_IF_ERROR(Truncate(post, add_special_tokens, ids));
  }
  if (!post.steps.empty()) {
    Lists lists(1);
    lists[0].swap(*ids);
    for (const PostProcessorStep& step : post.steps) {
      if (step.kind == Kind::kTemplate) {
        SLM_RETURN_IF_ERROR(ApplyTemplate(step, add_special_tokens, &lists));
      } else if (step.kind != Kind::kNone && add_special_tokens) {
        Surround(step, &lists);
      }
    }
    for (std::vector<int32_t>& list : lists) {
      if (ids->empty()) {
        ids->swap(list);
      } else {
        ids->insert(ids->end(), list.begin(), list.end());
      }
    }
  }
  if (post.padding.has_value()) Pad(*post.padding, ids);
  return OkStatus();
}

}  // namespace slm::text
