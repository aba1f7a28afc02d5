// SPDX-License-Identifier: MIT
#include "tools/run/verbs.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "loader/json.h"
#include "loader/models.h"
#include "runtime/core/cpu.h"
#include "runtime/core/file.h"
#include "runtime/core/memory.h"
#include "runtime/core/terminal.h"
#include "runtime/core/threads.h"
#include "runtime/core/user_folders.h"
#include "slm/slm.hpp"
#include "tools/run/answer.h"

namespace slm {
namespace {

void Print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

double Gib(size_t bytes) {
  return static_cast<double>(bytes) / (size_t{1} << 30);
}

std::string SizeText(uint64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 1000 ? Format("%.1f MiB", mib) : Format("%.2f GiB", mib / 1024);
}

std::string Joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) {
    all += (all.empty() ? "" : ", ") + Printable(text);
  }
  return all;
}

std::string StateText(const FoundModel& model) {
  if (!model.lacks.empty()) return "lacks " + Joined(model.lacks);
  return model.has_inference_model ? "ready"
                                   : "ready; no inference_model.json with Name";
}

void PrintJson(const ModelCatalog& catalog) {
  std::string out = "[";
  for (const FoundModel& model : catalog.models) {
    out += out.size() > 1 ? ",\n {\"id\":" : "\n {\"id\":";
    AppendJsonString(model.Id(), &out);
    out += ",\"name\":";
    AppendJsonString(model.name, &out);
    out += ",\"version\":";
    AppendJsonString(model.version, &out);
    out += ",\"folder\":";
    AppendJsonString(model.folder, &out);
    out += ",\"source\":";
    AppendJsonString(catalog.roots[model.root].source, &out);
    out += Format(",\"bytes\":%llu,\"aliases\":[",
                  static_cast<unsigned long long>(model.bytes));
    for (size_t i = 0; i < model.aliases.size(); ++i) {
      if (i) out += ",";
      AppendJsonString(model.aliases[i], &out);
    }
    out += "],\"lacks\":[";
    for (size_t i = 0; i < model.lacks.size(); ++i) {
      if (i) out += ",";
      AppendJsonString(model.lacks[i], &out);
    }
    out += "]}";
  }
  Print(out + (catalog.models.empty() ? "]\n" : "\n]\n"));
}

void PrintTable(const ModelCatalog& catalog) {
  size_t width = 4;
  for (const FoundModel& m : catalog.models) {
    width = std::max(width, std::min<size_t>(m.Label().size(), 40));
  }
  const int w = static_cast<int>(width);
  Print(Format("%-*s  %10s  %s\n", w, "NAME", "SIZE", "STATE AND FOLDER"));
  for (const FoundModel& m : catalog.models) {
    Print(Format("%-*s  %10s  %s\n%*s  %10s  %s\n", w,
                 Printable(m.Label()).c_str(), SizeText(m.bytes).c_str(),
                 StateText(m).c_str(), w, "", "",
                 Printable(m.folder, 400).c_str()));
  }
}

void PrintNotes(const ModelCatalog& catalog, const RunOptions& options) {
  if (options.quiet) return;
  for (const std::string& note : catalog.notes) {
    std::fprintf(stderr, "slm-run: note: %s\n", note.c_str());
  }
}

int List(const RunOptions& options) {
  const ModelCatalog catalog = FindModels(ModelRoots(options.models_dir));
  PrintNotes(catalog, options);
  if (options.output == OutputFormat::kJson) {
    PrintJson(catalog);
    return 0;
  }
  if (!catalog.models.empty()) {
    PrintTable(catalog);
    return 0;
  }
  if (options.quiet) return 0;
  std::fprintf(stderr, "slm-run: no models in\n");
  for (const ModelRoot& root : catalog.roots) {
    std::fprintf(stderr, "  %s (%s)%s\n", Printable(root.folder, 400).c_str(),
                 root.source.c_str(),
                 IsFolder(root.folder) ? "" : ": no such folder");
  }
  return 0;
}

Result<int> CacheCd(const RunOptions& options) {
  SLM_RETURN_IF_ERROR(SetCacheFolder(options.model));
  const std::string folder = GetCacheFolder().folder;
  if (!options.quiet) {
    std::fprintf(stderr, "slm-run: models are looked for below %s%s\n",
                 Printable(folder, 400).c_str(),
                 IsFolder(folder) ? "" : " (there is no such folder yet)");
  }
  return 0;
}

int CacheLocation(const RunOptions& options) {
  const CacheFolder cache = GetCacheFolder();
  if (options.output != OutputFormat::kJson) {
    Print(cache.folder + "\n");
    return 0;
  }
  std::string out = "{\"path\":";
  AppendJsonString(cache.folder, &out);
  Print(out + ",\"userSet\":" + (cache.user_set ? "true" : "false") + "}\n");
  return 0;
}

bool Confirmed(const std::string& question) {
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  const int answer = std::getc(stdin);
  return answer == 'y' || answer == 'Y';
}

// A model by its name only, below one of the roots only.
Result<int> CacheRemove(const RunOptions& options) {
  ModelCatalog catalog = FindModels(ModelRoots(options.models_dir));
  // What lacks files can be removed, too.
  for (FoundModel& model : catalog.models) model.lacks.clear();
  SLM_ASSIGN_OR_RETURN(const FoundModel model,
                       PickModel(catalog, options.model));
  const std::string root = catalog.roots[model.root].folder;
  const std::string real = RealPath(model.folder);
  if (real.size() <= root.size() + 1 ||
      real.compare(0, root.size() + 1, root + "/") != 0) {
    return Usage(
        "cache rm: \"%s\" is a link to \"%s\", which is outside of "
        "\"%s\"; remove it yourself",
        Printable(model.folder, 400).c_str(), Printable(real, 400).c_str(),
        Printable(root, 400).c_str());
  }
  if (!options.yes) {
    if (!IsTerminal(stdin)) {
      return Usage("cache rm: would remove \"%s\"; --yes says that it may",
                   Printable(real, 400).c_str());
    }
    if (!Confirmed(Format("remove %s with all that is in it (%s)?",
                          Printable(real, 400).c_str(),
                          SizeText(model.bytes).c_str()))) {
      return 1;
    }
  }
  SLM_RETURN_IF_ERROR(RemoveFolder(real));
  if (!options.quiet) {
    std::fprintf(stderr, "slm-run: removed %s\n", Printable(real, 400).c_str());
  }
  return 0;
}

void LogWarnings(void* user, slm_log_level level, const char* message) {
  const bool quiet = static_cast<const RunOptions*>(user)->quiet;
  if (level > SLM_LOG_WARN || quiet) return;
  std::fprintf(stderr, "slm-run: warning: %s\n", message);
}

Result<int> Info(const RunOptions& options) {
  SLM_ASSIGN_OR_RETURN(const std::string path,
                       ResolveModel(options.model, options.models_dir));
  slm_error error;
  if (slm_init(&error) != SLM_OK) {
    return Status(static_cast<ErrorKind>(error.status), error.message);
  }
  slm_model_params params;
  slm_model_params_init(&params);
  params.path = path.c_str();
  params.log = LogWarnings;
  params.log_user = const_cast<RunOptions*>(&options);
  api::ModelPtr model;
  SLM_RETURN_IF_ERROR(StatusOf(api::OpenModel(params, &model)));
  slm_model_info info;
  slm_model_get_info(model.get(), &info);
  std::string memory;
  SLM_RETURN_IF_ERROR(StatusOf(api::Memory(model.get(), &memory)));
  Print(Format(
      "model     %s\nfolder    %s\ntype      %s\ncontext   %zu "
      "tokens\nwords     %zu in the vocabulary\ntemplate  %s\n%s",
      Printable(options.model, 400).c_str(),
      Printable(RealPath(path), 400).c_str(), info.type, info.context_length,
      info.vocab_size, info.template_file[0] ? info.template_file : "none",
      memory.c_str()));
  return 0;
}

void PrintMachine() {
  const SystemMemory memory = GetSystemMemory();
  Print(
      Format("slm-run   %s\nCPU       %s, %zu cores for this process\n"
             "SIMD      %s (this CPU and program have %s)\n"
             "memory    %.1f GiB, %.1f GiB available\n",
             slm_version(), CpuName().c_str(), AvailableCores(),
             CurrentTarget().c_str(), Joined(UsableTargets()).c_str(),
             Gib(memory.total), Gib(memory.available)));
}

// Folders, and what is wrong with the models in them.
void PrintModels(const RunOptions& options) {
  const ModelCatalog catalog = FindModels(ModelRoots(options.models_dir));
  for (size_t i = 0; i < catalog.roots.size(); ++i) {
    size_t all = 0, ready = 0;
    for (const FoundModel& model : catalog.models) {
      if (model.root != i) continue;
      ++all;
      if (model.lacks.empty()) ++ready;
    }
    const ModelRoot& root = catalog.roots[i];
    Print(Format(
        "models    %s (%s): %s\n", Printable(root.folder, 400).c_str(),
        root.source.c_str(),
        IsFolder(root.folder)
            ? Format("%zu, of which %zu lack files", all, all - ready).c_str()
            : "no such folder"));
  }
  for (const FoundModel& model : catalog.models) {
    if (model.lacks.empty()) continue;
    Print(Format(
        "problem   %s in %s lacks %s\n", Printable(model.Label()).c_str(),
        Printable(model.folder, 400).c_str(), Joined(model.lacks).c_str()));
  }
  PrintNotes(catalog, options);
}

Result<int> Doctor(const RunOptions& options) {
  SLM_RETURN_IF_ERROR(InitTargets());
  PrintMachine();
  if (!options.model.empty()) return Info(options);
  PrintModels(options);
  return 0;
}

}  // namespace

Result<int> RunVerb(const RunOptions& options) {
  switch (options.action) {
    case RunAction::kList:
      return List(options);
    case RunAction::kInfo:
      return Info(options);
    case RunAction::kDoctor:
      return Doctor(options);
    case RunAction::kCacheCd:
      return CacheCd(options);
    case RunAction::kCacheLocation:
      return CacheLocation(options);
    case RunAction::kCacheRemove:
      return CacheRemove(options);
    default:
      break;
  }
  return Usage("not a verb");
}

}  // namespace slm
