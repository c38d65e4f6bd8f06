#include "common/command/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "common/base/limits.h"
#include "common/base/text.h"
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

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
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

Result<std::string> readFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Error{ErrorCode::configuration,
                 systemError("cannot open the configuration file " + escaped(path), errno).message};
  }
  std::string text(limits::kConfigBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof())) {
    return Error{ErrorCode::configuration,
                 systemError("cannot read the configuration file " + escaped(path), errno).message};
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > limits::kConfigBytes) {
    return Error{ErrorCode::configuration,
                 fmt::format("{} is larger than a configuration file may be, {}", escaped(path),
                             formatSize(limits::kConfigBytes))};
  }
  return text;
}

Result<void> applyFile(const Program& program, const std::string& path) {
  const auto text = readFile(path);
  if (!text) return text.error();
  std::istringstream lines(*text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const auto refuse = [&](std::string_view why) {
      return Error{ErrorCode::configuration, fmt::format("{}:{}: {}", escaped(path), number, why)};
    };
    const auto content = trimmed(line);
    if (content.empty() || content.front() == '#') continue;
    const auto equals = content.find('=');
    if (equals == std::string_view::npos) {
      return refuse(fmt::format("\"{}\" is not of the form name = value", escaped(content)));
    }
    const auto name = trimmed(content.substr(0, equals));
    const auto value = trimmed(content.substr(equals + 1));
    const Option* option = find(program, name);
    if (option == nullptr || option->onlyFlag) {
      std::vector<std::string> known;
      for (const auto& each : program.options) {
        if (!each.onlyFlag) known.push_back(each.name);
      }
      const auto meant = nearest(name, known);
      return refuse(fmt::format("unknown name \"{}\"{}", escaped(name),
                                meant.empty() ? "" : fmt::format(": did you mean {}?", meant)));
    }
    if (const auto stored = option->store(value); !stored) {
      return refuse(fmt::format("{}: {}", name, stored.error().message));
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
    if (const auto stored = option.store(*value); !stored) {
      return Error{ErrorCode::configuration, fmt::format("{}: {}", name, stored.error().message)};
    }
  }
  return {};
}

Result<void> applyFlags(const Program& program, const Flags& flags) {
  for (const auto& [option, value] : flags.values) {
    if (const auto stored = option->store(value); !stored) {
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
    if (const auto applied = applyFile(program, *config); !applied) return applied.error();
  }
  if (const auto applied = applyEnvironment(program, environment); !applied) return applied.error();
  if (const auto applied = applyFlags(program, *flags); !applied) return applied.error();
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
