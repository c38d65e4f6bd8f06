// A program's options, from the command line, the environment and a configuration file.
#include "common/command/options.h"

#include <map>

#include "common/base/limits.h"
#include "common/command/config_file.h"
#include "common/command/metaserver_address.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;
using namespace espalier::command;
using namespace std::chrono_literals;

namespace {

struct Values {
  std::uint64_t maxLinks = 2;
  Endpoint listen{"127.0.0.1", 5000};
  std::string word = "P2P";
  std::string rule = "shallowest";
  PeerId id;
  bool headless = false;
  std::vector<std::string> commands;
  std::uint64_t total = 0;
  std::vector<Endpoint> cluster;
  std::chrono::milliseconds every{1000};
  std::string share;
};

Program programFor(Values& values) {
  return {"fuzz",
          "A program.",
          "  fuzz\n",
          {{"max-links", "N", "2", "links", storeNumber(values.maxLinks, 2, 64)},
           {"listen", "HOST:PORT", "127.0.0.1:5000", "where", storeEndpoint(values.listen)},
           {"join-word", "WORD", "P2P", "word", storeText(values.word, 256)},
           {"placement", "RULE", "shallowest", "rule",
            storeOneOf(values.rule, {"shallowest", "classic", "nearest"})},
           {"id", "ID", "", "id", storePeerId(values.id)},
           {"share", "DIR", "", "what", storeText(values.share, 4096), false, true},
           {"cluster", "HOST:PORT[,…]", "", "others", storeParsed(values.cluster, parseMetaservers),
            false, false, true},
           {"every", "DURATION", "1s", "how often",
            storeParsed(values.every,
                        [](std::string_view text) { return parseDuration(text, 1s, 24h); })},
           {"headless", "", "", "no prompt", storeYes(values.headless)},
           {"e", "COMMAND", "", "run", storeAll(values.commands), true}},
          Positional{"TOTAL", "peers", storeWord(storeNumber(values.total, 1, 1000))},
          "Notes."};
}

// Settings that were read must read the same when they are written back in quotes.
void requireQuotedReadsBack(std::string_view text) {
  const auto settings = parseConfig(text, "f");
  if (!settings) return;
  std::string again = "\n";  // a byte-order mark counts only at the very beginning
  for (const auto& setting : *settings) {
    again += setting.name + " = \"";
    for (const char c : setting.value) {
      if (c == '"' || c == '\\') again += '\\';
      again += c;
    }
    again += "\" # as it was\n";
  }
  const auto same = parseConfig(again, "f");
  fuzz::require(same && same->size() == settings->size(), "as many settings");
  for (std::size_t i = 0; i < settings->size(); ++i) {
    fuzz::require((*same)[i].name == (*settings)[i].name, "the same name");
    fuzz::require((*same)[i].value == (*settings)[i].value, "the same value");
  }
}

}  // namespace

// Input: ARGUMENT \n ARGUMENT \n … \0 NAME=VALUE \n … \0 the configuration file
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::MemoryFile file;
  std::string_view input = fuzz::view(data, size);
  auto flags = fuzz::takeUntil(input, '\0');
  auto variables = fuzz::takeUntil(input, '\0');
  file.write(input);
  requireQuotedReadsBack(input);

  std::vector<std::string> arguments = {"--config", file.path()};
  while (!flags.empty()) {
    const auto argument = fuzz::takeUntil(flags, '\n');
    // An option --config would name a file on the disk.
    if (argument.find("config") == std::string_view::npos) arguments.emplace_back(argument);
  }
  std::map<std::string, std::string> environment;
  while (!variables.empty()) {
    auto variable = fuzz::takeUntil(variables, '\n');
    const auto name = fuzz::takeUntil(variable, '=');
    if (name != "ESPALIER_CONFIG") environment.emplace(name, variable);
  }
  Values values;
  const auto parsed = parseOptions(programFor(values), arguments, [&](const std::string& name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::nullopt : std::optional(found->second);
  });
  if (!parsed) {
    const auto code = parsed.error().code;
    fuzz::require(code == ErrorCode::usage || code == ErrorCode::configuration,
                  "a mistake is one of usage or of configuration");
    fuzz::require(!parsed.error().message.empty(), "and says what it is");
  }
  fuzz::require(values.maxLinks >= 2 && values.maxLinks <= 64, "numbers stay within bounds");
  fuzz::require(values.cluster.size() <= limits::kMetaservers, "lists stay within bounds");
  for (const auto& at : values.cluster) {
    fuzz::require(parseMetaserver(at.text()).ok(), "an endpoint of a list reads back");
  }
  fuzz::require(values.every >= 1s && values.every <= 24h, "durations stay within bounds");
  fuzz::require(values.word.size() <= 256, "texts stay within bounds");
  fuzz::require(Endpoint::parse(values.listen.text(), 1).ok(), "an endpoint reads back");
  fuzz::require(!values.share.starts_with('~'), "a home folder is expanded");
  fuzz::require(values.id.empty() || PeerId::parse(values.id.text()).ok(), "an id is an id");
  return 0;
}
