// SPDX-License-Identifier: MIT
// slm-inspect: the window for developers and testers.
#include <cstdio>
#include <cstring>

#include "runtime/core/cpu.h"
#include "tools/inspect/commands.h"

namespace slm::inspect {
namespace {

struct Command {
  const char* name;
  const char* usage;
  const char* what;
  Status (*run)(const Arguments&);
};

// In the order in which --help prints them.
constexpr Command kCommands[] = {
    {"graph", "graph MODEL", "nodes and values as the file has them",
     ShowGraph},
    {"plan", "plan MODEL", "fusions, why others did not fire, what runs",
     ShowPlan},
    {"ops", "ops [MODEL] [--markdown]", "operators of a model, or all known",
     ShowOps},
    {"memory", "memory MODEL", "weights, KV cache, scratch", ShowMemory},
    {"logits", "logits MODEL --ids 1,2 --out F.npy", "logits of token ids",
     Logits},
    {"generate", "generate MODEL --ids 1,2 -n N", "greedy continuation",
     Generate},
    {"tokenize", "tokenize DIR", "JSON lines of texts or ids on stdin",
     Tokenize},
    {"template", "template FILE.jinja|-", "JSON lines of chats on stdin",
     Template},
};

void PrintHelp(std::FILE* out) {
  std::fprintf(out,
               "slm-inspect: look inside a model folder.\n"
               "\n"
               "Usage:\n"
               "  slm-inspect COMMAND ...   (COMMAND --help tells more)\n"
               "\n");
  for (const Command& c : kCommands) {
    std::fprintf(out, "  slm-inspect %-37s  %s\n", c.usage, c.what);
  }
}

int Main(int argc, char** argv) {
  if (argc < 2 || !std::strcmp(argv[1], "--help") ||
      !std::strcmp(argv[1], "-h")) {
    PrintHelp(argc < 2 ? stderr : stdout);
    return argc < 2 ? static_cast<int>(ErrorKind::kUsage) : 0;
  }
  Status status = InitTargets();
  const Command* command = nullptr;
  for (const Command& c : kCommands) {
    if (!std::strcmp(c.name, argv[1])) command = &c;
  }
  if (!command) {
    status = Usage("unknown command \"%s\"; slm-inspect --help lists all",
                   Printable(argv[1]).c_str());
  }
  if (status.ok()) status = command->run(Arguments(argv + 2, argv + argc));
  if (!status.ok()) {
    std::fprintf(stderr, "slm-inspect: error: %s\n", status.message().c_str());
  }
  return static_cast<int>(status.kind());
}

}  // namespace
}  // namespace slm::inspect

int main(int argc, char** argv) { return slm::inspect::Main(argc, argv); }
