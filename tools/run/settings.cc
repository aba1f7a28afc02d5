// SPDX-License-Identifier: MIT
// Flags that do not stand on the command line: SLM_<FLAG> of the environment,
// and a file of them.
#include <algorithm>
#include <charconv>
#include <cinttypes>

#include "loader/json.h"
#include "tools/run/flags.h"
#include "tools/run/options_parts.h"

namespace slm {
namespace {

// What is asked for once is no setting; nor is a model, since all words would
// be its prompt then.
constexpr std::string_view kNoSettings[] = {
    "model", "file",   "show-prompt", "print-config", "yes",
    "help",  "config", "help-all",    "version"};

bool IsSetting(std::string_view flag) {
  return std::find(std::begin(kNoSettings), std::end(kNoSettings), flag) ==
         std::end(kNoSettings);
}

// "top-p" is SLM_TOP_P.
std::string VariableOf(std::string_view flag) {
  std::string name = "SLM_";
  for (const char c : flag) {
    name +=
        c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  }
  return name;
}

// A flag without a value is on or off.
Status AddSetting(const RunFlag& flag, std::string value, std::string source,
                  std::vector<Setting>* settings) {
  const std::string name(LongName(flag));
  if (flag.value[0] != '\0') {
    settings->push_back({name, std::move(value), std::move(source)});
    return OkStatus();
  }
  const bool on = value == "1" || value == "on" || value == "true";
  if (!on && value != "0" && value != "off" && value != "false") {
    return Usage("%s: %s is \"%s\", must be on or off", source.c_str(),
                 name.c_str(), Printable(value).c_str());
  }
  if (on) settings->push_back({name, "", std::move(source)});
  return OkStatus();
}

Status NoValue(const RunFlag& flag, const char* type, const std::string& path) {
  return Usage("%s: %s is of type %s, which it cannot be", path.c_str(),
               std::string(LongName(flag)).c_str(), type);
}

Status AddJson(const RunFlag& flag, const JsonValue& value,
               const std::string& path, std::vector<Setting>* settings) {
  char text[64];
  switch (value.type()) {
    case JsonValue::Type::kString:
      return AddSetting(flag, std::string(value.String()), path, settings);
    case JsonValue::Type::kBool:
      return AddSetting(flag, value.Bool() ? "on" : "off", path, settings);
    case JsonValue::Type::kInt:
      return AddSetting(flag, Format("%" PRId64, value.Int()), path, settings);
    case JsonValue::Type::kDouble: {
      const auto end =
          std::to_chars(text, text + sizeof text, value.Double()).ptr;
      return AddSetting(flag, std::string(text, end), path, settings);
    }
    case JsonValue::Type::kArray:
      if (!IsList(flag)) break;
      for (const JsonValue& item : value.Items()) {
        if (!item.IsString()) {
          return NoValue(flag, "array of no strings", path);
        }
        SLM_RETURN_IF_ERROR(
            AddSetting(flag, std::string(item.String()), path, settings));
      }
      return OkStatus();
    default:
      break;
  }
  return NoValue(flag, value.TypeName(), path);
}

// {"temp": 0.2, "top-p": 0.9, "stop": ["a", "b"]}
Result<std::vector<Setting>> FromFile(const std::string& path) {
  SLM_ASSIGN_OR_RETURN(const JsonDocument document, JsonDocument::Load(path));
  const std::string shown = Printable(path, 400);
  if (!document.root().IsObject()) {
    return Usage("%s: must be a JSON object of flags, as in {\"temp\": 0.2}",
                 shown.c_str());
  }
  std::vector<Setting> settings;
  for (const JsonMember& member : document.root().Members()) {
    std::string name(member.key);
    std::replace(name.begin(), name.end(), '_', '-');
    const RunFlag* flag = FindFlag(name);
    if (!flag || !IsSetting(name)) {
      return Usage("%s: \"%s\" is no flag that a file may set", shown.c_str(),
                   Printable(member.key).c_str());
    }
    SLM_RETURN_IF_ERROR(AddJson(*flag, member.value, shown, &settings));
  }
  return settings;
}

Result<std::vector<Setting>> FromEnvironment(const Variables& variables) {
  std::vector<Setting> settings;
  for (const RunFlag& flag : RunFlags()) {
    if (!IsSetting(LongName(flag))) continue;
    const std::string variable = VariableOf(LongName(flag));
    std::string value = variables(variable.c_str());
    if (value.empty()) continue;
    SLM_RETURN_IF_ERROR(
        AddSetting(flag, std::move(value), variable, &settings));
  }
  return settings;
}

bool Has(const std::vector<Setting>& settings, const std::string& flag) {
  return std::any_of(settings.begin(), settings.end(),
                     [&](const Setting& s) { return s.flag == flag; });
}

// A failure that names a flag says where that was set.
Status WithSources(const Status& status, const std::vector<Setting>& settings) {
  std::string sources;
  for (const Setting& s : settings) {
    const bool named =
        status.message().find("--" + s.flag) != std::string::npos;
    if (!named || sources.find(s.source) != std::string::npos) continue;
    sources += (sources.empty() ? "" : ", ") + s.source;
  }
  if (sources.empty()) return status;
  return Status(status.kind(), status.message() + " (set by " + sources + ")");
}

}  // namespace

Result<RunOptions> ReadRunOptions(std::span<const std::string> args,
                                  const Variables& variables) {
  SLM_ASSIGN_OR_RETURN(RunOptions given, ParseRunOptions(args));
  if (given.action == RunAction::kHelp || given.action == RunAction::kHelpAll ||
      given.action == RunAction::kVersion) {
    return given;
  }
  std::vector<Setting> file;
  const std::string path = given.config.value_or(variables("SLM_CONFIG"));
  if (!path.empty()) {
    SLM_ASSIGN_OR_RETURN(file, FromFile(path));
  }
  SLM_ASSIGN_OR_RETURN(std::vector<Setting> settings,
                       FromEnvironment(variables));
  const std::vector<Setting> environment = settings;
  for (Setting& s : file) {
    if (!Has(environment, s.flag)) settings.push_back(std::move(s));
  }
  // The command line wins, and a verb takes few of them.
  std::erase_if(settings, [&](const Setting& s) {
    return Has(given.settings, s.flag) || (given.action != RunAction::kRun &&
                                           !TakesFlag(given.action, s.flag));
  });
  if (settings.empty()) return given;
  std::vector<std::string> all;
  for (const Setting& s : settings) {
    all.push_back("--" + s.flag +
                  (FindFlag(s.flag)->value[0] ? "=" + s.value : ""));
  }
  all.insert(all.end(), args.begin(), args.end());
  Result<RunOptions> options = ParseRunOptions(all);
  if (!options.ok()) return WithSources(options.status(), settings);
  settings.insert(settings.end(), given.settings.begin(), given.settings.end());
  options->settings = std::move(settings);
  return options;
}

}  // namespace slm
