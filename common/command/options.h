// A program's options: on the command line, in the environment, in a configuration file.
//
//   --max-links 4 · --max-links=4      ESPALIER_MAX_LINKS=4      max-links = 4
//
// A flag wins over the environment, that over the file. All of them are read and checked, also
// those that lose, so a mistake does not hide until the day it matters. A flag may stand twice: the
// last one counts, unless it collects (-e). An option without a value is yes or no in the file and
// the environment (`headless = yes`). An empty variable counts as not set. config_file.h has the
// file's form.
//
// Errors: on the command line `usage`, in environment and file `configuration`, with FILE:LINE.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/result.h"

namespace espalier::command {

// Takes a value, or says what is wrong with it ("\"x\" is no number from 2 to 64").
using Store = std::function<Result<void>(std::string_view value)>;

struct Option {
  std::string name;       // "max-links"; one letter is a short one: -e
  std::string valueName;  // "N"; empty: it takes none, and stores "yes" or "no"
  std::string byDefault;  // as --help shows it; may be empty
  std::string help;
  Store store;
  bool onlyFlag = false;  // neither in the file nor in the environment
  bool isPath = false;    // a leading ~/ is the home folder, ~name an error
};

struct Positional {
  std::string name;  // "TOTAL"
  std::string help;
  Store store;
};

struct Program {
  std::string name;
  std::string summary;   // one sentence
  std::string examples;  // what --help leads with: lines, each indented by two spaces
  std::vector<Option> options;
  std::optional<Positional> positional;
  std::string notes;  // what --help ends with
};

using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment processEnvironment();

// What is left to do after parsing: nothing, or print `text` to standard output and exit with 0.
struct Parsed {
  std::optional<std::string> text;
};

// --config FILE, --help and --version are understood by themselves. `arguments` are those behind
// the program's name.
Result<Parsed> parseOptions(const Program& program, const std::vector<std::string>& arguments,
                            const Environment& environment);

std::string helpText(const Program& program);
std::string environmentName(std::string_view option);  // ESPALIER_MAX_LINKS

// 500, 20K, 10G: powers of 1000. An error of code `usage`.
Result<std::uint64_t> parseSize(std::string_view text, std::uint64_t most);

// --- what an option may store; each refers to `target`, which outlives the parsing

Store storeText(std::string& target, std::size_t maxBytes);
Store storeYes(bool& target);
Store storeAll(std::vector<std::string>& target);
Store storeNumber(std::uint64_t& target, std::uint64_t least, std::uint64_t most);
Store storeEndpoint(Endpoint& target);
Store storeOneOf(std::string& target, std::vector<std::string> choices);
Store storeLogLevel(log::Level& target);
Store storePeerId(PeerId& target);

}  // namespace espalier::command
