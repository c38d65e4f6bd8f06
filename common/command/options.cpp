#include "common/command/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "common/base/home.h"
#include "common/base/text.h"
#include "common/command/config_file.h"
#include "common/command/words.h"

namespace espalier::command {
namespace {

std::string flagName(const Option& option) {
  return (option.name.size() == 1 ? "-" : "--") + option.name;
}

const Option* find(const Program& program, std::string_view name) {
  for (const auto& option : program.options) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

// What the command line says, in its order, before anything is stored.
struct Flags {
  std::vector<std::pair<const Option*, std::string>> values;
  std::optional<std::string> positional;
  std::optional<std::string> config;
  bool help = false;
  bool version = false;
};

Error unknownFlag(const Program& program, std::string_view flag) {
  std::vector<std::string> known = {"--help", "--version", "--config"};
  for (const auto& option : program.options) known.push_back(flagName(option));
  const std::string meant = nearest(flag, known);
  return {ErrorCode::usage,
          fmt::format("unknown option {}: {}", escaped(flag),
                      meant.empty() ? fmt::format("{} --help lists them", program.name)
                                    : fmt::format("did you mean {}?", meant))};
}

Result<Flags> readFlags(const Program& program, const std::vector<std::string>& arguments) {
  Flags flags;
  bool onlyValues = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (onlyValues || argument.size() < 2 || argument[0] != '-') {
      if (!program.positional) {
        return Error{ErrorCode::usage,
                     fmt::format("\"{}\" is not expected: {} takes only options, see --help",
                                 escaped(argument), program.name)};
      }
      if (flags.positional) {
        return Error{ErrorCode::usage,
                     fmt::format("\"{}\" is one too many: {} takes one {}, see --help",
                                 escaped(argument), program.name, program.positional->name)};
      }
      flags.positional = argument;
      continue;
    }
    if (argument == "--") {
      onlyValues = true;
      continue;
    }
    if (argument == "-h" || argument == "--help") {
      flags.help = true;
      continue;
    }
    if (argument == "--version") {
      flags.version = true;
      continue;
    }
    const auto equals = argument.starts_with("--") ? argument.find('=') : std::string::npos;
    const std::string flag = argument.substr(0, equals);
    const std::string name = flag.substr(flag.starts_with("--") ? 2 : 1);
    const Option* option = find(program, name);
    const bool config = flag == "--config";
    if (!config && (option == nullptr || flagName(*option) != flag)) {
      return unknownFlag(program, flag);
    }
    std::string value = "yes";
    const bool takesValue = config || !option->valueName.empty();
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (takesValue) {
      if (i + 1 == arguments.size()) {
        return Error{ErrorCode::usage, fmt::format("{} wants a value: {} {}", flag, flag,
                                                   config ? "FILE" : option->valueName)};
      }
      value = arguments[++i];
    }
    if (config) {
      flags.config = value;
    } else {
      flags.values.emplace_back(option, value);
    }
  }
  return flags;
}

// Stores a value from wherever it came; of a path a leading ~/ is expanded first.
Result<void> store(const Option& option, std::string_view value, const Environment& environment) {
  if (!option.isPath) return option.store(value);
  const auto path = expandHome(value, environment("HOME"));
  return path ? option.store(*path) : path.error();
}

Result<void> applyFile(const Program& program, const std::string& path,
                       const Environment& environment) {
  const auto settings = readConfig(path);
  if (!settings) return settings.error();
  for (const auto& [line, name, value] : *settings) {
    const Option* option = find(program, name);
    if (option == nullptr || option->onlyFlag) {
      std::vector<std::string> known;
      for (const auto& each : program.options) {
        if (!each.onlyFlag) known.push_back(each.name);
      }
      const auto meant = nearest(name, known);
      return configError(
          path, line,
          fmt::format("unknown name \"{}\"{}", escaped(name),
                      meant.empty() ? "" : fmt::format(": did you mean {}?", meant)));
    }
    if (const auto stored = store(*option, value, environment); !stored) {
      return configError(path, line, fmt::format("{}: {}", name, stored.error().message));
    }
  }
  return {};
}

Result<void> applyEnvironment(const Program& program, const Environment& environment) {
  for (const auto& option : program.options) {
    if (option.onlyFlag) continue;
    const std::string name = environmentName(option.name);
    const auto value = environment(name);
    if (!value || value->empty()) continue;
    if (const auto stored = store(option, *value, environment); !stored) {
      return Error{ErrorCode::configuration, fmt::format("{}: {}", name, stored.error().message)};
    }
  }
  return {};
}

Result<void> applyFlags(const Program& program, const Flags& flags,
                        const Environment& environment) {
  for (const auto& [option, value] : flags.values) {
    if (const auto stored = store(*option, value, environment); !stored) {
      return Error{ErrorCode::usage,
                   fmt::format("{}: {}", flagName(*option), stored.error().message)};
    }
  }
  if (flags.positional) {
    if (const auto stored = program.positional->store(*flags.positional); !stored) {
      return Error{ErrorCode::usage,
                   fmt::format("{}: {}", program.positional->name, stored.error().message)};
    }
  }
  return {};
}

}  // namespace

Environment processEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

std::string environmentName(std::string_view option) {
  std::string name = "ESPALIER_";
  for (const char c : option) {
    name += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

Result<Parsed> parseOptions(const Program& program, const std::vector<std::string>& arguments,
                            const Environment& environment) {
  auto flags = readFlags(program, arguments);
  if (!flags) return flags.error();
  if (flags->help) return Parsed{helpText(program)};
  if (flags->version) {
    return Parsed{fmt::format("{} (Espalier) {}\n", program.name, ESPALIER_VERSION)};
  }
  auto config = flags->config;
  if (!config) config = environment("ESPALIER_CONFIG");
  if (config && !config->empty()) {
    const auto path = expandHome(*config, environment("HOME"));
    if (!path) {
      return Error{flags->config ? ErrorCode::usage : ErrorCode::configuration,
                   fmt::format("{}: {}", flags->config ? "--config" : "ESPALIER_CONFIG",
                               path.error().message)};
    }
    if (const auto applied = applyFile(program, *path, environment); !applied) {
      return applied.error();
    }
  }
  if (const auto applied = applyEnvironment(program, environment); !applied) return applied.error();
  if (const auto applied = applyFlags(program, *flags, environment); !applied)
    return applied.error();
  return Parsed{};
}

std::string helpText(const Program& program) {
  std::string text =
      fmt::format("{}\n\nExamples:\n{}\nUsage: {} [OPTION]…{}\n", program.summary, program.examples,
                  program.name, program.positional ? " [" + program.positional->name + "]" : "");
  std::vector<std::pair<std::string, std::string>> rows;
  if (program.positional) rows.emplace_back(program.positional->name, program.positional->help);
  for (const auto& option : program.options) {
    std::string left = flagName(option);
    if (!option.valueName.empty()) left += " " + option.valueName;
    std::string right = option.help;
    if (!option.byDefault.empty()) right += fmt::format(" [{}]", option.byDefault);
    rows.emplace_back(std::move(left), std::move(right));
  }
  rows.emplace_back("--config FILE", "options from a file: lines of name = value, # comments");
  rows.emplace_back("--version", "print the version");
  rows.emplace_back("--help", "print this");
  std::size_t width = 0;
  for (const auto& [left, right] : rows) width = std::max(width, left.size());
  for (const auto& [left, right] : rows) {
    text += fmt::format("  {:<{}}  ", left, width);
    for (const char c : right) {
      text += c;
      if (c == '\n') text.append(width + 4, ' ');
    }
    text += '\n';
  }
  text +=
      "\nEvery option but -e can also stand in the file, without its dashes, or in the "
      "environment:\n"
      "ESPALIER_LOG_LEVEL=debug. An option wins over the environment, that over the file.\n";
  if (!program.notes.empty()) text += "\n" + program.notes;
  return text;
}

}  // namespace espalier::command
