// SPDX-License-Identifier: MIT
#include "tools/inspect/open.h"

#include <cstdio>

namespace slm::inspect {

const std::vector<OptionSpec> kModelOptions = {
    {"accuracy", "0|4", "override the nodes' accuracy_level"},
    {"kv", "TYPE", "f32, f16 or int8 keys and values (default f32)"},
    {"chunk", "N", "most prompt tokens in one execution (default 512)"},
    {"threads", "N", "threads (default: all cores)"},
    {"dense", "", "run the graph as it stands"},
};

Result<std::unique_ptr<Model>> OpenModel(const ParsedArguments& arguments) {
  ModelOptions options;
  if (arguments.Has("accuracy")) {
    const std::string level = arguments.Text("accuracy");
    if (level != "0" && level != "4") {
      return Usage("--accuracy = \"%s\", expected 0 or 4",
                   Printable(level).c_str());
    }
    options.accuracy_level = level[0] - '0';
  }
  options.force_dense = arguments.Has("dense");
  options.log = [](LogLevel level, std::string_view message) {
    if (level > LogLevel::kWarn) return;
    std::fprintf(stderr, "slm-inspect: warning: %.*s\n",
                 static_cast<int>(message.size()), message.data());
  };
  return Model::Open(arguments[0], options);
}

Result<Opened> OpenSession(const ParsedArguments& arguments) {
  SessionOptions options;
  const std::string kv = arguments.Text("kv", "f32");
  if (kv == "f16") {
    options.kv_dtype = DType::kF16;
  } else if (kv == "int8") {
    options.kv_dtype = DType::kI8;
  } else if (kv != "f32") {
    return Usage("--kv = \"%s\", expected f32, f16 or int8",
                 Printable(kv).c_str());
  }
  SLM_ASSIGN_OR_RETURN(const int64_t chunk,
                       arguments.Int("chunk", 512, 1, 1 << 16));
  options.prefill_chunk = static_cast<size_t>(chunk);
  SLM_ASSIGN_OR_RETURN(const int64_t threads,
                       arguments.Int("threads", 0, 1, 1024));
  Opened opened;
  SLM_ASSIGN_OR_RETURN(opened.model, OpenModel(arguments));
  opened.threads = std::make_unique<ThreadPool>(static_cast<size_t>(threads));
  opened.session =
      std::make_unique<Session>(opened.model->plan(), opened.model->decoder(),
                                *opened.threads, options);
  return opened;
}

}  // namespace slm::inspect
