#include "common/command/options.h"

#include <Poco/AutoPtr.h>
#include <Poco/Util/LayeredConfiguration.h>
#include <Poco/Util/MapConfiguration.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/home.h"
#include "common/base/text.h"
#include "common/command/command_line.h"
#include "common/command/config_file.h"
#include "common/command/words.h"

namespace espalier::command {
namespace {

using Poco::AutoPtr;
using Poco::Util::LayeredConfiguration;
using Poco::Util::MapConfiguration;

// Of LayeredConfiguration: the lower number wins.
enum Priority { kCommandLine = 0, kEnvironment = 1, kFile = 2 };

// The values of all sources, and the program that they are checked against.
class Sources {
 public:
  Sources(const Program& program, const CommandLine& line, const Environment& environment)
      : program_(program),
        line_(line),
        environment_(new EnvironmentConfiguration(environment)),
        home_(environment("HOME")),
        layers_(new LayeredConfiguration) {
    AutoPtr<MapConfiguration> flags(new MapConfiguration);
    for (const auto& [option, value] : line.options) {
      const auto before = option->collects ? flags->getRawString(option->name, "") : std::string();
      flags->setString(option->name, joinedList(before, value));
    }
    if (line.config) flags->setString("config", *line.config);
    layers_->add(flags, kCommandLine);
    layers_->add(environment_, kEnvironment);
  }

  // Adds the layer of the file that --config or ESPALIER_CONFIG names, if one does.
  Result<void> addFile() {
    const auto named = layers_->getRawString("config", "");
    if (named.empty()) return {};
    auto path = expandHome(named, home_);
    if (!path) {
      return Error{line_.config ? ErrorCode::usage : ErrorCode::configuration,
                   fmt::format("{}: {}", line_.config ? "--config" : "ESPALIER_CONFIG",
                               path.error().message)};
    }
    auto settings = readConfig(*path);
    if (!settings) return settings.error();
    path_ = *std::move(path);
    collect(*settings);
    file_ = new FileConfiguration(*std::move(settings));
    layers_->add(file_, kFile);
    return {};
  }

  // Every value of every source. Reports the first mistake: of the file, of the environment, of the
  // command line.
  Result<void> check() const {
    if (file_) {
      for (const auto& setting : file_->settings()) {
        if (const auto checked = checkSetting(setting); !checked) return checked;
      }
    }
    for (const auto& option : program_.options) {
      if (const auto checked = checkVariable(option); !checked) return checked;
    }
    return checkCommandLine();
  }

  // Stores of each option the value of the source that wins. Leaves out values with mistakes.
  void store() const {
    for (const auto& option : program_.options) {
      if (option.onlyFlag || !layers_->has(option.name)) continue;
      // Not getString(), which expands ${}.
      assign(valueOf(option, layers_->getRawString(option.name)));
    }
    for (const auto& [option, value] : line_.options) {
      if (option->onlyFlag) assign(valueOf(*option, value));
    }
    if (!line_.positionals.empty()) assign(program_.positional->store(line_.positionals));
  }

 private:
  static std::string joinedList(const std::string& before, const std::string& value) {
    return before.empty() ? value : before + "," + value;
  }

  // Each value of an option that collects becomes the list of all up to it; the last one counts.
  void collect(std::vector<Setting>& settings) const {
    std::map<std::string, std::string> lists;
    for (auto& setting : settings) {
      const Option* option = findOption(program_, setting.name);
      if (option == nullptr || !option->collects) continue;
      auto& list = lists[setting.name];
      list = setting.value = joinedList(list, setting.value);
    }
  }

  static void assign(const Result<Assign>& checked) {
    if (checked) (*checked)();
  }

  // Of a path a leading ~/ is expanded first.
  Result<Assign> valueOf(const Option& option, std::string_view value) const {
    if (!option.isPath) return option.store(value);
    const auto path = expandHome(value, home_);
    return path ? option.store(*path) : path.error();
  }

  Result<void> checkSetting(const Setting& setting) const {
    const Option* option = findOption(program_, setting.name);
    if (option == nullptr || option->onlyFlag) return unknownName(setting);
    if (const auto value = valueOf(*option, setting.value); !value) {
      return configError(path_, setting.line,
                         fmt::format("{}: {}", setting.name, value.error().message));
    }
    return {};
  }

  Error unknownName(const Setting& setting) const {
    std::vector<std::string> known;
    for (const auto& option : program_.options) {
      if (!option.onlyFlag) known.push_back(option.name);
    }
    const auto meant = nearest(setting.name, known);
    return configError(path_, setting.line,
                       fmt::format("unknown name \"{}\"{}", escaped(setting.name),
                                   meant.empty() ? "" : fmt::format(": did you mean {}?", meant)));
  }

  Result<void> checkVariable(const Option& option) const {
    if (option.onlyFlag || !environment_->has(option.name)) return {};
    const auto value = valueOf(option, environment_->getRawString(option.name));
    if (value) return {};
    return Error{ErrorCode::configuration,
                 fmt::format("{}: {}", environmentName(option.name), value.error().message)};
  }

  Result<void> checkCommandLine() const {
    std::map<const Option*, std::string> lists;
    for (const auto& [option, value] : line_.options) {
      auto& list = lists[option];
      list = option->collects ? joinedList(list, value) : value;
      if (const auto checked = valueOf(*option, list); !checked) {
        // `configuration`: the value is right, and this program refuses it.
        return Error{checked.error().code,
                     fmt::format("{}: {}", flagName(*option), checked.error().message)};
      }
    }
    if (line_.positionals.empty()) return {};
    const auto& positional = *program_.positional;
    if (const auto checked = positional.store(line_.positionals); !checked) {
      const auto& why = checked.error().message;
      return Error{ErrorCode::usage,
                   positional.most == 1 ? fmt::format("{}: {}", positional.name, why) : why};
    }
    return {};
  }

  const Program& program_;
  const CommandLine& line_;
  AutoPtr<EnvironmentConfiguration> environment_;
  const std::optional<std::string> home_;
  AutoPtr<FileConfiguration> file_;  // null: no file was named
  std::string path_;                 // of the file
  AutoPtr<LayeredConfiguration> layers_;
};

// Two columns: the option, and what it does. Of what is wider, that is in the next line.
std::string helpRows(const Program& program) {
  std::vector<std::pair<std::string, std::string>> rows;
  std::size_t width = 0;
  if (program.positional) rows.emplace_back(program.positional->name, program.positional->help);
  auto options = program.options;
  for (auto& option : commonOptions()) options.push_back(std::move(option));
  for (const auto& option : options) {
    std::string left = flagName(option);
    if (!option.valueName.empty()) left += " " + option.valueName;
    std::string right = option.help;
    if (!option.byDefault.empty()) right += fmt::format(" [{}]", option.byDefault);
    width = std::max(width, left.size());
    rows.emplace_back(std::move(left), std::move(right));
  }
  std::string text;
  for (const auto& [left, right] : rows) {
    text += left.size() > width ? fmt::format("  {}\n{:{}}", left, "", width + 4)
                                : fmt::format("  {:<{}}  ", left, width);
    for (const char c : right) {
      text += c;
      if (c == '\n') text.append(width + 4, ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace

StoreWords storeWord(Store store) {
  return [store = std::move(store)](const std::vector<std::string>& words) {
    return store(words.front());
  };
}

Option offering(Option option, std::vector<std::string> values) {
  option.offered = std::move(values);
  return option;
}

Option logLevelOption(log::Level& target) {
  return offering(
      {"log-level", "LEVEL", "info", "debug, info, warning, error or none", storeLogLevel(target)},
      {"debug", "info", "warning", "error", "none"});
}

std::vector<Option> commonOptions() {
  const char* config = "options from a file: lines of name = value, # comments";
  return {{"config", "FILE", "", config, {}, false, true},
          {"version", "", "", "print the version", {}, true},
          {"help", "", "", "print this", {}, true}};
}

const Option* findOption(const Program& program, std::string_view name) {
  const auto found = std::find_if(program.options.begin(), program.options.end(),
                                  [&](const Option& option) { return option.name == name; });
  return found == program.options.end() ? nullptr : &*found;
}

std::string flagName(const Option& option) {
  return (option.name.size() == 1 ? "-" : "--") + option.name;
}

std::string_view programVersion() {
  return ESPALIER_VERSION;
}

Result<Parsed> parseOptions(const Program& program, const std::vector<std::string>& arguments,
                            const Environment& environment) {
  const auto line = readCommandLine(program, arguments);
  if (!line) return line.error();
  if (line->help) return Parsed{helpText(program), {}};
  if (line->version) {
    return Parsed{fmt::format("{} (Espalier) {}\n", program.name, programVersion()), {}};
  }
  Sources sources(program, *line, environment);
  if (const auto added = sources.addFile(); !added) return added.error();
  const auto checked = sources.check();
  sources.store();
  if (!checked) return checked.error();
  Parsed parsed;
  for (const auto& given : line->options) parsed.given.push_back(given.option->name);
  return parsed;
}

std::string helpText(const Program& program) {
  std::string text =
      fmt::format("{}\n\nExamples:\n{}\nUsage: {} [OPTION]…{}\n", program.summary, program.examples,
                  program.name, program.positional ? " [" + program.positional->name + "]" : "");
  text += helpRows(program);
  text +=
      "\nEvery option but -e can also stand in the file, without its dashes, or in the "
      "environment:\n"
      "ESPALIER_LOG_LEVEL=debug. An option wins over the environment, that over the file.\n";
  if (!program.notes.empty()) text += "\n" + program.notes;
  return text;
}

}  // namespace espalier::command
