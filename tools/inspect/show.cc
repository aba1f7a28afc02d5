// SPDX-License-Identifier: MIT
// graph, plan, ops, memory: what a model is made of.
#include <cstdio>
#include <map>
#include <set>

#include "loader/onnx_graph.h"
#include "runtime/memory_plan.h"
#include "tools/inspect/arguments.h"
#include "tools/inspect/open.h"

namespace slm::inspect {
namespace {

std::string Describe(const Value& value) {
  std::string text = value.dtype ? Name(*value.dtype) : "?";
  if (value.constant) return text + " " + value.constant->shape.ToString();
  if (!value.shape) return text;
  text += " [";
  for (size_t i = 0; i < value.shape->size(); ++i) {
    const Dim& dim = (*value.shape)[i];
    if (i) text += ", ";
    text += dim.size >= 0         ? std::to_string(dim.size)
            : dim.symbol.empty() ? "?"
                                 : Printable(dim.symbol);
  }
  return text + "]";
}

std::string NameOf(const Graph& graph, ValueId id) {
  return id == kNoValue ? "-" : Printable(graph.values[id].name);
}

void PrintNode(const Graph& graph, const Node& node) {
  std::printf("%s%s%s \"%s\"\n", node.domain.c_str(),
              node.domain.empty() ? "" : "::", Printable(node.type).c_str(),
              Printable(node.name).c_str());
  for (ValueId id : node.inputs) {
    std::printf("    <- %s%s%s\n", NameOf(graph, id).c_str(),
                id == kNoValue ? "" : " ",
                id == kNoValue ? "" : Describe(graph.values[id]).c_str());
  }
  for (ValueId id : node.outputs) {
    std::printf("    -> %s\n", NameOf(graph, id).c_str());
  }
}

void PrintGraph(const Graph& graph) {
  for (ValueId id : graph.inputs) {
    std::printf("input  %s %s\n", NameOf(graph, id).c_str(),
                Describe(graph.values[id]).c_str());
  }
  for (const Node& node : graph.nodes) PrintNode(graph, node);
  for (ValueId id : graph.outputs) {
    std::printf("output %s %s\n", NameOf(graph, id).c_str(),
                Describe(graph.values[id]).c_str());
  }
}

std::string VersionRange(const OpDef& op) {
  return std::to_string(op.since) + "-" +
         (op.until == kLatestOpset ? "" : std::to_string(op.until));
}

void PrintOps(bool markdown) {
  if (markdown) std::printf("| domain | operators |\n|---|---|\n");
  std::map<std::string, std::set<std::string>> by_domain;
  for (std::span<const OpDef> family : OpFamilies()) {
    for (const OpDef& op : family) {
      if (op.domain == "slm") continue;  // made by the plan, in no file
      const std::string domain =
          op.domain.empty() ? "ai.onnx" : std::string(op.domain);
      by_domain[domain].insert(std::string(op.type));
      if (!markdown) {
        std::printf("%-14s %-34.*s %s\n", domain.c_str(),
                    static_cast<int>(op.type.size()), op.type.data(),
                    VersionRange(op).c_str());
      }
    }
  }
  if (!markdown) return;
  for (const auto& [domain, types] : by_domain) {
    std::string list;
    for (const std::string& type : types) {
      list += (list.empty() ? "" : ", ") + type;
    }
    std::printf("| %s | %s |\n", domain.c_str(), list.c_str());
  }
}

}  // namespace

Status ShowGraph(const Arguments& raw) {
  SLM_ASSIGN_OR_RETURN(const auto arguments,
                       ParsedArguments::Parse(raw, "graph MODEL", {}, 1));
  if (arguments.help()) return OkStatus();
  SLM_ASSIGN_OR_RETURN(const auto folder, OpenFolder(arguments[0]));
  SLM_ASSIGN_OR_RETURN(const auto graph, LoadOnnxGraph(folder.onnx_path));
  PrintGraph(*graph);
  return OkStatus();
}

Status ShowPlan(const Arguments& raw) {
  SLM_ASSIGN_OR_RETURN(
      const auto arguments,
      ParsedArguments::Parse(raw, "plan MODEL", kModelOptions, 1));
  if (arguments.help()) return OkStatus();
  SLM_ASSIGN_OR_RETURN(const auto model, OpenModel(arguments));
  const Plan& plan = model->plan();
  for (const FusionNote& note : plan.notes) {
    std::printf("%-20s %-60s %s\n", note.fusion.c_str(),
                Printable(note.node).c_str(), note.outcome.c_str());
  }
  if (plan.ragged) {
    std::printf("mode: ragged, %zu layers of keys and values\n",
                plan.kv_slots.size());
  } else {
    std::printf("mode: dense (%s)\n", plan.dense_reason.c_str());
  }
  if (plan.rope_switch) {
    std::printf("long rope factors above %zu tokens\n", plan.rope_switch);
  }
  PrintGraph(*plan.graph);
  return OkStatus();
}

Status ShowOps(const Arguments& raw) {
  // `ops MODEL` counts a model's operators; `ops` alone lists all that exist.
  const bool list = raw.empty() || raw[0] == "--markdown";
  SLM_ASSIGN_OR_RETURN(
      const auto arguments,
      ParsedArguments::Parse(raw, "ops [MODEL] [--markdown]",
                             {{"markdown", "", "a table for the README"}},
                             list ? 0 : 1));
  if (arguments.help()) return OkStatus();
  if (list) {
    PrintOps(arguments.Has("markdown"));
    return OkStatus();
  }
  SLM_ASSIGN_OR_RETURN(const auto folder, OpenFolder(arguments[0]));
  SLM_ASSIGN_OR_RETURN(const auto graph, LoadOnnxGraph(folder.onnx_path));
  std::map<std::string, std::pair<int, bool>> counts;
  for (const Node& node : graph->nodes) {
    auto& [count, known] = counts[node.domain + (node.domain.empty() ? "" : "::") +
                                  Printable(node.type)];
    ++count;
    known = FindOp(node.domain, node.type, node.version) != nullptr;
  }
  for (const auto& [name, entry] : counts) {
    std::printf("%6d  %s%s\n", entry.first, name.c_str(),
                entry.second ? "" : "  (not supported)");
  }
  return OkStatus();
}

Status ShowMemory(const Arguments& raw) {
  SLM_ASSIGN_OR_RETURN(
      const auto arguments,
      ParsedArguments::Parse(raw, "memory MODEL", kModelOptions, 1));
  if (arguments.help()) return OkStatus();
  SLM_ASSIGN_OR_RETURN(const auto model, OpenModel(arguments));
  SLM_ASSIGN_OR_RETURN(const std::string text, DescribeMemory(*model));
  std::printf("%s", text.c_str());
  return OkStatus();
}

}  // namespace slm::inspect
