#include "common/command/describe.h"

#include "common/command/environment.h"
#include "common/command/words.h"

namespace espalier::command {
namespace {

Json describedOption(const Option& option) {
  Json entry;
  entry["flag"] = flagName(option);
  entry["value"] = option.valueName;
  entry["default"] = option.byDefault;
  entry["help"] = option.help;
  if (!option.onlyFlag) entry["environment"] = environmentName(option.name);
  entry["isPath"] = option.isPath;
  entry["optional"] = !option.bare.empty();
  entry["offered"] = option.offered;
  return entry;
}

Json describedCommand(const Command& command) {
  Json entry;
  entry["name"] = command.name;
  entry["usage"] = command.usage;
  entry["summary"] = command.summary;
  entry["details"] = command.details;
  entry["aliases"] = command.aliases;
  entry["flags"] = Json::array();
  for (const auto& flag : command.flags) entry["flags"].push_back(flag.name);
  return entry;
}

}  // namespace

Json described(const Program& program, const Dispatcher& dispatcher,
               const Dispatcher::Shorthands& shorthands) {
  Json data;
  data["name"] = program.name;
  data["summary"] = program.summary;
  data["examples"] = program.examples;
  data["notes"] = program.notes;
  if (program.positional) {
    data["argument"] = {{"name", program.positional->name}, {"help", program.positional->help}};
  }
  data["options"] = Json::array();
  for (const auto& option : program.options) data["options"].push_back(describedOption(option));
  for (const auto& option : commonOptions()) data["options"].push_back(describedOption(option));
  data["commands"] = Json::array();
  for (const auto& each : dispatcher.commands()) data["commands"].push_back(describedCommand(each));
  data["shorthands"] = Json::object();
  for (const auto& [name, words] : shorthands) {
    data["shorthands"][name] = joinWords(words);
  }
  return data;
}

}  // namespace espalier::command
