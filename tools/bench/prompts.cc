// SPDX-License-Identifier: MIT
#include "tools/bench/prompts.h"

#include <algorithm>

#include "loader/json.h"
#include "runtime/core/file.h"

namespace slm::bench {
namespace {

constexpr size_t kMostBytes = size_t{64} << 20;
constexpr size_t kMostPrompts = 10000;

constexpr const char* kQuestion = "Why does bread rise in the oven?";

constexpr const char* kLetter =
    "Write a short answer to this letter. Be friendly, say that Thursday at "
    "four suits us, and ask for the key of the cellar.\n\n"
    "Dear neighbours,\n"
    "the plumber comes next week to look at the pipe behind the boiler. He "
    "needs an hour and somebody who lets him in. Would Wednesday at two or "
    "Thursday at four be better for you? Please tell me until Monday.\n"
    "Best wishes, Ada";

constexpr const char* kArticle =
    "Summarise the text below in three sentences, then list the dates in it.\n"
    "\n"
    "The lighthouse on the northern rock was lit for the first time in the "
    "autumn of 1847. For six years the harbour town had collected money for "
    "it, after two ships had run aground in one winter. The first keeper was a "
    "carpenter who had helped to build the tower. He lived there with his wife "
    "and three children, and in storms no boat could reach them for weeks. In "
    "his log book he wrote down the wind, the height of the waves and every "
    "sail that he saw, and once a month he drew the coast as it looked from "
    "the gallery.\n"
    "\n"
    "At first the lamp burned whale oil, which had to be carried up one "
    "hundred and twelve steps in cans of ten litres. In 1871 it was changed to "
    "paraffin, and a lens from the mainland made the beam visible from "
    "eighteen miles away. The lens weighed more than a ton and floated on a "
    "bath of mercury, so that a clockwork could turn it with a weight that the "
    "keeper wound up every four hours. A second keeper was hired, since one "
    "man could not sleep any more.\n"
    "\n"
    "During the great storm of 1903 a wave broke the door and flooded the two "
    "lower rooms. The keepers kept the light burning for three nights although "
    "their stores were lost. Afterwards the town built a wall of granite "
    "around the foot of the tower, which still stands. Electricity came late, "
    "in 1956, by a cable on the sea floor that fishing nets tore twice in its "
    "first year. The last keeper left in 1988, when a small computer took over "
    "his work. He had counted the steps every day and was sure that there were "
    "one hundred and thirteen.\n"
    "\n"
    "Today the tower is a museum that opens from May to September. Visitors "
    "may climb to the gallery, read copies of the log books and try to wind up "
    "the weight. The lens is still there, and on some evenings it is turned "
    "for guests, without a light. Every year about nine thousand people come, "
    "most of them in August.";

Prompt User(std::string name, std::string text) {
  return {std::move(name), {{"user", std::move(text)}}};
}

// The keys of an object as `wanted` has them, no others.
Status CheckKeys(const JsonValue& object,
                 std::initializer_list<std::string_view> wanted) {
  for (const JsonMember& member : object.Members()) {
    if (std::find(wanted.begin(), wanted.end(), member.key) != wanted.end()) {
      continue;
    }
    std::string all;
    for (const std::string_view w : wanted) {
      all += (all.empty() ? "\"" : ", \"") + std::string(w) + "\"";
    }
    return Invalid("unknown key \"%s\", known: %s",
                   Printable(member.key).c_str(), all.c_str());
  }
  return OkStatus();
}

Result<std::string> TextOf(const JsonValue& object, const char* key) {
  const JsonValue* value = object.Find(key);
  if (value == nullptr || !value->IsString() || value->String().empty()) {
    return Invalid("\"%s\" is %s, must be a text", key,
                   value == nullptr    ? "missing"
                   : value->IsString() ? "empty"
                                       : value->TypeName());
  }
  return std::string(value->String());
}

Status ReadMessages(const JsonValue& list, Prompt* prompt) {
  if (!list.IsArray() || list.Items().empty()) {
    return Invalid("\"messages\" must be a list with a message at least");
  }
  for (const JsonValue& message : list.Items()) {
    if (!message.IsObject()) {
      return Invalid("a message is %s, must be an object", message.TypeName());
    }
    SLM_RETURN_IF_ERROR(CheckKeys(message, {"role", "content"}));
    SLM_ASSIGN_OR_RETURN(std::string role, TextOf(message, "role"));
    SLM_ASSIGN_OR_RETURN(std::string content, TextOf(message, "content"));
    prompt->messages.emplace_back(std::move(role), std::move(content));
  }
  if (prompt->messages.back().first == "assistant") {
    return Invalid("the last message is the assistant's, nothing is asked");
  }
  return OkStatus();
}

Result<Prompt> ParseLine(std::string_view line, size_t number) {
  SLM_ASSIGN_OR_RETURN(const JsonDocument document,
                       JsonDocument::Parse(std::string(line)));
  const JsonValue& root = document.root();
  if (!root.IsObject()) {
    return Invalid("%s, must be an object", root.TypeName());
  }
  SLM_RETURN_IF_ERROR(CheckKeys(root, {"prompt", "messages"}));
  const JsonValue* messages = root.Find("messages");
  const std::string name = Format("line %zu", number);
  if ((messages != nullptr) == (root.Find("prompt") != nullptr)) {
    return Invalid("must have one of \"prompt\" and \"messages\"");
  }
  if (messages == nullptr) {
    SLM_ASSIGN_OR_RETURN(std::string text, TextOf(root, "prompt"));
    return User(name, std::move(text));
  }
  Prompt prompt{name, {}};
  SLM_RETURN_IF_ERROR(ReadMessages(*messages, &prompt));
  return prompt;
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

std::vector<Prompt> BuiltInPrompts() {
  Prompt talk{
      "talk",
      {{"system", "You are a helpful assistant. Answer briefly."},
       {"user", "I have flour, eggs, milk and two apples."},
       {"assistant", "That is enough for apple pancakes, or for a small cake."},
       {"user",
        "How long do the pancakes take, and how many will it "
        "be for three people?"}}};
  return {User("question", kQuestion), User("letter", kLetter), talk,
          User("article", kArticle)};
}

Result<std::vector<Prompt>> ParsePrompts(std::string_view text,
                                         const std::string& file) {
  std::vector<Prompt> prompts;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (IsBlank(line)) continue;
    Result<Prompt> prompt = ParseLine(line, number);
    if (!prompt.ok()) {
      return prompt.status().In(
          Format("%s, line %zu", Printable(file, 400).c_str(), number));
    }
    if (prompts.size() == kMostPrompts) {
      return Invalid("%s has more than %zu prompts",
                     Printable(file, 400).c_str(), kMostPrompts);
    }
    prompts.push_back(std::move(prompt).value());
  }
  if (prompts.empty()) {
    return Invalid("%s has no prompt: write {\"prompt\": \"...\"} on a line",
                   Printable(file, 400).c_str());
  }
  return prompts;
}

Result<std::vector<Prompt>> LoadPrompts(const std::string& path) {
  SLM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMostBytes));
  return ParsePrompts(text, path);
}

}  // namespace slm::bench
