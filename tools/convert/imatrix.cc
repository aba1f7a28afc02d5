// SPDX-License-Identifier: MIT
#include "tools/convert/imatrix.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "loader/json.h"
#include "quant/round_together.h"
#include "runtime/core/file.h"
#include "runtime/core/sha256.h"
#include "runtime/core/shape.h"
#include "tools/convert/json_text.h"

namespace slm::convert {
namespace {

constexpr std::string_view kMagic = "slm-imatrix 2 ";
// 126 layers of 53 k columns, seven times, 32 values each: 6 GB.
constexpr size_t kMostBytes = size_t{1} << 33;

void AddSized(std::string_view bytes, Sha256* hash) {
  const std::string size = std::to_string(bytes.size()) + ":";
  hash->Add(size);
  hash->Add(bytes);
}

Status Broken(const std::string& path, const char* what) {
  return Invalid("\"%s\": %s; make it again with --save-imatrix",
                 Printable(path, 400).c_str(), what);
}

// The header's size, and where it begins.
bool ReadHead(std::string_view bytes, size_t* begin, size_t* size) {
  if (bytes.substr(0, kMagic.size()) != kMagic) return false;
  const char* first = bytes.data() + kMagic.size();
  const char* end = bytes.data() + bytes.size();
  const auto [stop, error] = std::from_chars(first, end, *size);
  if (error != std::errc() || stop == end || *stop != '\n') return false;
  *begin = static_cast<size_t>(stop + 1 - bytes.data());
  return *size <= bytes.size() - *begin;
}

// One entry of "weights" with its floats, which begin at `at`.
Status ReadWeight(const JsonValue& entry, std::string_view bytes, size_t* at,
                  const std::string& path, Imatrix* out) {
  const JsonValue* name = entry.Find("name");
  const JsonValue* columns = entry.Find("columns");
  if (!name || !name->IsString() || !columns || !columns->IsInt() ||
      columns->Int() <= 0) {
    return Broken(path, "a weight without name or columns");
  }
  const auto k = static_cast<uint64_t>(columns->Int());
  if (k > (bytes.size() - *at) / (kMomentColumns * sizeof(float))) {
    return Broken(path, "it ends before its last value");
  }
  const size_t count = k * kMomentColumns;
  std::vector<float> values(count);
  std::memcpy(values.data(), bytes.data() + *at, count * sizeof(float));
  *at += count * sizeof(float);
  for (size_t i = 0; i < count; ++i) {
    const bool square =
        i % kMomentColumns == i / kMomentColumns % kMomentColumns;
    if (!std::isfinite(values[i]) || (square && values[i] < 0)) {
      return Broken(path, "a mean of squares is negative or not finite");
    }
  }
  out->moments[std::string(name->String())] = std::move(values);
  return OkStatus();
}

}  // namespace

Result<std::string> Fingerprint(const Source& source) {
  Sha256 hash;
  const std::string path = source.folder + "/config.json";
  if (IsFile(path)) {  // GGUF has none
    SLM_ASSIGN_OR_RETURN(const std::string config, ReadFile(path));
    AddSized(config, &hash);
  }
  std::vector<float> row;
  for (const auto& [name, tensor] : source.weights->tensors()) {
    AddSized(name, &hash);
    AddSized(tensor.type, &hash);
    AddSized(tensor.shape.ToString(), &hash);
    row.clear();
    if (tensor.readable && tensor.shape.Count() > 0) {
      const bool matrix = tensor.shape.rank() > 1;
      row.resize(matrix ? static_cast<size_t>(tensor.shape.back()) : 1);
      source.weights->ReadRows(name, 0, 1, row.data());
    }
    AddSized(
        {reinterpret_cast<const char*>(row.data()), row.size() * sizeof(float)},
        &hash);
    AddSized(source.adapters.Find(name) ? "adapter" : "", &hash);
  }
  return hash.Finish();
}

bool IsImatrixFile(const std::string& path) {
  char head[kMagic.size()] = {};
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) return false;
  const size_t got = std::fread(head, 1, sizeof head, file);
  std::fclose(file);
  return std::string_view(head, got) == kMagic;
}

Status SaveImatrix(const Imatrix& imatrix, const std::string& path) {
  JsonText json(1);
  json.BeginObject();
  json.String("model", imatrix.model);
  json.Int("tokens", static_cast<int64_t>(imatrix.tokens));
  json.String("text", imatrix.text);
  json.BeginArray("weights");
  for (const auto& [name, moments] : imatrix.moments) {
    json.BeginObject();
    json.String("name", name);
    json.Int("columns", static_cast<int64_t>(moments.size() / kMomentColumns));
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  std::string bytes = std::string(kMagic) + std::to_string(json.text().size()) +
                      "\n" + json.text();
  for (const auto& [name, moments] : imatrix.moments) {
    bytes.append(reinterpret_cast<const char*>(moments.data()),
                 moments.size() * sizeof(float));
  }
  return WriteFileAtomic(path, bytes);
}

Result<Imatrix> LoadImatrix(const std::string& path) {
  SLM_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMostBytes));
  size_t at = 0, size = 0;
  if (!ReadHead(bytes, &at, &size)) {
    return Broken(path, "not a file of activation statistics");
  }
  Result<JsonDocument> parsed = JsonDocument::Parse(bytes.substr(at, size));
  if (!parsed.ok()) return Broken(path, "its header is no JSON");
  const JsonValue& root = parsed->root();
  const JsonValue* model = root.Find("model");
  const JsonValue* tokens = root.Find("tokens");
  const JsonValue* text = root.Find("text");
  const JsonValue* weights = root.Find("weights");
  if (!model || !model->IsString() || !tokens || !tokens->IsInt() ||
      tokens->Int() <= 0 || !text || !text->IsString() || !weights ||
      !weights->IsArray()) {
    return Broken(path, "its header lacks model, tokens, text or weights");
  }
  Imatrix out{std::string(model->String()),
              static_cast<uint64_t>(tokens->Int()),
              std::string(text->String()),
              {}};
  at += size;
  for (const JsonValue& entry : weights->Items()) {
    SLM_RETURN_IF_ERROR(ReadWeight(entry, bytes, &at, path, &out));
  }
  if (at != bytes.size())
    return Broken(path, "it goes on after its last value");
  return out;
}

Status CheckImatrix(const Imatrix& imatrix, const std::vector<Weight>& weights,
                    const std::string& path) {
  for (const Weight& weight : weights) {
    if (!IsCalibrated(weight)) continue;
    const auto found = imatrix.moments.find(weight.name);
    const std::string shown = Printable(weight.name);
    if (found == imatrix.moments.end()) {
      return Invalid("\"%s\" is of another model: it has nothing on \"%s\"",
                     Printable(path, 400).c_str(), shown.c_str());
    }
    const size_t k = found->second.size() / kMomentColumns;
    if (k != static_cast<size_t>(weight.k)) {
      return Invalid(
          "\"%s\" is of another model: \"%s\" has %zu columns there, %lld here",
          Printable(path, 400).c_str(), shown.c_str(), k,
          static_cast<long long>(weight.k));
    }
  }
  return OkStatus();
}

std::vector<float> ImportanceOf(const Imatrix& imatrix,
                                const std::string& weight) {
  const auto found = imatrix.moments.find(weight);
  if (found == imatrix.moments.end()) return {};
  const size_t k = found->second.size() / kMomentColumns;
  const auto square = [&](size_t c) {
    return double{found->second[c * kMomentColumns + c % kMomentColumns]};
  };
  // Mean 1: the search squares and sums in float32.
  double sum = 0;
  for (size_t c = 0; c < k; ++c) sum += square(c);
  const double mean = sum / static_cast<double>(k);
  if (!(mean > 0) || !std::isfinite(mean)) return {};
  std::vector<float> importance;
  for (size_t c = 0; c < k; ++c) {
    importance.push_back(static_cast<float>(square(c) / mean));
  }
  return importance;
}

}  // namespace slm::convert
