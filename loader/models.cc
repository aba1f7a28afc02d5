// SPDX-License-Identifier: MIT
#include "loader/models.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "loader/json.h"
#include "runtime/core/file.h"
#include "runtime/core/user_folders.h"

namespace slm {
namespace {

constexpr const char* kInferenceModel = "inference_model.json";
constexpr const char* kGenAiConfig = "genai_config.json";
constexpr const char* kUnfinished = "download.tmp";
constexpr const char* kCatalogue = "foundry.modelinfo.json";

// Foundry nests three levels (publisher, model, variant).
constexpr size_t kMostLevels = 6;
constexpr size_t kMostFolders = 5000;   // below one root
constexpr size_t kMostEntries = 10000;  // of one folder
constexpr size_t kMostJsonBytes = size_t{8} << 20;
constexpr size_t kNamesShown = 8;

std::string SettingPath() {
  const std::string folder = ConfigFolder();
  return folder.empty() ? "" : folder + "/models-dir";
}

std::string FoundryCache() {
  const std::string home = HomeFolder();
  return home.empty() ? "" : home + "/.foundry/cache/models";
}

std::string BaseName(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

bool Has(const std::string& folder, const char* name) {
  return IsFile(folder + "/" + name);
}

std::string Shown(const std::string& text) { return Printable(text, 400); }

// A name of a folder that says nothing of its model.
bool IsVariantName(const std::string& name) {
  return name == "onnx" ||
         (name.size() > 1 && name[0] == 'v' &&
          name.find_first_not_of("0123456789", 1) == std::string::npos);
}

// A string of a JSON file, "" if the file or the value is not as it should.
std::string StringOf(const std::string& path,
                     std::initializer_list<const char*> keys) {
  Result<std::string> text = ReadFile(path, kMostJsonBytes);
  if (!text.ok()) return "";
  const Result<JsonDocument> document =
      JsonDocument::Parse(std::move(text).value());
  if (!document.ok()) return "";
  const JsonValue* value = &document->root();
  for (const char* key : keys) {
    value = value->Find(key);
    if (!value) return "";
  }
  return value->IsString() ? std::string(value->String()) : "";
}

// Aliases by id, as the catalogue that Foundry leaves in its cache has them:
// {"models": [{"id": "...", "alias": "..."}]} or the list alone.
using Aliases = std::map<std::string, std::string>;

Aliases ReadAliases(const std::string& root) {
  Aliases aliases;
  Result<std::string> text = ReadFile(root + "/" + kCatalogue, kMostJsonBytes);
  if (!text.ok()) return aliases;
  const Result<JsonDocument> document =
      JsonDocument::Parse(std::move(text).value());
  if (!document.ok()) return aliases;
  const JsonValue* list = &document->root();
  if (list->IsObject()) list = list->Find("models");
  if (!list || !list->IsArray()) return aliases;
  for (const JsonValue& model : list->Items()) {
    const JsonValue* id = model.Find("id");
    const JsonValue* alias = model.Find("alias");
    if (!id || !id->IsString() || !alias || !alias->IsString()) continue;
    aliases[std::string(id->String())] = std::string(alias->String());
  }
  return aliases;
}

// Files without which the folder cannot run.
std::vector<std::string> Lacking(const std::string& folder) {
  std::vector<std::string> lacks;
  std::string graph = "model.onnx";
  if (!Has(folder, kGenAiConfig)) {
    lacks.push_back(kGenAiConfig);
  } else {
    const std::string named =
        StringOf(folder + "/" + kGenAiConfig, {"model", "decoder", "filename"});
    if (!named.empty()) graph = named;
  }
  const Result<std::string> path = JoinInside(folder, graph);
  if (!path.ok() || !IsFile(*path)) lacks.push_back(Printable(graph));
  const std::string inner =
      StringOf(folder + "/" + kGenAiConfig, {"model", "tokenizer_dir"});
  const Result<std::string> tokenizer =
      JoinInside(folder, inner.empty() ? "." : inner);
  if (!tokenizer.ok() || !Has(*tokenizer, "tokenizer.json")) {
    lacks.push_back("tokenizer.json");
  }
  return lacks;
}

// Looks below one root, at most kMostLevels deep.
class Scan {
 public:
  Scan(const std::string& root, size_t index, ModelCatalog* out)
      : index_(index), aliases_(ReadAliases(root)), out_(out) {
    bool any = false;
    if (Has(root, kGenAiConfig)) {
      Note(root, "is itself a model: names are those of folders below it");
    }
    Enter(root, 0, "", &any);
  }

 private:
  // `outer` is the name that a folder above gives, `*any` becomes true when
  // there is a model in here.
  void Enter(const std::string& folder, size_t level, const std::string& outer,
             bool* any) {
    if (!seen_.insert(RealPath(folder)).second) return;
    if (++folders_ > kMostFolders) {
      if (folders_ == kMostFolders + 1) {
        Note(folder, Format("more than %zu folders, the rest is left out",
                            kMostFolders));
      }
      return;
    }
    const FolderEntries entries = ListEntries(folder, kMostEntries);
    if (!entries.readable) return Note(folder, "cannot be read");
    if (entries.cut) {
      Note(folder,
           Format("more than %zu entries, the rest is left out", kMostEntries));
    }
    const bool root = level == 0;
    if (!root && Has(folder, kUnfinished)) {
      return Note(folder,
                  "download.tmp is there: the download is not complete");
    }
    const bool named = !root && Has(folder, kInferenceModel);
    const bool plain =
        Has(folder, "config.json") &&
        (Has(folder, "model.onnx") || Has(folder, "onnx/model.onnx"));
    if (!root && (Has(folder, kGenAiConfig) || plain)) {
      *any = true;
      return Add(folder, outer, plain && !Has(folder, kGenAiConfig));
    }
    const std::string name =
        named ? StringOf(folder + "/" + kInferenceModel, {"Name"}) : outer;
    bool inside = false;
    for (const std::string& entry : entries.names) {
      if (entry[0] == '.' || !IsFolder(folder + "/" + entry)) continue;
      if (level >= kMostLevels) {
        Note(folder,
             Format("more than %zu levels deep, not looked into", kMostLevels));
        break;
      }
      Enter(folder + "/" + entry, level + 1, name, &inside);
    }
    if (named && !inside) {
      Add(folder, "", false);
      inside = true;
    }
    *any = *any || inside;
  }

  void Add(const std::string& folder, const std::string& outer, bool plain) {
    FoundModel model;
    model.folder = folder;
    model.root = index_;
    const std::string own = StringOf(folder + "/" + kInferenceModel, {"Name"});
    std::string name = own.empty() ? outer : own;
    model.has_inference_model = !name.empty();
    std::string shown = BaseName(folder);
    if (IsVariantName(shown)) {
      shown = BaseName(folder.substr(0, folder.rfind('/')));
    }
    if (name.empty()) {
      name = shown;
    } else {
      model.aliases.push_back(shown);
    }
    const size_t colon = name.rfind(':');
    model.name = name.substr(0, colon);
    if (colon != std::string::npos) model.version = name.substr(colon + 1);
    if (!plain) model.lacks = Lacking(folder);
    const auto alias = aliases_.find(model.Id());
    if (alias != aliases_.end()) model.aliases.push_back(alias->second);
    for (const std::string& entry : ListEntries(folder, kMostEntries).names) {
      model.bytes += FileBytes(folder + "/" + entry);
    }
    out_->models.push_back(std::move(model));
  }

  void Note(const std::string& folder, const std::string& what) {
    if (out_->notes.size() >= kMostNotes) return;
    out_->notes.push_back("\"" + Shown(folder) + "\": " + what);
  }

  static constexpr size_t kMostNotes = 50;
  const size_t index_;
  const Aliases aliases_;
  ModelCatalog* out_;
  std::set<std::string> seen_;
  size_t folders_ = 0;
};

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// Digits compare as numbers: 10 is after 9.
std::tuple<size_t, std::string> VersionKey(const std::string& version) {
  const size_t zeros = std::min(version.find_first_not_of('0'), version.size());
  const std::string rest = version.substr(zeros);
  const bool number = rest.find_first_not_of("0123456789") == std::string::npos;
  return {number ? rest.size() : 0, rest};
}

// 0 is the best way to fit; kNoFit does not.
constexpr int kNoFit = 9;

int Fit(const FoundModel& model, const std::string& wanted, bool fold) {
  const auto same = [&](const std::string& text) {
    return fold ? Lower(text) == Lower(wanted) : text == wanted;
  };
  if (same(model.Id()) || same(model.Label())) return 0;
  if (same(model.name)) return 1;
  for (const std::string& alias : model.aliases) {
    if (same(alias)) return 2;
  }
  return kNoFit;
}

Status CannotRun(const FoundModel& model) {
  std::string files;
  for (const std::string& file : model.lacks) {
    files += (files.empty() ? "" : ", ") + file;
  }
  return Error(ErrorKind::kNotFound,
               "model \"%s\": its folder \"%s\" lacks %s; put the files of the "
               "converted model there",
               Printable(model.Label()).c_str(), Shown(model.folder).c_str(),
               files.c_str());
}

Status NoSuchModel(const ModelCatalog& catalog, const std::string& name) {
  std::string known;
  for (size_t i = 0; i < catalog.models.size() && i < kNamesShown; ++i) {
    known += (i ? ", " : "") + Printable(catalog.models[i].Label());
  }
  if (catalog.models.size() > kNamesShown) known += ", ...";
  return Error(ErrorKind::kNotFound,
               "cannot open model \"%s\": no such folder, and no model of that "
               "name is known (known: %s); slm-run list shows them",
               Shown(name).c_str(), known.empty() ? "none" : known.c_str());
}

}  // namespace

std::string FoundModel::Id() const {
  return name + ":" + (version.empty() ? "0" : version);
}

std::string FoundModel::Label() const {
  return version.empty() ? name : name + ":" + version;
}

CacheFolder GetCacheFolder() {
  const std::string path = SettingPath();
  if (!path.empty() && IsFile(path)) {
    const Result<std::string> text = ReadFile(path, 1 << 16);
    if (text.ok()) {
      const std::string folder = text->substr(0, text->find('\n'));
      if (!folder.empty() && folder[0] == '/') return {folder, true};
    }
  }
  return {FoundryCache(), false};
}

Status SetCacheFolder(const std::string& folder) {
  const std::string path = SettingPath();
  if (path.empty()) {
    return Error(ErrorKind::kRuntime,
                 "cache cd: HOME and XDG_CONFIG_HOME are not set, so there is "
                 "no place to keep the setting; use SLM_MODELS");
  }
  const std::string real = RealPath(folder);
  if (real.find('\n') != std::string::npos) {
    return Usage("cache cd: the folder's name has a newline");
  }
  SLM_RETURN_IF_ERROR(MakePrivateFolder(ConfigFolder()));
  return WritePrivateFile(path, real + "\n");
}

std::vector<ModelRoot> ModelRoots(
    const std::optional<std::string>& models_dir) {
  std::vector<ModelRoot> roots;
  const auto add = [&](const std::string& folder, const char* source) {
    if (folder.empty()) return;
    const std::string real = RealPath(folder);
    for (const ModelRoot& root : roots) {
      if (root.folder == real) return;
    }
    roots.push_back({real, source});
  };
  if (models_dir) add(*models_dir, "--models-dir");
  const std::string list = Environment("SLM_MODELS");
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(':', begin), list.size());
    add(list.substr(begin, end - begin), "SLM_MODELS");
    begin = end + 1;
  }
  const CacheFolder cache = GetCacheFolder();
  if (cache.user_set) add(cache.folder, "cache cd");
  add(FoundryCache(), "Foundry cache");
  add("models", "./models");
  return roots;
}

ModelCatalog FindModels(const std::vector<ModelRoot>& roots) {
  ModelCatalog catalog;
  catalog.roots = roots;
  for (size_t i = 0; i < roots.size(); ++i) {
    if (IsFolder(roots[i].folder)) Scan(roots[i].folder, i, &catalog);
  }
  std::stable_sort(catalog.models.begin(), catalog.models.end(),
                   [](const FoundModel& a, const FoundModel& b) {
                     return std::tie(a.root, a.name) < std::tie(b.root, b.name);
                   });
  return catalog;
}

Result<FoundModel> PickModel(const ModelCatalog& catalog,
                             const std::string& name) {
  std::vector<const FoundModel*> found;
  for (const bool fold : {false, true}) {
    int best = kNoFit;
    for (const FoundModel& model : catalog.models) {
      const int fit = Fit(model, name, fold);
      if (fit > best || fit == kNoFit) continue;
      if (fit < best) found.clear();
      best = fit;
      found.push_back(&model);
    }
    if (!found.empty()) break;
  }
  if (found.empty()) return NoSuchModel(catalog, name);
  // One that runs before one that does not, then the first root, then the
  // highest version.
  const auto key = [](const FoundModel* m) {
    return std::tuple(!m->lacks.empty(), m->root);
  };
  std::stable_sort(found.begin(), found.end(),
                   [&](const FoundModel* a, const FoundModel* b) {
                     if (key(a) != key(b)) return key(a) < key(b);
                     return VersionKey(a->version) > VersionKey(b->version);
                   });
  const FoundModel& first = *found[0];
  for (size_t i = 1; i < found.size(); ++i) {
    const FoundModel& other = *found[i];
    if (key(&other) != key(&first)) break;
    if (other.name == first.name && other.Id() != first.Id()) continue;
    return Usage(
        "\"%s\" is the name of several models: \"%s\" (%s) and \"%s\" "
        "(%s); pass the folder",
        Shown(name).c_str(), Shown(first.folder).c_str(),
        Printable(first.Id()).c_str(), Shown(other.folder).c_str(),
        Printable(other.Id()).c_str());
  }
  if (!first.lacks.empty()) return CannotRun(first);
  return first;
}

Result<std::string> ResolveModel(const std::string& model,
                                 const std::optional<std::string>& models_dir) {
  const bool has_slash = model.find('/') != std::string::npos;
  if (has_slash || model == "." || model == ".." || IsFile(model) ||
      Has(model, kGenAiConfig) || Has(model, "config.json")) {
    return model;
  }
  Result<FoundModel> found =
      PickModel(FindModels(ModelRoots(models_dir)), model);
  if (found.ok()) return std::move(found).value().folder;
  // A folder of that name may be a Foundry download with a variant inside;
  // what it lacks is told by the loader.
  if (IsFolder(model)) return model;
  return found.status();
}

}  // namespace slm
