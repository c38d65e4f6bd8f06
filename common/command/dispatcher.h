// Runs commands, which are listed in a table. The prompt, -e and the control socket call it, and
// render the Outcome (outcome.h) as text or as JSON. Help and completion come from the same table.
//
//   Dispatcher dispatcher(peerCommands(services, settings));
//   const auto outcome = dispatcher.runLine("get f3.txt", context);
//   const auto rendered = render(outcome, Format::text);
//
// Thread rule: a handler runs on its caller's thread, never on the event loop. It may block, and
// stops early when Context::stop is triggered. The dispatcher does not change after construction,
// so any number of threads may run commands; a handler is as thread-safe as the services that it
// uses.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/home.h"
#include "common/base/result.h"
#include "common/command/outcome.h"
#include "common/command/progress.h"

namespace espalier::command {

struct Request {
  std::vector<std::string> words;
};

// What a handler may use of the client that gave the command. Each function may be empty.
struct Context {
  std::stop_token stop;  // Ctrl-C, or the client has disconnected
  std::function<void(const Progress&)> progress;
  // Asks the user at a terminal. Nothing: there was no answer.
  std::function<std::optional<std::string>(const std::string& question)> ask;
  std::function<void(const std::string& line)> say;  // a notice while the command runs
  // The same as JSON, one object a line.
  std::function<void(const Json& event)> event;
  // Runs another command, and shows its outcome.
  std::function<void(const std::string& line)> run;
  bool showsNotices = false;  // the client shows what happens at this peer anyway
  std::string directory;      // that relative paths start from; empty: this process's
  bool nowhere = false;       // the client's working directory was removed: relative paths fail
  std::optional<std::string> home = homeFolder();  // for ~/; nothing: not known
  bool json = false;
};

// The kind of an argument. A leading ~/ of a local path is expanded before the handler gets it. The
// other kinds are for completion only.
// A `person` is a peer that may be away. A `roomText` is a text that may begin with #ROOM.
enum class Kind {
  none,
  text,
  localPath,
  sharedName,
  peer,
  person,
  room,
  roomText,
  metaserver,
  command
};

struct Flag {
  std::string name;            // "-o", "--force"
  std::string valueName = {};  // "PATH"; empty: it takes none
  Kind kind = Kind::none;
  bool several = false;  // takes all words up to the next option, joined by spaces
};

struct Arguments {
  std::vector<std::string> values;
  std::map<std::string, std::string> flags;

  bool has(const std::string& flag) const { return flags.count(flag) != 0; }
  std::optional<std::string> value(const std::string& flag) const;
};

struct Command {
  std::string name;
  std::string usage;         // "get NAME… [-o PATH] [--force]"
  std::string summary;       // half a line
  std::string details = {};  // what `help NAME` adds
  std::vector<std::string> aliases = {};
  std::vector<Flag> flags = {};
  std::size_t minValues = 0;
  std::size_t maxValues = 0;
  // The value of that position (from 0) and all that follow it are one text, which a line has as it
  // is typed: quotes and backslashes stand for themselves.
  std::optional<std::size_t> textAt = {};
  std::vector<Kind> kinds = {};  // of the values; the last one counts for all that follow
  std::function<Outcome(const Arguments&, Context&)> handler = {};
};

struct Completion {
  std::size_t start = 0;  // the candidates, quoted as needed, replace what is typed from here
  std::vector<std::string> candidates;
  bool more = false;  // there are others, perhaps with another beginning
};

class Dispatcher {
 public:
  // Names of a kind that begin with `prefix`: shared names, peers.
  using Names = std::function<std::vector<std::string>(Kind kind, const std::string& prefix)>;

  // Other words for a command, with or without arguments: "-cn" for links --count.
  using Shorthands = std::map<std::string, std::vector<std::string>, std::less<>>;

  explicit Dispatcher(std::vector<Command> commands, Names names = {}, Shorthands shorthands = {});

  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  Outcome run(const Request& request, Context& context) const;
  Outcome runLine(std::string_view line, Context& context) const;

  // For the line up to the cursor, with this process's home and folder; at most
  // limits::kCompletions.
  Completion complete(std::string_view line) const;

  const std::vector<Command>& commands() const { return commands_; }

 private:
  const Command* find(std::string_view name) const;
  Result<std::vector<std::string>> wordsOf(std::string_view line) const;
  Outcome runWords(const std::vector<std::string>& words, Context& context) const;
  Outcome help(const Arguments& arguments) const;
  std::vector<std::string> commandNames() const;
  std::vector<std::string> candidates(Kind kind, const std::string& prefix) const;

  std::vector<Command> commands_;
  Names names_;
  Shorthands shorthands_;
};

// The absolute form of a path of the client: a relative one starts from Context::directory.
std::string localPath(const Context& context, const std::string& path);

}  // namespace espalier::command
