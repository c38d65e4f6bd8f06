// The metaserver: builds the graph of its objects, and runs it until SIGTERM, the command `stop`,
// or Ctrl-C where there is no prompt.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/command/control_server.h"
#include "common/command/log_writer.h"
#include "common/command/options.h"
#include "common/command/printing.h"
#include "common/command/program.h"
#include "common/command/words.h"
#include "common/net/address.h"
#include "common/net/event_loop.h"
#include "common/net/service_manager.h"
#include "common/web/page_server.h"
#include "metaserver/shell/cluster_commands.h"
#include "metaserver/shell/commands.h"
#include "metaserver/shell/console.h"
#include "metaserver/shell/instances.h"
#include "metaserver/shell/options.h"
#include "metaserver/shell/page_source.h"
#include "metaserver/shell/running_here.h"
#include "metaserver/shell/server.h"
#include "web/page.h"

namespace {

using namespace espalier;
using namespace espalier::metaserver::shell;

int failWith(const Error& error, const MetaserverOptions& options) {
  const auto& commands = options.commands;
  return command::failWith(error,
                           {"metaserver", options.json,
                            commands.empty() ? "metaserver" : command::commandOf(commands[0])});
}

// The state folder of the metaserver that the commands of -e are for.
Result<std::string> stateOfCommands(const MetaserverOptions& options) {
  if (!options.given.state.empty() || options.hasFilesByPort()) return options.state;
  const auto folders = stateFoldersHere();
  const bool only = folders.size() <= 1 && options.given.name.empty();
  if (only) return folders.empty() ? options.state : folders.front();
  return chooseRunning(findRunning(folders), options.given.name);
}

// Runs the commands of -e in the metaserver that is running on this state folder.
int runCommandsThere(const MetaserverOptions& options) {
  const auto state = stateOfCommands(options);
  if (!state) return failWith(state.error(), options);
  const auto code = command::runOnStandardStreams({"the metaserver", *state}, options.commands,
                                                  options.json, false);
  if (code) return *code;
  return failWith({ErrorCode::unavailable, "no metaserver runs on " + escaped(*state)}, options);
}

Result<void> checkOutputFiles(const MetaserverOptions& options) {
  for (const auto& [name, path] :
       {std::pair("--topo", options.topoFile), {"--count-file", options.countFile}}) {
    const auto fits = checkOutputFile(path);
    if (!fits) return Error{fits.error().code, fmt::format("{}: {}", name, fits.error().message)};
  }
  return {};
}

// SIGTERM and SIGHUP end the loop, and so does Ctrl-C unless there is a prompt. All on the loop's
// thread.
class Signals {
 public:
  explicit Signals(net::EventLoop& loop) : loop_(loop) {}

  // Before any thread starts: threads inherit the signals that are blocked here.
  Result<void> handle(bool withPrompt) {
    const auto handler = [this](int signal) { signalled(signal); };
    if (!withPrompt) return loop_.addSignalHandler({SIGINT, SIGTERM, SIGHUP}, handler);
    return loop_.addSignalHandler({SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT}, handler);
  }
  // Null: there is no prompt any more.
  void show(Console* console) { console_ = console; }
  bool haveStopped() const { return stopped_; }

 private:
  void signalled(int signal) {
    if (signal == SIGWINCH || signal == SIGCONT) {
      if (console_ != nullptr) console_->terminalChanged(signal);
    } else if (signal == SIGINT && console_ != nullptr) {
      console_->interrupt();
    } else {
      log::info("stopping");
      stopped_ = true;
      loop_.stop();
    }
  }

  net::EventLoop& loop_;
  Console* console_ = nullptr;
  bool stopped_ = false;
};

// Runs the loop, and beside it the prompt if there is a terminal.
Result<void> run(net::EventLoop& loop, const command::Dispatcher& dispatcher,
                 ClusterService& cluster, bool json, Signals& signals) {
  if (!Console::isWanted()) {
    loop.run();
    return {};
  }
  const auto question = [&cluster] {
    const auto self = cluster.self();
    return (self ? command::printable(self->name.text()) : "metaserver") + "> ";
  };
  Console console(dispatcher, question, json, [&loop] { loop.stop(); });
  if (auto started = console.start(); !started) return started;
  signals.show(&console);
  loop.run();
  signals.show(nullptr);
  return {};
}

Result<void> serve(const MetaserverOptions& options) {
  if (auto fit = checkOutputFiles(options); !fit) return fit;
  const auto budget = std::make_shared<Budget>();
  log::useBudget(budget);
  auto loop = net::EventLoop::create(budget);
  if (!loop) return loop.error();
  net::ServiceManager manager = net::ServiceManager::ofEnvironment();
  if (auto watched = manager.watch(**loop); !watched) return watched;
  Signals signals(**loop);
  if (auto handled = signals.handle(Console::isWanted()); !handled) return handled;
  // A prompt prints the log itself.
  std::unique_ptr<command::LogWriter> logWriter;
  if (!Console::isWanted() || !Console::showsLog()) {
    logWriter = std::make_unique<command::LogWriter>();
  }
  // The port first: a second metaserver on it must not touch any file.
  auto server = Server::bind(**loop, options);
  if (signals.haveStopped()) return {};
  if (!server) return server.error();
  if (options.listen.port == 0) (*server)->choosePort();
  const auto& chosen = (*server)->options();
  if (auto fit = checkOutputFiles(chosen); !fit) return fit;
  ClusterService& cluster = **server;
  PageSource source(**server);
  web::PageServer page({chosen.web, chosen.webHost}, web::pageAssets());
  auto commands = metaserverCommands(**server, cluster);
  commands.insert(commands.end() - 1, page.command());  // `stop` stands last
  const command::Dispatcher dispatcher(std::move(commands), metaserverNames(**server, cluster),
                                       originalCommands());
  auto control = command::ControlServer::claim(chosen.state);
  if (!control) return control.error();
  if (auto opened = (*server)->open(); !opened) return opened.error();
  (*control)->onRestored([&] { (*server)->restoreState(); });
  if (auto served = (*control)->serve(dispatcher); !served) return served;
  const auto post = [&loop](std::function<void()> function) { (*loop)->post(std::move(function)); };
  if (auto started = page.start(dispatcher, source, post); !started) return started;
  log::info("metaserver ready on {}, network in {}; now start peers", (*server)->address().text(),
            chosen.topoFile);
  manager.ready("serving on " + (*server)->address().text());
  // Ended before the server, which is their entry.
  Instances instances(**loop, chosen, [&] { return (*server)->address(); });
  if (chosen.instances > 0) {
    if (auto started = instances.start(); !started) return started;
  }
  const auto ran = run(**loop, dispatcher, cluster, options.json, signals);
  page.stop();
  if (const auto& why = (*server)->whyEnded()) return *why;
  // What still logs must not block on a stopped terminal.
  if (!logWriter) logWriter = std::make_unique<command::LogWriter>();
  return ran;
}

// An instance executes /proc/self/exe, which stays the same program while its file is replaced, and
// is called "exe" in lists of processes.
void takeOwnName() {
  std::array<char, 17> name{};
  if (::prctl(PR_GET_NAME, name.data()) != 0 || std::string_view(name.data()) != "exe") return;
  ::prctl(PR_SET_NAME, "metaserver");
}

}  // namespace

int main(int count, char** words) {
  command::prepareProcess();
  takeOwnName();
  // Large blocks, of which most are texts of files, go back to the system. Else the C library would
  // keep more and more of them in its heap: 280 bytes for each of 5,000 members.
  ::mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  MetaserverOptions options;
  const std::vector<std::string> arguments(words + 1, words + count);
  const auto parsed = parseMetaserverOptions(arguments, command::processEnvironment(), options);
  if (!parsed) {
    // The mistake may come before --json on the command line.
    options.json = options.json || std::count(arguments.begin(), arguments.end(), "--json") > 0;
    return failWith(parsed.error(), options);
  }
  if (parsed->text) return command::print(*parsed->text);
  log::setLevel(options.logLevel);
  try {
    if (!options.commands.empty()) return runCommandsThere(options);
    if (const auto limit = net::raiseDescriptorLimit(); !limit) {
      log::warning("{}", limit.error().message);
    }
    net::reserveDescriptors(limits::kConnections);
    if (const auto served = serve(options); !served) return failWith(served.error(), options);
    return 0;
  } catch (const std::system_error& error) {  // no thread could be started
    return failWith({ErrorCode::io, fmt::format("cannot start: {}", error.what())}, options);
  }
}
