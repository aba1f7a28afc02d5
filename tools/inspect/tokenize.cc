// SPDX-License-Identifier: MIT
// slm-inspect tokenize DIR: JSON lines {"text", "add_special_tokens"} or
// {"ids"} on stdin; {"ids", "decoded", "decoded_skip", "stream"} on stdout.
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "loader/json.h"
#include "loader/tokenizer_json.h"
#include "runtime/core/file.h"
#include "tools/inspect/commands.h"

namespace slm::inspect {
namespace {

constexpr char kUsage[] =
    "usage: slm-inspect tokenize DIR\n"
    "DIR holds tokenizer.json. Reads JSON lines from stdin:\n"
    "  {\"text\": \"...\", \"add_special_tokens\": false}   or   {\"ids\": "
    "[...]}\n"
    "and writes for each {\"ids\", \"decoded\", \"decoded_skip\", "
    "\"stream\"}:\n"
    "the ids, their text with and without control tokens, and the piece of\n"
    "text that each id adds.\n";

// The next line of stdin without its end; false at the end of the input.
bool ReadLine(std::string* line) {
  line->clear();
  char buffer[65536];
  while (std::fgets(buffer, sizeof(buffer), stdin) != nullptr) {
    *line += buffer;
    if (line->back() == '\n') {
      line->pop_back();
      return true;
    }
  }
  return !line->empty();
}

Result<std::vector<int32_t>> IdsOf(const Tokenizer& tokenizer,
                                   const JsonValue& line) {
  if (const JsonValue* list = line.Find("ids");
      list != nullptr && list->IsArray()) {
    std::vector<int32_t> ids;
    for (const JsonValue& id : list->Items()) {
      if (!id.IsInt()) {
        return Usage("\"ids\" holds %s, expected integers", id.TypeName());
      }
      // Ids that no tokenizer has are dropped; -1 is one of them.
      ids.push_back(id.Int() < 0 || id.Int() > INT32_MAX
                        ? -1
                        : static_cast<int32_t>(id.Int()));
    }
    return ids;
  }
  const JsonValue* text = line.Find("text");
  if (text == nullptr || !text->IsString()) {
    return Usage("expected an object with \"text\" or \"ids\"");
  }
  EncodeOptions options;
  if (const JsonValue* add = line.Find("add_special_tokens")) {
    if (!add->IsBool()) {
      return Usage("\"add_special_tokens\" is %s, expected boolean",
                   add->TypeName());
    }
    options.add_special_tokens = add->Bool();
  }
  return tokenizer.Encode(text->String(), options);
}

void AppendResult(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                  const JsonValue& line, std::string* out) {
  const JsonValue* given = line.Find("ids");
  *out += "{\"ids\":[";
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) *out += ',';
    *out += std::to_string(given != nullptr && given->IsArray()
                               ? given->Items()[i].Int()
                               : int64_t{ids[i]});
  }
  *out += "],\"decoded\":";
  AppendJsonString(tokenizer.Decode(ids, /*skip_special_tokens=*/false), out);
  *out += ",\"decoded_skip\":";
  AppendJsonString(tokenizer.Decode(ids, /*skip_special_tokens=*/true), out);
  *out += ",\"stream\":[";
  TokenStream stream(tokenizer, /*skip_special_tokens=*/false);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) *out += ',';
    std::string piece = stream.Push(ids[i]);
    if (i + 1 == ids.size()) piece += stream.Flush();
    AppendJsonString(piece, out);
  }
  *out += "]}\n";
}

Status TokenizeLine(const Tokenizer& tokenizer, std::string text,
                    std::string* out) {
  SLM_ASSIGN_OR_RETURN(const JsonDocument line,
                       JsonDocument::Parse(std::move(text)));
  SLM_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                       IdsOf(tokenizer, line.root()));
  AppendResult(tokenizer, ids, line.root(), out);
  return OkStatus();
}

}  // namespace

Status Tokenize(const Arguments& arguments) {
  if (arguments.size() == 1 &&
      (arguments[0] == "--help" || arguments[0] == "-h")) {
    std::fputs(kUsage, stdout);
    return OkStatus();
  }
  if (arguments.size() != 1) {
    return Usage("tokenize takes one folder, got %zu arguments",
                 arguments.size());
  }
  const std::string& folder = arguments[0];
  if (!IsFolder(folder)) {
    return Error(ErrorKind::kNotFound,
                 "cannot open \"%s\": no such folder; pass a folder that holds "
                 "tokenizer.json",
                 Printable(folder, 400).c_str());
  }
  SLM_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                       LoadTokenizer(folder + "/tokenizer.json"));
  std::string line, out;
  for (size_t number = 1; ReadLine(&line); ++number) {
    if (line.empty() || line == "\r") continue;
    out.clear();
    const Status status = TokenizeLine(*tokenizer, line, &out);
    if (!status.ok()) {
      std::fflush(stdout);
      return status.In(Format("line %zu", number));
    }
    if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size()) {
      return Error(ErrorKind::kRuntime, "cannot write to stdout");
    }
  }
  if (std::fflush(stdout) != 0) {
    return Error(ErrorKind::kRuntime, "cannot write to stdout");
  }
  return OkStatus();
}

}  // namespace slm::inspect
