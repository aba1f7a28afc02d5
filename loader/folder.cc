// SPDX-License-Identifier: MIT
#include "loader/folder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "loader/fields.h"
#include "runtime/core/file.h"

namespace slm {
namespace {

constexpr const char* kGenAiConfig = "genai_config.json";
constexpr const char* kHfConfig = "config.json";
constexpr size_t kNamesShown = 12;

#if defined(_WIN32)
constexpr const char* kSeparators = "/\\";
#else
constexpr const char* kSeparators = "/";
#endif

// Where the configuration and the graph are.
struct Place {
  std::string folder;
  std::string outer;      // the folder around a variant's, or empty
  std::string onnx_path;  // empty: genai_config.json names it
};

bool EndsWith(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.find_last_of(kSeparators) == path.size() - 1) {
    path.pop_back();
  }
  return path;
}

std::string Parent(const std::string& path) {
  const size_t slash = path.find_last_of(kSeparators);
  const std::string name =
      slash == std::string::npos ? path : path.substr(slash + 1);
  if (name == "." || name == "..") return path + "/..";
  if (slash == std::string::npos) return ".";
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

bool Has(const std::string& folder, const char* name) {
  return IsFile(folder + "/" + name);
}

std::string Shown(const std::string& folder) {
  return "model folder \"" + Printable(folder, 400) + "/\"";
}

std::string JoinNames(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < kNamesShown; ++i) {
    text += (i == 0 ? "" : ", ") + Printable(names[i]);
  }
  if (names.size() > kNamesShown) {
    text += Format(" and %zu more", names.size() - kNamesShown);
  }
  return text.empty() ? "nothing" : text;
}

Status NotFound(const std::string& folder, const std::string& what) {
  return Error(ErrorKind::kNotFound, "%s: %s not found (found: %s)",
               Shown(folder).c_str(), Printable(what).c_str(),
               JoinNames(ListFolder(folder)).c_str());
}

std::vector<std::string> NamesEndingWith(const std::string& folder,
                                         const std::string& suffix) {
  std::vector<std::string> names = ListFolder(folder);
  std::erase_if(
      names, [&](const std::string& name) { return !EndsWith(name, suffix); });
  return names;
}

// Sub-folders that are models of ORT GenAI.
std::vector<std::string> Variants(const std::string& folder) {
  std::vector<std::string> names = ListFolder(folder);
  std::erase_if(names, [&](const std::string& name) {
    return !Has(folder + "/" + name, kGenAiConfig);
  });
  return names;
}

// The graph of a folder without genai_config.json.
Result<std::string> FindPlainGraph(const std::string& folder) {
  const std::string hub = folder + "/onnx";
  if (Has(folder, "model.onnx")) return folder + "/model.onnx";
  if (Has(hub, "model.onnx")) return hub + "/model.onnx";
  std::vector<std::string> others = NamesEndingWith(folder, ".onnx");
  for (const std::string& name : NamesEndingWith(hub, ".onnx")) {
    others.push_back("onnx/" + name);
  }
  if (!others.empty()) {
    return Error(ErrorKind::kNotFound,
                 "%s: model.onnx not found; pass one of its files: %s",
                 Shown(folder).c_str(), JoinNames(others).c_str());
  }
  for (const char* suffix : {".safetensors", ".gguf"}) {
    const auto weights = NamesEndingWith(folder, suffix);
    if (weights.empty()) continue;
    return Error(ErrorKind::kNotFound,
                 "%s: model.onnx not found, but %s; slm-convert makes an ONNX "
                 "folder of a checkpoint",
                 Shown(folder).c_str(), JoinNames(weights).c_str());
  }
  return NotFound(folder, "model.onnx");
}

// MODEL is a graph: its configuration is beside it or in the folder above.
Result<Place> LocateFile(const std::string& file) {
  if (!EndsWith(file, ".onnx")) {
    return Invalid(
        "cannot open model \"%s\": not an .onnx file; pass a folder "
        "or an .onnx file in one",
        Printable(file, 400).c_str());
  }
  const std::string folder = Parent(file);
  for (const std::string& candidate : {folder, Parent(folder)}) {
    if (Has(candidate, kGenAiConfig) || Has(candidate, kHfConfig)) {
      return Place{candidate, "", file};
    }
  }
  return NotFound(folder, "genai_config.json or config.json");
}

Result<Place> LocateFolder(const std::string& folder) {
  if (Has(folder, kGenAiConfig)) return Place{folder, "", ""};
  const bool plain =
      Has(folder, kHfConfig) &&
      (Has(folder, "model.onnx") || Has(folder + "/onnx", "model.onnx")) &&
      !Has(folder + "/onnx", kGenAiConfig);
  if (!plain) {
    const std::vector<std::string> variants = Variants(folder);
    if (variants.size() == 1) {
      return Place{folder + "/" + variants[0], folder, ""};
    }
    if (variants.size() > 1) {
      return Error(
          ErrorKind::kNotFound, "%s holds %zu models, pass one of them: %s",
          Shown(folder).c_str(), variants.size(), JoinNames(variants).c_str());
    }
  }
  if (Has(folder, kHfConfig)) {
    SLM_ASSIGN_OR_RETURN(std::string graph, FindPlainGraph(folder));
    return Place{folder, "", std::move(graph)};
  }
  // The onnx/ of the transformers.js layout itself.
  const std::string above = Parent(folder);
  if (Has(folder, "model.onnx") && Has(above, kHfConfig)) {
    return Place{above, "", folder + "/model.onnx"};
  }
  return NotFound(folder, "genai_config.json or config.json");
}

Result<Place> Locate(const std::string& model) {
  const std::string path = WithoutSlash(model);
  if (IsFile(path)) return LocateFile(path);
  if (!IsFolder(path)) {
    return Error(ErrorKind::kNotFound,
                 "cannot open model \"%s\": no such folder; pass a folder that "
                 "holds model.onnx and genai_config.json",
                 Printable(model, 400).c_str());
  }
  return LocateFolder(path);
}

// Both files of sampling defaults lie beside the configuration; a variant's
// inference_model.json may lie outside of it.
Status ReadExtras(const Place& place, const LogSink& log, ModelFolder* out) {
  const std::string generation = place.folder + "/generation_config.json";
  if (out->has_genai_config && IsFile(generation)) {
    SLM_ASSIGN_OR_RETURN(const JsonDocument document,
                         LoadJsonObject(generation));
    SLM_RETURN_IF_ERROR(ReadGenerationSettings(document.root(), generation, log,
                                               &out->config.search));
  }
  for (const std::string& folder : {place.folder, place.outer}) {
    const std::string path = folder + "/inference_model.json";
    if (folder.empty() || !IsFile(path)) continue;
    SLM_ASSIGN_OR_RETURN(const JsonDocument document, LoadJsonObject(path));
    SLM_ASSIGN_OR_RETURN(
        out->inference_model,
        ParseInferenceModel(document.root(), path, log, &out->config.search));
    break;
  }
  return OkStatus();
}

Status ReadGenAi(const LogSink& log, ModelFolder* out) {
  out->config_path = out->folder + "/" + kGenAiConfig;
  SLM_ASSIGN_OR_RETURN(const JsonDocument document,
                       LoadJsonObject(out->config_path));
  SLM_ASSIGN_OR_RETURN(
      out->config, ParseGenAiConfig(document.root(), out->config_path, log));
  // Both are checked even if MODEL is another graph of the folder.
  const Result<std::string> graph =
      JoinInside(out->folder, out->config.decoder.filename);
  if (!graph.ok()) {
    return graph.status().In(Printable(out->config_path, 400) +
                             ": model.decoder.filename");
  }
  if (out->onnx_path.empty()) out->onnx_path = *graph;
  if (out->config.tokenizer_dir.empty()) return OkStatus();
  const Result<std::string> tokenizer =
      JoinInside(out->folder, out->config.tokenizer_dir);
  if (!tokenizer.ok()) {
    return tokenizer.status().In(Printable(out->config_path, 400) +
                                 ": model.tokenizer_dir");
  }
  out->tokenizer_dir = *tokenizer;
  return OkStatus();
}

Status ReadPlain(const LogSink& log, ModelFolder* out) {
  out->config_path = out->folder + "/" + kHfConfig;
  SLM_ASSIGN_OR_RETURN(const JsonDocument document,
                       LoadJsonObject(out->config_path));
  const std::string path = out->folder + "/generation_config.json";
  if (!IsFile(path)) {
    SLM_ASSIGN_OR_RETURN(
        out->config,
        ParseHfConfig(document.root(), out->config_path, nullptr, path, log));
    return OkStatus();
  }
  SLM_ASSIGN_OR_RETURN(const JsonDocument generation, LoadJsonObject(path));
  SLM_ASSIGN_OR_RETURN(out->config,
                       ParseHfConfig(document.root(), out->config_path,
                                     &generation.root(), path, log));
  return OkStatus();
}

}  // namespace

Result<ModelFolder> OpenFolder(const std::string& model,
                               const OpenOptions& options) {
  SLM_ASSIGN_OR_RETURN(const Place place, Locate(model));
  ModelFolder out;
  out.folder = place.folder;
  out.tokenizer_dir = place.folder;
  out.onnx_path = place.onnx_path;
  out.has_genai_config = Has(place.folder, kGenAiConfig);
  // Foundry's downloader leaves the mark until all files are there.
  if (Has(place.folder, "download.tmp")) {
    return Error(ErrorKind::kNotFound,
                 "%s: download.tmp is there: the download is not complete",
                 Shown(place.folder).c_str());
  }
  SLM_RETURN_IF_ERROR(out.has_genai_config ? ReadGenAi(options.log, &out)
                                           : ReadPlain(options.log, &out));
  if (!IsFile(out.onnx_path)) {
    return NotFound(out.folder, out.config.decoder.filename);
  }
  SLM_RETURN_IF_ERROR(ReadExtras(place, options.log, &out));
  // Again, as the weaker files may have brought values.
  FinishSearch(out.folder, options.log, &out.config);
  out.tokenizer_path = out.tokenizer_dir + "/tokenizer.json";
  if (!IsFile(out.tokenizer_path)) {
    return NotFound(out.tokenizer_dir, "tokenizer.json");
  }
  SLM_ASSIGN_OR_RETURN(out.tokenizer,
                       LoadTokenizerConfig(out.tokenizer_dir, options.log));
  SLM_ASSIGN_OR_RETURN(
      out.chat_template,
      FindTemplate(out.tokenizer_dir, out.tokenizer, options.template_order));
  return out;
}

}  // namespace slm
