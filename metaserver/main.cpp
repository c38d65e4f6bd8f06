// The metaserver: builds the graph of its objects, and runs it until Ctrl-C, SIGTERM or the command
// `stop`.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <csignal>
#include <system_error>
#include <utility>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/command/control_server.h"
#include "common/command/log_writer.h"
#include "common/command/options.h"
#include "common/command/program.h"
#include "common/command/words.h"
#include "common/net/address.h"
#include "common/net/event_loop.h"
#include "metaserver/shell/commands.h"
#include "metaserver/shell/options.h"
#include "metaserver/shell/server.h"

namespace {

using namespace espalier;
using namespace espalier::metaserver::shell;

int failWith(const Error& error, const MetaserverOptions& options) {
  const auto& commands = options.commands;
  return command::failWith(error,
                           {"metaserver", options.json,
                            commands.empty() ? "metaserver" : command::commandOf(commands[0])});
}

// Runs the commands of -e in the metaserver that is running on this state folder.
int runCommandsThere(const MetaserverOptions& options) {
  const auto code = command::runOnStandardStreams({"the metaserver", options.state},
                                                  options.commands, options.json, false);
  if (code) return *code;
  return failWith({ErrorCode::unavailable, "no metaserver runs on " + escaped(options.state)},
                  options);
}

Result<void> serve(const MetaserverOptions& options) {
  for (const auto& [name, path] :
       {std::pair("--topo", options.topoFile), {"--count-file", options.countFile}}) {
    const auto fits = checkOutputFile(path);
    if (!fits) return Error{fits.error().code, fmt::format("{}: {}", name, fits.error().message)};
  }
  const auto budget = std::make_shared<Budget>();
  log::useBudget(budget);
  auto loop = net::EventLoop::create(budget);
  if (!loop) return loop.error();
  bool stopped = false;
  const auto stopOnSignal = [&](int) {
    log::info("stopping");
    stopped = true;
    (*loop)->stop();
  };
  if (auto added = (*loop)->addSignalHandler({SIGINT, SIGTERM, SIGHUP}, stopOnSignal); !added) {
    return added.error();
  }
  const command::LogWriter logWriter;
  // The port first: a second metaserver on it must not touch any file.
  auto server = Server::bind(**loop, options);
  if (stopped) return {};
  if (!server) return server.error();
  const command::Dispatcher dispatcher(metaserverCommands(**server));
  auto control = command::ControlServer::claim(options.state);
  if (!control) return control.error();
  if (auto opened = (*server)->open(); !opened) return opened.error();
  (*control)->onRestored([&] { (*server)->restoreState(); });
  if (auto served = (*control)->serve(dispatcher); !served) return served;
  log::info("metaserver ready on {}, network in {}; now start peers", (*server)->address().text(),
            options.topoFile);
  (*loop)->run();
  return {};
}

}  // namespace

int main(int count, char** words) {
  command::prepareProcess();
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
