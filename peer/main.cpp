// The program `peer`: builds the graph of its objects, joins, and runs commands, a prompt, or
// neither, until it is asked to stop.
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <memory>
#include <mutex>
#include <system_error>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/command/log_writer.h"
#include "common/command/options.h"
#include "common/command/printing.h"
#include "common/command/program.h"
#include "common/command/prompt.h"
#include "common/command/runner.h"
#include "common/command/standard_output.h"
#include "common/command/words.h"
#include "common/net/address.h"
#include "common/net/event_loop.h"
#include "common/net/service_manager.h"
#include "peer/shell/join_alone.h"
#include "peer/shell/join_dialogue.h"
#include "peer/shell/joiner.h"
#include "peer/shell/network_topology.h"
#include "peer/shell/options.h"
#include "peer/shell/prompt_notices.h"
#include "peer/shell/runtime.h"
#include "peer/shell/topology_store.h"

namespace {

using namespace espalier;
using namespace espalier::peer::shell;

// Fails as the first of the given commands would, or as `what`.
int failWith(const Error& error, const PeerOptions& options, const std::string& what = "peer") {
  const auto& commands = options.commands;
  return command::failWith(
      error, {"peer", options.json, commands.empty() ? what : command::commandOf(commands[0])});
}

// The request to end: from a signal, a command, or the prompt. Thread-safe.
class Ending {
 public:
  void request(int code) {
    {
      const std::lock_guard lock(mutex_);
      if (!code_) code_ = code;
    }
    stop_.request_stop();  // calls its stop callbacks
    changed_.notify_all();
  }
  int wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return code_.has_value(); });
    return *code_;
  }
  std::stop_token token() const { return stop_.get_token(); }
  std::optional<int> code() {
    const std::lock_guard lock(mutex_);
    return code_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<int> code_;
  std::stop_source stop_;
};

// Whether the peer runs without a prompt until it is asked to end.
bool isService(const PeerOptions& options) {
  return options.headless && options.commands.empty();
}

class Program {
 public:
  Program(net::EventLoop& loop, net::ServiceManager& manager, const PeerOptions& options)
      : loop_(loop),
        manager_(manager),
        options_(options),
        logWriter_(hasPrompt(options) ? nullptr : std::make_unique<command::LogWriter>()),
        runtime_(loop, options),
        notices_(runtime_.events(), options.bell),
        topologyStore_(runtime_),
        topology_(runtime_, topologyStore_),
        joiner_(runtime_, topologyStore_, topology_, options, [this] { end(0); }) {}

  Result<void> start() { return runtime_.start(); }

  // Ctrl-C cancels what a prompt runs, else ends the program.
  void signalled(int signal) {
    if (signal == SIGINT) {
      if (!prompt_.interrupt()) end(exitCode(ErrorCode::interrupted));
    } else if (signal == SIGWINCH || signal == SIGCONT) {
      prompt_.terminalChanged(signal);
    } else {
      end(0);
    }
  }

  int run() {
    const bool alone = !options_.commands.empty() || options_.headless;
    const int code = alone ? runAlone() : runPrompt();
    joiner_.leave();
    return code;
  }

 private:
  // Whether the log is printed above a prompt. A prompt without a terminal prints only results.
  static bool hasPrompt(const PeerOptions& options) {
    return !options.headless && options.commands.empty() && command::isAtTerminal();
  }

  // Any thread.
  void end(int code) {
    ending_.request(code);
    prompt_.close();
  }

  int runAlone() {
    manager_.ready("joining");
    const auto without = isService(options_) ? WithoutMetaserver::retry : WithoutMetaserver::fail;
    auto joined = joinAlone(joiner_, options_.id, options_.joinWord, without, ending_.token());
    if (!joined) {
      const auto code = ending_.code();
      return code && options_.headless ? *code : failWith(joined.error(), options_, "join");
    }
    manager_.ready(joinedLine(*joined));
    if (!options_.quiet && !options_.json) log::info("{}", joinedLine(*joined));
    if (options_.commands.empty()) return endedHeadless(ending_.wait());
    command::StandardOutput standard(ending_.token());
    auto context =
        command::standaloneContext(standard, ending_.token(), options_.json, options_.quiet);
    return command::runCommands(joiner_.peer()->dispatcher(), options_.commands, context,
                                standard.output());
  }

  // Ctrl-C is the usual way to end a peer without a prompt.
  static int endedHeadless(int code) { return code == exitCode(ErrorCode::interrupted) ? 0 : code; }

  int runPrompt() {
    command::StandardOutput standard;
    command::LineEditor editor({STDIN_FILENO, STDOUT_FILENO, {}});
    if (!editor.started()) return failWith(editor.started().error(), options_, "join");
    command::Prompt prompt(editor, {options_.json, options_.quiet, ::isatty(STDIN_FILENO) == 0,
                                    [&](const std::string& text) { standard.err(text); }});
    prompt_.show(prompt);
    if (ending_.code()) prompt.close();  // requested before the prompt was there
    if (!logWriter_) notices_.show(editor);
    JoinDialogue dialogue(prompt, joiner_);
    const auto joined =
        options_.id.empty() ? dialogue.join() : dialogue.joinAs(options_.id, options_.joinWord);
    const int code = joined ? 0 : failWith(joined.error(), options_, "join");
    int failed = 0;  // of a script, which may end by `stop` after a failure
    if (joined && *joined) {
      const auto question = command::printable((*joined)->id.text()) + "> ";
      failed = prompt.run(joiner_.peer()->dispatcher(), [&] { return question; });
    }
    // The loop still logs, and must not block on a stopped terminal.
    if (!logWriter_) logWriter_ = std::make_unique<command::LogWriter>();
    notices_.hide();
    prompt_.hide();
    if (const auto failure = editor.failure()) {
      standard.err(failure->message + "\n");
      return exitCode(failure->code);
    }
    return failed != 0 ? failed : ending_.code().value_or(code);
  }

  net::EventLoop& loop_;
  net::ServiceManager& manager_;
  const PeerOptions& options_;
  Ending ending_;
  command::CurrentPrompt prompt_;
  std::unique_ptr<command::LogWriter> logWriter_;
  // The order of construction; the reverse of it is the order of destruction.
  Runtime runtime_;
  PromptNotices notices_;
  TopologyStore topologyStore_;
  NetworkTopology topology_;
  Joiner joiner_;
};

int run(PeerOptions options) {
  if (!options.commands.empty()) {
    const auto code = command::runOnStandardStreams({"the peer", options.state}, options.commands,
                                                    options.json, options.quiet);
    if (code) return *code;
    if (options.id.empty()) {
      return failWith({ErrorCode::usage, fmt::format("no peer runs on {}: with --id ID one joins "
                                                     "for these commands, and leaves again",
                                                     escaped(options.state))},
                      options);
    }
  }
  const auto budget = std::make_shared<Budget>();
  log::useBudget(budget);
  auto loop = net::EventLoop::create(budget);
  if (!loop) return failWith(loop.error(), options);
  // All of this on the loop's thread. A signal may arrive before the program is there.
  Program* running = nullptr;
  std::vector<int> early;
  const auto signalled = [&](int signal) {
    if (running != nullptr) {
      running->signalled(signal);
    } else if (std::find(early.begin(), early.end(), signal) == early.end()) {
      early.push_back(signal);
    }
  };
  // Before other threads start: they inherit the signals that are blocked here.
  if (auto added =
          (*loop)->addSignalHandler({SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT}, signalled);
      !added) {
    return failWith(added.error(), options);
  }
  net::ServiceManager manager = net::ServiceManager::ofEnvironment();
  if (auto watched = manager.watch(**loop); !watched) return failWith(watched.error(), options);
  Program program(**loop, manager, options);
  if (const auto started = program.start(); !started) {
    return failWith(started.error(), options, "join");
  }
  (*loop)->post([&] {
    running = &program;
    for (const int signal : early) program.signalled(signal);
  });
  return program.run();
}

}  // namespace

int main(int count, char** words) {
  command::prepareProcess();
  // One heap for all threads: they allocate little, and each heap of its own grows by a page and a
  // system call at a time.
  ::mallopt(M_ARENA_MAX, 1);
  PeerOptions options;
  const bool terminal = ::isatty(STDIN_FILENO) != 0;
  const std::vector<std::string> arguments(words + 1, words + count);
  const auto parsed = parsePeerOptions(arguments, command::processEnvironment(), terminal, options);
  if (!parsed) {
    // The mistake may stand before --json, which says how it is to be reported.
    options.json = options.json || std::count(arguments.begin(), arguments.end(), "--json") > 0;
    return failWith(parsed.error(), options);
  }
  if (parsed->text) return command::print(*parsed->text);
  log::setLevel(options.quiet ? std::max(options.logLevel, log::Level::warning) : options.logLevel);
  if (const auto limit = net::raiseDescriptorLimit(); !limit) {
    log::warning("{}", limit.error().message);
  }
  try {
    return run(options);
  } catch (const std::system_error& error) {  // of a thread that can't be started
    return failWith({ErrorCode::io, fmt::format("cannot start: {}", error.what())}, options);
  }
}
