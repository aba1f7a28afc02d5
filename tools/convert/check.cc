// SPDX-License-Identifier: MIT
#include "tools/convert/check.h"

#include "loader/fields.h"
#include "loader/json_fields.h"
#include "runtime/core/file.h"
#include "runtime/model.h"
#include "tools/convert/file_hash.h"

namespace slm::convert {
namespace {

// One entry of slm.json's "files".
Status CheckFile(const std::string& folder, const JsonMember& entry) {
  const std::string shown = Printable(entry.key);
  SLM_ASSIGN_OR_RETURN(const std::string path, JoinInside(folder, entry.key));
  const Result<std::string_view> expected = StringField(entry.value, "sha256");
  const Result<int64_t> size = CountField(entry.value, "bytes", INT64_MAX);
  if (!expected.ok()) return expected.status().In("slm.json: " + shown);
  if (!size.ok()) return size.status().In("slm.json: " + shown);
  uint64_t bytes = 0;
  SLM_ASSIGN_OR_RETURN(const std::string hash, HashFile(path, &bytes));
  if (bytes != static_cast<uint64_t>(*size)) {
    return Invalid("%s has %llu bytes, slm.json says %lld", shown.c_str(),
                   static_cast<unsigned long long>(bytes),
                   static_cast<long long>(*size));
  }
  if (hash != *expected) {
    return Invalid("%s has sha256 %s, slm.json says %s", shown.c_str(),
                   hash.c_str(), Printable(*expected).c_str());
  }
  return OkStatus();
}

}  // namespace

Result<CheckReport> CheckFolder(const std::string& folder, const LogSink& log) {
  CheckReport report;
  const std::string record = folder + "/slm.json";
  // Hashes first: a damaged file is then called that.
  if (IsFile(record)) {
    SLM_ASSIGN_OR_RETURN(const JsonDocument document, LoadJsonObject(record));
    const Result<const JsonValue*> files =
        ObjectField(document.root(), "files");
    if (!files.ok()) return files.status().In("slm.json");
    for (const JsonMember& entry : (*files)->Members()) {
      SLM_RETURN_IF_ERROR(CheckFile(folder, entry));
      ++report.hashed_files;
    }
  } else {
    report.notes.push_back("no slm.json: contents cannot be compared");
  }
  ModelOptions options;
  options.log = log;
  const auto model = Model::Open(folder, options);
  if (!model.ok()) return model.status();
  // What the packaged runtime and Foundry Local want beyond what slm needs.
  for (const char* name :
       {"genai_config.json", "tokenizer_config.json", "inference_model.json"}) {
    if (!IsFile((*model)->folder().folder + "/" + name)) {
      report.notes.push_back(std::string("no ") + name);
    }
  }
  return report;
}

}  // namespace slm::convert
