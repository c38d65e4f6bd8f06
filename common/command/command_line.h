// The command line as a source of options, read with Poco::Util::OptionProcessor.
//
//   --max-links 4 · --max-links=4 · --headless · --headless=no · -e COMMAND · -- POSITIONAL
//
// OptionProcessor alone is too lenient for scripts: it accepts prefixes of names (--meta), any
// case, and ':' for '='. It also reads an empty value as a missing one. So each name is compared
// exactly first, a value that stands in the next argument is joined to its option, and
// OptionProcessor gets --NAME=VALUE. Every option may stand
// several times; options.cpp decides which one counts.
//
// Called by options.cpp. Stateless.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/command/options.h"

namespace espalier::command {

struct CommandLine {
  struct Given {
    const Option* option;  // of the program
    std::string value;     // "yes" where the option takes none
  };
  std::vector<Given> options;  // in their order; an option may stand several times
  std::vector<std::string> positionals;
  std::optional<std::string> config;  // --config
  bool help = false;
  bool version = false;
};

// Checks names and the number of arguments, not the values. Errors have the code `usage`.
// `program` outlives the result.
Result<CommandLine> readCommandLine(const Program& program,
                                    const std::vector<std::string>& arguments);

}  // namespace espalier::command
