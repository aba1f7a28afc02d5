// SPDX-License-Identifier: MIT
#include "tools/bench/result_file.h"

#include <algorithm>

#include "loader/json.h"
#include "runtime/core/file.h"

namespace slm::bench {
namespace {

constexpr int64_t kSchema = 1;
constexpr size_t kMostBytes = size_t{256} << 20;

// The first file that is not as it should be ends the reading, so each of
// these fails with the key alone.
Status ReadText(const JsonValue& object, const char* key, std::string* out) {
  const JsonValue* value = object.Find(key);
  if (value == nullptr || !value->IsString()) {
    return Invalid("\"%s\" is %s, must be a text", key,
                   value == nullptr ? "missing" : value->TypeName());
  }
  *out = value->String();
  return OkStatus();
}

// Absent or null where it was not measured.
Status ReadNumber(const JsonValue& object, const char* key,
                  std::optional<double>* out) {
  const JsonValue* value = object.Find(key);
  if (value == nullptr || value->IsNull()) return OkStatus();
  if (!value->IsNumber()) {
    return Invalid("\"%s\" is %s, must be a number", key, value->TypeName());
  }
  *out = value->Double();
  return OkStatus();
}

Status CheckSchema(const JsonValue& root) {
  const JsonValue* schema = root.IsObject() ? root.Find("schema") : nullptr;
  if (schema == nullptr || !schema->IsInt()) {
    return Invalid("no result of slm-bench: it has no \"schema\"");
  }
  if (schema->Int() != kSchema) {
    return Invalid("\"schema\" is %lld, this slm-bench reads %lld",
                   static_cast<long long>(schema->Int()),
                   static_cast<long long>(kSchema));
  }
  return OkStatus();
}

Result<ResultTest> ReadTest(const JsonValue& value) {
  if (!value.IsObject()) {
    return Invalid("a test is %s, must be an object", value.TypeName());
  }
  ResultTest test;
  SLM_RETURN_IF_ERROR(ReadText(value, "name", &test.name));
  SLM_RETURN_IF_ERROR(ReadText(value, "unit", &test.unit));
  const JsonValue* samples = value.Find("samples");
  if (samples == nullptr || !samples->IsArray()) {
    return Invalid("test \"%s\" has no list of samples",
                   Printable(test.name).c_str());
  }
  for (const JsonValue& sample : samples->Items()) {
    if (!sample.IsNumber()) {
      return Invalid("a sample of test \"%s\" is %s, must be a number",
                     Printable(test.name).c_str(), sample.TypeName());
    }
    test.samples.push_back(sample.Double());
  }
  return test;
}

Status ReadResult(const JsonValue& root, ResultFile* r) {
  SLM_RETURN_IF_ERROR(CheckSchema(root));
  const std::pair<const char*, std::string*> texts[] = {
      {"verb", &r->verb}, {"model", &r->model},   {"version", &r->version},
      {"cpu", &r->cpu},   {"target", &r->target}, {"kv", &r->kv}};
  for (const auto& [key, text] : texts) {
    SLM_RETURN_IF_ERROR(ReadText(root, key, text));
  }
  const JsonValue* threads = root.Find("threads");
  if (threads == nullptr || !threads->IsInt()) {
    return Invalid("\"threads\" must be a whole number");
  }
  r->threads = threads->Int();
  SLM_RETURN_IF_ERROR(ReadNumber(root, "load_ms", &r->load_ms));
  SLM_RETURN_IF_ERROR(ReadNumber(root, "peak_rss_mib", &r->peak_rss_mib));
  const JsonValue* tests = root.Find("tests");
  if (tests == nullptr || !tests->IsArray()) {
    return Invalid("a result of slm-bench %s has no tests with samples",
                   Printable(r->verb).c_str());
  }
  for (const JsonValue& test : tests->Items()) {
    SLM_ASSIGN_OR_RETURN(ResultTest read, ReadTest(test));
    r->tests.push_back(std::move(read));
  }
  return OkStatus();
}

}  // namespace

const ResultTest* ResultFile::Find(std::string_view name) const {
  const auto found =
      std::find_if(tests.begin(), tests.end(),
                   [&](const ResultTest& test) { return test.name == name; });
  return found == tests.end() ? nullptr : &*found;
}

std::string MachineLine(const ResultFile& f, const char* between) {
  return Format(
      "slm %s%s%s%starget %s%s%lld %s%skv %s", Printable(f.version).c_str(),
      between, Printable(f.cpu).c_str(), between, Printable(f.target).c_str(),
      between, static_cast<long long>(f.threads),
      f.threads == 1 ? "thread" : "threads", between, Printable(f.kv).c_str());
}

Result<ResultFile> ParseResult(std::string text, const std::string& path) {
  const std::string where = Printable(path, 400);
  const Result<JsonDocument> document = JsonDocument::Parse(std::move(text));
  SLM_RETURN_IF_ERROR(document.status().In(where));
  ResultFile result;
  result.path = path;
  SLM_RETURN_IF_ERROR(ReadResult(document->root(), &result).In(where));
  return result;
}

Result<ResultFile> LoadResult(const std::string& path) {
  SLM_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMostBytes));
  return ParseResult(std::move(text), path);
}

}  // namespace slm::bench
