#include "common/command/dispatcher.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <memory>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/arguments.h"
#include "common/command/printing.h"
#include "common/command/words.h"

namespace espalier::command {
namespace {

// The outcome of `help`.
struct Help {
  struct Entry {
    std::string name;
    std::string usage;
    std::string summary;
    std::string details;  // empty in a list of all commands
  };
  std::vector<Entry> commands;
};

Help::Entry entryOf(const Command& command, bool withDetails) {
  return {command.name, command.usage, command.summary, withDetails ? command.details : ""};
}

void addMembers(Json& data, const Help& help) {
  data["commands"] = Json::array();
  for (const auto& each : help.commands) {
    Json& entry = data["commands"].emplace_back();
    entry["name"] = each.name;
    entry["usage"] = each.usage;
    entry["summary"] = each.summary;
    if (!each.details.empty()) entry["details"] = each.details;
  }
}

std::string textOf(const Help& help) {
  if (help.commands.size() == 1) {
    const auto& only = help.commands.front();
    const std::string text = fmt::format("{}\n{}\n", only.usage, only.summary);
    return only.details.empty() ? text : text + only.details + "\n";
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& each : help.commands) rows.push_back({each.usage, each.summary});
  return table(rows);
}

// The files and folders (with a '/') that `prefix` may become.
std::vector<std::string> localPaths(const std::string& prefix) {
  const auto slash = prefix.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : prefix.substr(0, slash + 1);
  const std::string begin = prefix.substr(folder.size());
  std::vector<std::string> paths;
  const auto expanded = expandHome(folder, homeFolder());
  if (!expanded) return paths;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(
      ::opendir(expanded->empty() ? "." : expanded->c_str()), ::closedir);
  if (!directory) return paths;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == ".." || !name.starts_with(begin)) continue;
    if (name.starts_with('.') && begin.empty()) continue;
    paths.push_back(folder + name + (entry->d_type == DT_DIR ? "/" : ""));
    if (paths.size() > limits::kCompletions) break;
  }
  return paths;
}

}  // namespace

std::string localPath(const Context& context, const std::string& path) {
  if (context.directory.empty() || path.starts_with('/')) return path;
  return context.directory + (context.directory.ends_with('/') ? "" : "/") + path;
}

std::optional<std::string> Arguments::value(const std::string& flag) const {
  const auto found = flags.find(flag);
  return found == flags.end() ? std::nullopt : std::optional(found->second);
}

Dispatcher::Dispatcher(std::vector<Command> commands, Names names, Shorthands shorthands)
    : commands_(std::move(commands)), names_(std::move(names)), shorthands_(std::move(shorthands)) {
  Command command;
  command.name = "help";
  command.usage = "help [COMMAND]";
  command.summary = "list the commands, or explain one of them";
  command.maxValues = 1;
  command.kinds = {Kind::command};
  command.handler = [this](const Arguments& arguments, Context&) { return help(arguments); };
  // Before the last command, which ends the program.
  commands_.insert(commands_.empty() ? commands_.end() : commands_.end() - 1, std::move(command));
}

const Command* Dispatcher::find(std::string_view name) const {
  if (const auto found = shorthands_.find(name); found != shorthands_.end()) {
    name = found->second.front();
  }
  for (const auto& command : commands_) {
    if (command.name == name) return &command;
    if (std::find(command.aliases.begin(), command.aliases.end(), name) != command.aliases.end()) {
      return &command;
    }
  }
  return nullptr;
}

std::vector<std::string> Dispatcher::commandNames() const {
  std::vector<std::string> names;
  for (const auto& command : commands_) {
    names.push_back(command.name);
    names.insert(names.end(), command.aliases.begin(), command.aliases.end());
  }
  for (const auto& [name, words] : shorthands_) names.push_back(name);
  return names;
}

Outcome Dispatcher::help(const Arguments& arguments) const {
  Help help;
  if (arguments.values.empty()) {
    for (const auto& command : commands_) help.commands.push_back(entryOf(command, false));
    return Outcome::done("help", std::move(help));
  }
  const Command* command = find(arguments.values[0]);
  if (command == nullptr) {
    return Outcome::failed(
        "help",
        {ErrorCode::usage, fmt::format("there is no command \"{}\": `help` lists the commands",
                                       escaped(arguments.values[0]))});
  }
  help.commands.push_back(entryOf(*command, true));
  return Outcome::done("help", std::move(help));
}

Outcome Dispatcher::run(const Request& request, Context& context) const {
  if (request.words.empty()) return {};
  const auto shorthand = shorthands_.find(request.words[0]);
  if (shorthand == shorthands_.end()) return runWords(request.words, context);
  auto words = shorthand->second;
  words.insert(words.end(), request.words.begin() + 1, request.words.end());
  return runWords(words, context);
}

Outcome Dispatcher::runWords(const std::vector<std::string>& words, Context& context) const {
  const auto& name = words[0];
  const Command* command = find(name);
  if (command == nullptr) {
    const auto meant = nearest(name, commandNames());
    return Outcome::failed(
        name, {ErrorCode::usage, fmt::format("there is no command \"{}\": {}", escaped(name),
                                             meant.empty() ? "`help` lists the commands"
                                                           : "did you mean " + meant + "?")});
  }
  auto arguments = readArguments(*command, words);
  if (!arguments) return Outcome::failed(command->name, arguments.error());
  if (const auto expanded = expandPaths(*command, *arguments, context); !expanded) {
    return Outcome::failed(command->name, expanded.error());
  }
  if (context.stop.stop_requested()) {
    return Outcome::failed(command->name, {ErrorCode::interrupted, "interrupted"});
  }
  Outcome outcome;
  // An exception of a library ends the command, not the program.
  try {
    outcome = command->handler(*arguments, context);
  } catch (const std::exception& exception) {
    outcome = Outcome::failed(
        command->name, {ErrorCode::failed, fmt::format("{} failed unexpectedly: {}", command->name,
                                                       exception.what())});
  }
  if (context.progress) context.progress({});
  return outcome;
}

Result<std::vector<std::string>> Dispatcher::wordsOf(std::string_view line) const {
  const Command* command = find(commandOf(line));
  if (command == nullptr || !command->textAt || line.size() > limits::kCommandLineBytes) {
    return splitWords(line);
  }
  std::vector<std::string> words;
  std::size_t values = 0;  // with the name of the command
  std::string_view rest = trimmed(line);
  while (values <= *command->textAt && !rest.empty()) {
    auto first = firstWord(rest);
    if (!first) return first.error();
    rest = first->rest;
    const Flag* flag = words.empty() ? nullptr : findFlag(*command, first->word);
    if (flag == nullptr) ++values;
    words.push_back(std::move(first->word));
    if (flag == nullptr || flag->valueName.empty() || rest.empty()) continue;
    auto value = firstWord(rest);
    if (!value) return value.error();
    rest = value->rest;
    words.push_back(std::move(value->word));
  }
  if (!rest.empty()) {
    words.emplace_back("--");
    words.emplace_back(rest);
  }
  return words;
}

Outcome Dispatcher::runLine(std::string_view line, Context& context) const {
  auto words = wordsOf(line);
  if (!words) return Outcome::failed(commandOf(line), words.error());
  return run({std::move(*words)}, context);
}

std::vector<std::string> Dispatcher::candidates(Kind kind, const std::string& prefix) const {
  if (kind == Kind::none || kind == Kind::text) return {};
  if (kind == Kind::localPath) return localPaths(prefix);
  std::vector<std::string> all;
  if (kind == Kind::command) {
    all = commandNames();
  } else if (names_) {
    all = names_(kind, prefix);
  }
  std::erase_if(all, [&](const std::string& name) { return !name.starts_with(prefix); });
  return all;
}

Completion Dispatcher::complete(std::string_view line) const {
  const OpenLine open = splitOpenLine(line);
  Completion completion;
  completion.start = open.lastStart;
  std::vector<std::string> names;
  if (open.words.empty()) {
    names = candidates(Kind::command, open.last);
  } else if (const Command* command = find(open.words[0])) {
    const Flag* flag = findFlag(*command, open.words.back());
    if (open.words.size() > 1 && flag != nullptr && !flag->valueName.empty()) {
      names = candidates(flag->kind, open.last);
    } else if (open.last.starts_with('-')) {
      for (const auto& each : command->flags) {
        if (each.name.starts_with(open.last)) names.push_back(each.name);
      }
    } else {
      names = candidates(kindOfValue(*command, open.words.size() - 1), open.last);
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  completion.more = names.size() > limits::kCompletions;
  if (completion.more) names.resize(limits::kCompletions);
  for (const auto& name : names) completion.candidates.push_back(quoteWord(name));
  return completion;
}

}  // namespace espalier::command
