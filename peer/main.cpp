// The peer: builds the graph of its objects, joins, and runs commands, a prompt, or neither, until
// it is told to stop.
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <memory>
#include <mutex>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/command/control.h"
#include "common/command/log_writer.h"
#include "common/command/options.h"
#include "common/command/printing.h"
#include "common/command/runner.h"
#include "common/command/signals.h"
#include "common/net/address.h"
#include "common/net/event_loop.h"
#include "peer/shell/commands.h"
#include "peer/shell/node.h"
#include "peer/shell/options.h"
#include "peer/shell/prompt.h"

namespace {

using namespace espalier;
using namespace espalier::peer::shell;

// As the first of the commands would fail that there are, or as `what`.
int failWith(const Error& error, const PeerOptions& options, std::string_view what = {}) {
  if (options.json) {
    if (!options.commands.empty()) what = options.commands[0];
    command::Json data;
    data["command"] = what.substr(0, what.find(' '));
    data["error"] = command::errorData(error);
    std::printf("%s\n", data.dump(-1, ' ', false, command::Json::error_handler_t::replace).c_str());
  } else {
    std::fprintf(stderr, "peer: %s\n", command::printable(error.message).c_str());
  }
  return exitCode(error.code);
}

// The end, asked for by a signal, a command, or the prompt.
class Ending {
 public:
  void request(int code) {
    const std::lock_guard lock(mutex_);
    if (!code_) code_ = code;
    stop_.request_stop();
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

// Logs above the line that is being typed.
void logTo(command::LineEditor* editor) {
  if (editor == nullptr) return log::setSink(nullptr, nullptr);
  log::setSink(
      [](std::string_view line, void* context) {
        if (line.ends_with('\n')) line.remove_suffix(1);
        static_cast<command::LineEditor*>(context)->notify(line);
      },
      editor);
}

class Program {
 public:
  Program(net::EventLoop& loop, const PeerOptions& options)
      : loop_(loop),
        options_(options),
        logWriter_(serves(options) ? std::make_unique<command::LogWriter>() : nullptr),
        node_(loop, options),
        dispatcher_(peerCommands(node_, {options.total}), peerNames(node_)) {
    node_.serveCommands(dispatcher_);
    node_.onStop([this] { end(0); });
  }

  // Ctrl-C cancels what a prompt runs, else ends the program.
  void signalled(int signal) {
    if (signal == SIGINT) {
      interrupt();
    } else if (signal == SIGWINCH || signal == SIGCONT) {
      terminalChanged(signal);
    } else {
      end(0);
    }
  }

  int run() {
    const bool alone = !options_.commands.empty() || options_.headless;
    const int code = alone ? runAlone() : runPrompt();
    node_.leave();
    return code;
  }

 private:
  // Whether it runs until it is told to end, without a prompt that its log could be shown above.
  static bool serves(const PeerOptions& options) {
    return options.headless && options.commands.empty();
  }

  // Any thread.
  void end(int code) {
    ending_.request(code);
    prompt_.with([](auto* prompt) {
      if (prompt != nullptr) prompt->close();
    });
  }

  void interrupt() {
    const bool cancelled = prompt_.with([](auto* prompt) {
      if (prompt != nullptr) prompt->interrupt();
      return prompt != nullptr;
    });
    if (!cancelled) end(exitCode(ErrorCode::interrupted));
  }

  void terminalChanged(int signal) {
    editor_.with([&](auto* editor) {
      if (editor == nullptr) return;
      signal == SIGWINCH ? editor->resized() : editor->resumed();
    });
  }

  int runAlone() {
    auto joined = joinAlone(node_, options_.id, options_.joinWord, ending_.token());
    if (!joined) {
      const auto code = ending_.code();
      return code && options_.headless ? *code : failWith(joined.error(), options_, "join");
    }
    if (!options_.quiet && !options_.json) log::info("{}", joinedLine(*joined));
    if (options_.commands.empty()) return endedHeadless(ending_.wait());
    auto context = command::standaloneContext(ending_.token(), options_.json, options_.quiet);
    return command::runCommands(dispatcher_, options_.commands, context, command::standardOutput());
  }

  // Ctrl-C is the usual way to end a peer without a prompt.
  static int endedHeadless(int code) { return code == exitCode(ErrorCode::interrupted) ? 0 : code; }

  int runPrompt() {
    command::LineEditor editor({STDIN_FILENO, STDOUT_FILENO, {}});
    Prompt prompt(editor, {options_.json, options_.quiet});
    prompt_.with([&](auto*& current) { current = &prompt; });
    editor_.with([&](auto*& current) { current = &editor; });
    if (ending_.code()) prompt.close();  // it was asked for before there was a prompt
    logTo(&editor);
    const auto joined = options_.id.empty() ? prompt.join(node_)
                                            : prompt.joinAs(node_, options_.id, options_.joinWord);
    int code = 0;
    if (!joined) {
      code = failWith(joined.error(), options_, "join");
    } else if (*joined) {
      prompt.run(dispatcher_, (*joined)->id);
    }
    logTo(nullptr);
    prompt_.with([](auto*& current) { current = nullptr; });
    editor_.with([](auto*& current) { current = nullptr; });
    return ending_.code().value_or(code);
  }

  net::EventLoop& loop_;
  const PeerOptions& options_;
  Ending ending_;
  Guarded<Prompt*> prompt_{nullptr};
  Guarded<command::LineEditor*> editor_{nullptr};
  std::unique_ptr<command::LogWriter> logWriter_;
  Node node_;
  command::Dispatcher dispatcher_;
};

// In the peer that already runs on that share, if one does.
std::optional<int> runInRunningPeer(const PeerOptions& options) {
  std::stop_source stop;
  const command::SignalWatch onInterrupt({SIGINT}, [&](int) { stop.request_stop(); });
  auto context = command::standaloneContext(stop.get_token(), options.json, options.quiet);
  return command::runInRunning(options.state, options.commands, context, command::standardOutput());
}

int run(PeerOptions options) {
  if (!options.commands.empty()) {
    if (const auto code = runInRunningPeer(options)) return *code;
    if (options.id.empty()) {
      return failWith({ErrorCode::usage, fmt::format("no peer runs on {}: with --id ID one joins "
                                                     "for these commands, and leaves again",
                                                     escaped(options.state))},
                      options);
    }
  }
  auto loop = net::EventLoop::create();
  if (!loop) return failWith(loop.error(), options);
  // The loop's thread, all of it. It may see a signal before it sees the program.
  Program* running = nullptr;
  std::vector<int> early;
  const auto signalled = [&](int signal) {
    if (running != nullptr) {
      running->signalled(signal);
    } else if (std::find(early.begin(), early.end(), signal) == early.end()) {
      early.push_back(signal);
    }
  };
  // Before there are other threads: they inherit what is blocked here.
  if (auto added =
          (*loop)->addSignalHandler({SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT}, signalled);
      !added) {
    return failWith(added.error(), options);
  }
  auto metaserver = net::resolve(options.metaserver);
  if (!metaserver) return failWith(metaserver.error(), options, "join");
  options.metaserver = *metaserver;
  Program program(**loop, options);
  (*loop)->post([&] {
    running = &program;
    for (const int signal : early) program.signalled(signal);
  });
  return program.run();
}

}  // namespace

int main(int count, char** words) {
  std::signal(SIGPIPE, SIG_IGN);
  // One heap for all threads: they allocate little, and each heap of its own grows by a page and a
  // system call at a time.
  ::mallopt(M_ARENA_MAX, 1);
  PeerOptions options;
  const bool terminal = ::isatty(STDIN_FILENO) != 0;
  const std::vector<std::string> arguments(words + 1, words + count);
  const auto parsed = parsePeerOptions(arguments, command::processEnvironment(), terminal, options);
  if (!parsed) {
    // The mistake may stand before the option that says how to tell it.
    options.json = options.json || std::count(arguments.begin(), arguments.end(), "--json") > 0;
    return failWith(parsed.error(), options);
  }
  if (parsed->text) {
    std::fputs(parsed->text->c_str(), stdout);
    return 0;
  }
  log::setLevel(options.quiet ? std::max(options.logLevel, log::Level::warning) : options.logLevel);
  if (const auto limit = net::raiseDescriptorLimit(); !limit) {
    log::warning("{}", limit.error().message);
  }
  return run(std::move(options));
}
