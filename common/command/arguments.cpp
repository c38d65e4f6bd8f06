#include "common/command/arguments.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/home.h"
#include "common/base/text.h"

namespace espalier::command {

const Flag* findFlag(const Command& command, std::string_view name) {
  for (const auto& flag : command.flags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

namespace {

Error usageError(const Command& command, std::string_view why) {
  return {ErrorCode::usage, fmt::format("{}: {}; usage: {}", command.name, why, command.usage)};
}

}  // namespace

Result<Arguments> readArguments(const Command& command, const std::vector<std::string>& words) {
  Arguments arguments;
  bool onlyValues = false;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto& word = words[i];
    if (onlyValues || word.size() < 2 || word[0] != '-') {
      arguments.values.push_back(word);
      continue;
    }
    if (word == "--") {
      onlyValues = true;
      continue;
    }
    const auto equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    const auto name = word.substr(0, equals);
    const Flag* flag = findFlag(command, name);
    if (flag == nullptr) {
      return usageError(command, fmt::format("unknown option {}", escaped(name)));
    }
    std::string value;
    if (flag->valueName.empty()) {
      if (equals != std::string::npos) {
        return usageError(command, fmt::format("{} takes no value", name));
      }
    } else if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (i + 1 < words.size()) {
      value = words[++i];
      while (flag->several && i + 1 < words.size() && !words[i + 1].starts_with("-")) {
        value += " " + words[++i];
      }
    } else {
      return usageError(command, fmt::format("{} needs a {}", name, flag->valueName));
    }
    arguments.flags[name] = value;
  }
  if (arguments.values.size() < command.minValues) {
    return usageError(command, "an argument is missing");
  }
  if (arguments.values.size() > command.maxValues) {
    return usageError(command, fmt::format("unexpected argument \"{}\"",
                                           escaped(arguments.values[command.maxValues])));
  }
  return arguments;
}

Kind kindOfValue(const Command& command, std::size_t position) {
  if (command.kinds.empty()) return Kind::none;
  return command.kinds[std::min(position, command.kinds.size() - 1)];
}

Result<void> expandPaths(const Command& command, Arguments& arguments, const Context& context) {
  std::vector<std::string*> paths;
  for (std::size_t i = 0; i < arguments.values.size(); ++i) {
    if (kindOfValue(command, i) == Kind::localPath) paths.push_back(&arguments.values[i]);
  }
  for (auto& [name, value] : arguments.flags) {
    const Flag* flag = findFlag(command, name);
    if (flag != nullptr && flag->kind == Kind::localPath) paths.push_back(&value);
  }
  for (auto* path : paths) {
    auto expanded = expandHome(*path, context.home);
    if (!expanded) return usageError(command, expanded.error().message);
    *path = std::move(*expanded);
    if (context.nowhere && !path->starts_with('/')) {
      return usageError(command, fmt::format("{}: the folder that this path starts from is gone",
                                             escaped(*path)));
    }
  }
  return {};
}

}  // namespace espalier::command
