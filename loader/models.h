// SPDX-License-Identifier: MIT
// Models by name: the folders where users keep them, nested as Foundry Local
// nests them, and the one that a name means. Nothing here uses the network.
#ifndef SLM_LOADER_MODELS_H_
#define SLM_LOADER_MODELS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/result.h"

namespace slm {

// A folder below which models are looked for, and who named it.
struct ModelRoot {
  std::string folder;  // absolute
  std::string source;  // "SLM_MODELS"
};

// In the order in which names are looked up: --models-dir, the folders of
// SLM_MODELS (parted by ':'), the folder of `cache cd`, Foundry Local's own
// cache, ./models. Each once; they need not exist.
std::vector<ModelRoot> ModelRoots(const std::optional<std::string>& models_dir);

// The folder of `cache cd`; Foundry's cache if none was set.
struct CacheFolder {
  std::string folder;
  bool user_set = false;
};
CacheFolder GetCacheFolder();
// Kept in the user's configuration folder. It need not exist yet.
Status SetCacheFolder(const std::string& folder);

struct FoundModel {
  std::string name;     // of inference_model.json, or the folder's
  std::string version;  // "3" of "phi-4-mini:3"; "" where there is none
  std::string folder;   // absolute
  size_t root = 0;      // index into the roots
  bool has_inference_model = false;
  std::vector<std::string> aliases;  // of Foundry's catalogue, and the folder's
  // Files that it needs and lacks, as "model.onnx"; then it cannot run.
  std::vector<std::string> lacks;
  uint64_t bytes = 0;  // of the files in the folder

  // "NAME:VERSION"; Foundry's rule gives models without a version 0.
  std::string Id() const;
  // As its file has it, for a reader.
  std::string Label() const;
};

struct ModelCatalog {
  std::vector<ModelRoot> roots;
  std::vector<FoundModel> models;  // by root, then by name
  std::vector<std::string> notes;  // what was left out, and why
};

// Looks below each root, so many levels deep and into so many folders. Links
// are followed, each folder is looked at once. The root itself is no model.
ModelCatalog FindModels(const std::vector<ModelRoot>& roots);

// The one model that a name means: an id, a name (its highest version), an
// alias or a folder's name; without regard to case if nothing else fits.
// kNotFound if there is none or it lacks files, kUsage if there are several.
Result<FoundModel> PickModel(const ModelCatalog& catalog,
                             const std::string& name);

// What a user calls MODEL as a path: what has a slash, is a file or is a model
// folder stays as it is, another word is a name.
Result<std::string> ResolveModel(const std::string& model,
                                 const std::optional<std::string>& models_dir);

}  // namespace slm

#endif  // SLM_LOADER_MODELS_H_
