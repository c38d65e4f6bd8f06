// A program's options: on the command line, in the environment, in a configuration file.
//
//   --max-links 4 · --max-links=4      ESPALIER_MAX_LINKS=4      max-links = 4
//
// The three sources are layers of a Poco::Util::LayeredConfiguration: the command line wins over
// the environment, the environment over the file (command_line.h, environment.h, config_file.h).
// Every value of every source is checked, also those that lose, so that a mistake is found at once
// and not when another source changes. An option may stand on the command line, or in the file,
// several times: the last one counts, unless the option collects all (-e, --cluster). An option
// without a value is yes or no in the file and the environment (`headless = yes`).
//
// Errors have the code `usage` on the command line; `configuration` in the environment and in the
// file, there with FILE:LINE.
//
// Called by the main() of both programs, before any thread starts. docs/decisions/0013 says why
// Poco::Util::Application is not used.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/log.h"
#include "common/base/result.h"
#include "common/command/environment.h"
#include "common/command/option_values.h"

namespace espalier::command {

struct Option {
  std::string name;       // "max-links"; one letter is a short one: -e
  std::string valueName;  // "N"; empty: it takes none, and stores "yes" or "no"
  std::string byDefault;  // as --help shows it; may be empty
  std::string help;
  Store store;
  bool onlyFlag = false;  // neither in the file nor in the environment
  bool isPath = false;    // a leading ~/ is the home folder, ~name an error
  // Its value is a list with commas, and all values of one source are one list. Not a path.
  bool collects = false;
  // The value of an option that stands without one (`--web`). The argument behind it is its value
  // only if it has a colon, as an address has. Empty: it needs a value.
  std::string bare = {};
  // Values that the completion of a shell offers. There may be others.
  std::vector<std::string> offered = {};
};

// The same option, which offers these values.
Option offering(Option option, std::vector<std::string> values);
// --log-level, which both programs have.
Option logLevelOption(log::Level& target);
// --config FILE, --version and --help, which every program has. They store nothing.
std::vector<Option> commonOptions();

// Checks the words of a command line that are no options. Returns a function that stores them.
using StoreWords = std::function<Result<Assign>(const std::vector<std::string>& words)>;

struct Positional {
  std::string name;  // "TOTAL"
  std::string help;
  StoreWords store;  // at least one word
  std::size_t most = 1;
};

// Of a Positional that is one word.
StoreWords storeWord(Store store);

struct Program {
  std::string name;
  std::string summary;   // one sentence
  std::string examples;  // what --help begins with: lines, each indented by two spaces
  std::vector<Option> options;
  std::optional<Positional> positional;
  std::string notes;  // what --help ends with
};

// What main() does next: it goes on, or it prints `text` to standard output and exits with 0.
struct Parsed {
  std::optional<std::string> text;
  std::vector<std::string> given;  // names of the options on the command line
};

// Adds commonOptions() to the program's options. `arguments` are those behind the program's name.
// After an error the options that were right are stored all the same, since `json` says in which
// form the error is printed.
Result<Parsed> parseOptions(const Program& program, const std::vector<std::string>& arguments,
                            const Environment& environment);

std::string helpText(const Program& program);

// "0.1.0", as --version prints it.
std::string_view programVersion();

// The option of that exact name; null: there is none.
const Option* findOption(const Program& program, std::string_view name);
// As it stands on the command line: --max-links, -e.
std::string flagName(const Option& option);

}  // namespace espalier::command
