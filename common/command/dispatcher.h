// The one way to give a command. The prompt, -e, the control socket and later REST build the same
// Request, and render the same typed Outcome as text or as JSON. Help, completion and the socket's
// protocol come from the table of commands.
//
//   Dispatcher dispatcher(peerCommands(service, settings));
//   const auto outcome = dispatcher.runLine("get f3.txt", context);
//   const auto rendered = dispatcher.render(outcome, Format::text);
//
// A handler runs on its caller's thread, never on the event loop: it may block, and stops early
// when Context::stop says so. The dispatcher does not change after construction, so any number of
// threads may run commands; handlers are as thread-safe as what they stand on.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/home.h"
#include "common/base/result.h"
#include "common/command/progress.h"

namespace espalier::command {

using Json = nlohmann::ordered_json;

enum class Format { text, json };

struct Request {
  std::vector<std::string> words;
};

// What a handler may use of whoever gave the command. Each function may be empty.
struct Context {
  std::stop_token stop;  // Ctrl-C, or the asker is gone
  std::function<void(const Progress&)> progress;
  std::function<std::optional<std::string>(const std::string& question)> ask;  // a terminal's
  std::function<void(const std::string& line)> say;  // what happens meanwhile
  // As JSON: what happens meanwhile, an object a line.
  std::function<void(const Json& event)> event;
  std::string directory;  // that relative paths start from; empty: this process's
  bool nowhere = false;   // the asker's folder is gone: a relative path stands for nothing
  std::optional<std::string> home = homeFolder();  // of ~/; nothing: not known
  bool json = false;
};

// What a command came to. `data` is an object with the member `command`; null for an empty line. A
// failure has the member `error`, {"code": …, "message": …}; a command on several things may also
// have an array `errors` of them, each with the member `name`.
struct Outcome {
  Json data;
  int exitCode = 0;
  bool stops = false;  // the program was asked to end

  static Outcome done(Json data) { return {std::move(data), 0, false}; }
  static Outcome failed(std::string_view command, const Error& error);
};

// What a service answered, as the outcome of a command: `data` makes the JSON of a value.
template <typename T, typename Data>
Outcome outcomeOf(std::string_view command, const Result<T>& result, const Data& data) {
  return result ? Outcome::done(data(*result)) : Outcome::failed(command, result.error());
}

struct Rendered {
  std::string out;
  std::string err;  // sentences about what failed; empty as JSON, where they are part of the data
};

// What an argument is. Of a local path a leading ~/ is expanded before the handler gets it; the
// rest is for completion.
enum class Kind { none, text, localPath, sharedName, peer, command };

struct Flag {
  std::string name;            // "-o", "--force"
  std::string valueName = {};  // "PATH"; empty: it takes none
  Kind kind = Kind::none;
  bool several = false;  // takes all words up to the next option; they come with spaces between
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
  std::vector<Kind> kinds = {};  // of the values; the last one stands for all that follow
  std::function<Outcome(const Arguments&, Context&)> handler = {};
  // What a person wants to read of `data`; lines end in a line feed. The sentences of `error` and
  // `errors` are not its business. Called also for a failure, whose data may lack anything.
  std::function<std::string(const Json& data)> text = {};
};

struct Completion {
  std::size_t start = 0;  // the candidates, quoted as needed, replace what is typed from here
  std::vector<std::string> candidates;
  bool more = false;  // there are others, which need not begin with what these have in common
};

class Dispatcher {
 public:
  // Names of a kind that begin with `prefix`: shared names, peers.
  using Names = std::function<std::vector<std::string>(Kind kind, const std::string& prefix)>;

  explicit Dispatcher(std::vector<Command> commands, Names names = {});

  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  Outcome run(const Request& request, Context& context) const;
  Outcome runLine(std::string_view line, Context& context) const;

  // As JSON one line and nothing else; malformed UTF-8 becomes U+FFFD. As text without control
  // characters, which JSON escapes.
  Rendered render(const Outcome& outcome, Format format) const;

  // For the line up to the cursor, with this process's home and folder; at most
  // limits::kCompletions.
  Completion complete(std::string_view line) const;

  const std::vector<Command>& commands() const { return commands_; }

 private:
  const Command* find(std::string_view name) const;
  Outcome help(const Arguments& arguments) const;
  std::vector<std::string> commandNames() const;
  std::vector<std::string> candidates(Kind kind, const std::string& prefix) const;

  std::vector<Command> commands_;
  Names names_;
};

// {"code":1,"message":"…"}
Json errorData(const Error& error);

// Compact, with a line feed, safe for a terminal: escapedJson().
std::string jsonLine(const Json& data);

// A path as the asker meant it: relative ones start from Context::directory.
std::string localPath(const Context& context, const std::string& path);

}  // namespace espalier::command
