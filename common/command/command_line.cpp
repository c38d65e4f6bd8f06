#include "common/command/command_line.h"

#include <Poco/Exception.h>
#include <Poco/Util/OptionProcessor.h>
#include <Poco/Util/OptionSet.h>
#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "common/base/text.h"
#include "common/command/words.h"

namespace espalier::command {
namespace {

// OptionProcessor's options, with long names only. They are sorted, so that a name comes before the
// longer names that begin with it: OptionProcessor would call --share ambiguous otherwise.
Poco::Util::OptionSet optionSetOf(const Program& program) {
  std::vector<std::string> names = {"help", "version", "config"};
  for (const auto& option : program.options) names.push_back(option.name);
  std::sort(names.begin(), names.end());
  Poco::Util::OptionSet set;
  for (const auto& name : names) {
    // OptionProcessor throws at an option that repeats and is not `repeatable`. If an argument is
    // required, it takes an empty value for a missing one; so the argument is optional.
    set.addOption(
        Poco::Util::Option(name, "", "").repeatable(true).argument("VALUE", /*required=*/false));
  }
  return set;
}

Error unknownFlag(const Program& program, std::string_view flag) {
  std::vector<std::string> known = {"--help", "--version", "--config"};
  for (const auto& option : program.options) known.push_back(flagName(option));
  const std::string meant = nearest(flag, known);
  return {ErrorCode::usage,
          fmt::format("unknown option {}: {}", escaped(flag),
                      meant.empty() ? fmt::format("{} --help lists them", program.name)
                                    : fmt::format("did you mean {}?", meant))};
}

class ArgumentReader {
 public:
  explicit ArgumentReader(const Program& program)
      : program_(program), options_(optionSetOf(program)), processor_(options_) {}

  Result<CommandLine> read(const std::vector<std::string>& arguments) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const auto argument = withValue(arguments, i);
      if (!argument) return argument.error();
      if (const auto taken = take(*argument); !taken) return taken.error();
    }
    return std::move(line_);
  }

 private:
  // The argument at `i`; an option in the form --NAME=VALUE, after its name was compared exactly.
  // `i` moves on when the value was the next argument.
  Result<std::string> withValue(const std::vector<std::string>& arguments, std::size_t& i) const {
    const std::string& argument = arguments[i];
    const bool isOption = !onlyValues_ && argument.size() >= 2 && argument[0] == '-';
    if (!isOption || argument == "--" || argument == "--help" || argument == "--version") {
      return argument;
    }
    if (argument == "-h") return std::string("--help");
    const bool isLong = argument.starts_with("--");
    const auto equals = isLong ? argument.find('=') : std::string::npos;
    const std::string flag = argument.substr(0, equals);
    const std::string name = flag.substr(isLong ? 2 : 1);
    const Option* option = findOption(program_, name);
    const bool isConfig = flag == "--config";
    if (!isConfig && (option == nullptr || flagName(*option) != flag)) {
      return unknownFlag(program_, flag);
    }
    std::string value = "yes";
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (!isConfig && !option->bare.empty()) {
      value = option->bare;
      const bool isThere =
          i + 1 < arguments.size() && arguments[i + 1].find(':') != std::string::npos;
      if (isThere && !arguments[i + 1].starts_with('-')) value = arguments[++i];
    } else if (isConfig || !option->valueName.empty()) {
      if (i + 1 == arguments.size()) {
        return Error{ErrorCode::usage, fmt::format("{} needs a value: {} {}", flag, flag,
                                                   isConfig ? "FILE" : option->valueName)};
      }
      value = arguments[++i];
    }
    return "--" + name + "=" + value;
  }

  Result<void> take(const std::string& argument) {
    std::string name;
    std::string value;
    try {
      if (!processor_.process(argument, name, value)) return takePositional(argument);
    } catch (const Poco::Exception& exception) {  // the edge: nothing of POCO's passes it
      return Error{ErrorCode::usage, escaped(argument) + ": " + exception.displayText()};
    }
    if (name.empty()) {  // --
      onlyValues_ = true;
    } else if (name == "help") {
      line_.help = true;
    } else if (name == "version") {
      line_.version = true;
    } else if (name == "config") {
      line_.config = std::move(value);
    } else {
      line_.options.push_back({findOption(program_, name), std::move(value)});
    }
    return {};
  }

  Result<void> takePositional(const std::string& argument) {
    if (!program_.positional) {
      return Error{ErrorCode::usage,
                   fmt::format("unexpected argument \"{}\": {} takes only options, see --help",
                               escaped(argument), program_.name)};
    }
    const Positional& positional = *program_.positional;
    if (line_.positionals.size() >= positional.most) {
      const auto takes = positional.most == 1 ? "one " + positional.name
                                              : fmt::format("at most {}", positional.most);
      return Error{ErrorCode::usage,
                   fmt::format("unexpected argument \"{}\": {} takes {}, see --help",
                               escaped(argument), program_.name, takes)};
    }
    line_.positionals.push_back(argument);
    return {};
  }

  const Program& program_;
  const Poco::Util::OptionSet options_;  // which processor_ refers to
  Poco::Util::OptionProcessor processor_;
  CommandLine line_;
  bool onlyValues_ = false;  // behind --
};

}  // namespace

Result<CommandLine> readCommandLine(const Program& program,
                                    const std::vector<std::string>& arguments) {
  return ArgumentReader(program).read(arguments);
}

}  // namespace espalier::command
