// SPDX-License-Identifier: MIT
#include "tools/convert/onnx_source.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "loader/fields.h"
#include "loader/json.h"
#include "runtime/core/file.h"
#include "runtime/core/shape.h"

namespace slm::convert {
namespace {

constexpr uint64_t kLarge = uint64_t{1} << 20;
constexpr uint64_t kPage = uint64_t{1} << 16;
constexpr uint64_t kAlign = 64;
constexpr size_t kCopied = size_t{8} << 20;  // bytes at a time

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         text.substr(text.size() - suffix.size()) == suffix;
}

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::vector<std::string> OnnxFiles(const std::string& folder) {
  std::vector<std::string> names = ListFolder(folder);
  std::erase_if(
      names, [](const std::string& name) { return !EndsWith(name, ".onnx"); });
  return names;
}

bool HoldsCheckpoint(const std::string& folder) {
  for (const std::string& name : ListFolder(folder)) {
    const bool torch =
        name.rfind("pytorch_model", 0) == 0 && EndsWith(name, ".bin");
    if (EndsWith(name, ".safetensors") || EndsWith(name, ".gguf") || torch ||
        EndsWith(name, ".index.json")) {
      return true;
    }
  }
  return false;
}

bool HoldsGenAi(const std::string& folder) {
  if (IsFile(folder + "/genai_config.json")) return true;
  for (const std::string& name : ListFolder(folder)) {
    if (IsFile(folder + "/" + name + "/genai_config.json")) return true;
  }
  return false;
}

bool HoldsOnnx(const std::string& folder) {
  return HoldsGenAi(folder) || !OnnxFiles(folder).empty() ||
         !OnnxFiles(folder + "/onnx").empty();
}

// Of an Olive output (model_config.json) the folder that holds the model: it or
// its model/; paths in that file are those of another machine.
std::string OliveFolder(const std::string& folder) {
  if (!HoldsOnnx(folder) && HoldsOnnx(folder + "/model")) {
    return folder + "/model";
  }
  return folder;
}

// The only graph of a folder that has no configuration.
Result<std::string> OnlyGraph(const std::string& folder) {
  const std::vector<std::string> names = OnnxFiles(folder);
  if (names.size() == 1) return folder + "/" + names[0];
  return Error(ErrorKind::kNotFound,
               "\"%s\" holds %zu .onnx files and no genai_config.json or "
               "config.json: pass one of the files",
               Printable(folder, 400).c_str(), names.size());
}

bool HasConfigBeside(const std::string& file) {
  const size_t slash = file.find_last_of('/');
  const std::string folder =
      slash == std::string::npos ? "." : file.substr(0, slash);
  for (const std::string& at : {folder, folder + "/.."}) {
    if (IsFile(at + "/genai_config.json") || IsFile(at + "/config.json")) {
      return true;
    }
  }
  return false;
}

uint64_t Place(uint64_t length, uint64_t* end) {
  *end = RoundUp(*end, length > kLarge ? kPage : kAlign);
  const uint64_t offset = *end;
  *end += length;
  return offset;
}

}  // namespace

bool IsOnnxSource(const std::string& given) {
  const std::string path = WithoutSlash(given);
  if (IsFile(path)) return EndsWith(path, ".onnx");
  if (HoldsGenAi(path)) return true;
  if (HoldsCheckpoint(path)) return false;
  return HoldsOnnx(path) || HoldsOnnx(OliveFolder(path));
}

Result<std::unique_ptr<OnnxSource>> OpenOnnxSource(const std::string& given,
                                                   const LogSink& log) {
  auto source = std::make_unique<OnnxSource>();
  std::string path = WithoutSlash(given);
  if (!IsFile(path)) {
    path = OliveFolder(path);
    const bool configured =
        HoldsGenAi(path) || IsFile(path + "/config.json") ||
        (IsFile(path + "/model.onnx") && IsFile(path + "/../config.json"));
    if (!configured) {
      SLM_ASSIGN_OR_RETURN(path, OnlyGraph(path));
    }
  }
  if (IsFile(path) && !HasConfigBeside(path)) {
    source->path = path;
  } else {
    OpenOptions options;
    options.log = log;
    SLM_ASSIGN_OR_RETURN(source->folder, OpenFolder(path, options));
    source->path = source->folder->onnx_path;
    const bool inside = source->folder->folder != path && !IsFile(path);
    if (inside) source->outer = path;
  }
  SLM_ASSIGN_OR_RETURN(OnnxDocument document, OnnxDocument::Open(source->path));
  source->document = std::make_unique<OnnxDocument>(std::move(document));
  return source;
}

Result<DataLayout> LayOutOnnx(const OnnxRequest& request, OnnxSource* source,
                              OnnxTensors* tensors) {
  SLM_ASSIGN_OR_RETURN(source->plan,
                       PlanOnnx(request, source->document.get(), tensors));
  const OnnxPlan& plan = source->plan;
  uint64_t end = 0;
  // Tensors of the source may share bytes.
  std::map<std::pair<const char*, size_t>, uint64_t> known;
  for (const int index : plan.placed) {
    const auto& tensor =
        source->document->tensors()[static_cast<size_t>(index)];
    const std::pair key(tensor.bytes.data(), tensor.bytes.size());
    const auto found = known.find(key);
    OnnxInitializer place;
    place.name = tensor.name;
    place.length = tensor.bytes.size();
    if (found != known.end()) {
      place.offset = found->second;
      place.length = 0;  // there already
    } else {
      place.offset = Place(place.length, &end);
      known.emplace(key, place.offset);
    }
    source->kept.push_back(std::move(place));
  }
  std::vector<Weight> weights;
  for (const OnnxWeight& made : plan.weights) weights.push_back(made.weight);
  DataLayout layout = LayOut(weights, request.graph);
  const uint64_t base = RoundUp(end, kPage);
  for (size_t i = 0; i < layout.parts.size(); ++i) {
    for (size_t p = 0; p < layout.parts[i].size(); ++p) {
      layout.parts[i][p].offset += base;
      layout.parts[i][p].name = plan.weights[i].names[p];
    }
  }
  layout.bytes = layout.bytes == 0 ? end : layout.bytes + base;
  return layout;
}

Status CopyPlaced(const OnnxSource& source, const WriteProgress& progress,
                  FileWriter* file) {
  const OnnxDocument& document = *source.document;
  uint64_t done = 0;
  for (size_t i = 0; i < source.kept.size(); ++i) {
    const OnnxInitializer& place = source.kept[i];
    const std::string_view bytes =
        document.tensors()[static_cast<size_t>(source.plan.placed[i])].bytes;
    for (size_t at = 0; at < place.length; at += kCopied) {
      const std::string_view piece = bytes.substr(at, kCopied);
      SLM_RETURN_IF_ERROR(
          file->WriteAt(place.offset + at, piece.data(), piece.size()));
      document.Release(piece);
      done += piece.size();
      SLM_RETURN_IF_ERROR(progress.report(done));
    }
  }
  return OkStatus();
}

Result<std::string> SerializeOnnxSource(OnnxSource* source,
                                        const DataLayout& layout) {
  OnnxDocument& document = *source->document;
  for (size_t i = 0; i < source->kept.size(); ++i) {
    document.PlaceInitializer(source->plan.placed[i], source->kept[i].offset);
  }
  for (size_t i = 0; i < layout.parts.size(); ++i) {
    for (const OnnxInitializer& part : layout.parts[i]) {
      document.AddInitializer(source->plan.weights[i].graph, part);
    }
  }
  return document.Serialize("model.onnx.data");
}

}  // namespace slm::convert
