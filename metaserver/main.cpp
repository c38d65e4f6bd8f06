// The metaserver: builds the graph of its objects, and runs it until Ctrl-C, SIGTERM or the command
// `stop`.
#include <csignal>
#include <cstdio>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/command/control.h"
#include "common/command/log_writer.h"
#include "common/command/options.h"
#include "common/command/runner.h"
#include "common/net/address.h"
#include "common/net/event_loop.h"
#include "metaserver/shell/commands.h"
#include "metaserver/shell/options.h"
#include "metaserver/shell/server.h"

namespace {

using namespace espalier;
using namespace espalier::metaserver::shell;

int failWith(const Error& error) {
  std::fprintf(stderr, "metaserver: %s\n", error.message.c_str());
  return exitCode(error.code);
}

// In the metaserver that runs on that state.
int runCommandsThere(const MetaserverOptions& options) {
  auto context = command::standaloneContext({}, false, false);
  const auto code =
      command::runInRunning(options.state, options.commands, context, command::standardOutput());
  if (code) return *code;
  return failWith({ErrorCode::unavailable, "no metaserver runs on " + options.state});
}

Result<void> serve(const MetaserverOptions& options) {
  auto loop = net::EventLoop::create();
  if (!loop) return loop.error();
  const auto stopOnSignal = [&](int) {
    log::info("stopping");
    (*loop)->stop();
  };
  if (auto added = (*loop)->addSignalHandler({SIGINT, SIGTERM, SIGHUP}, stopOnSignal); !added) {
    return added.error();
  }
  const command::LogWriter logWriter;
  // The port first: who does not get it touches no file.
  auto server = Server::bind(**loop, options);
  if (!server) return server.error();
  const command::Dispatcher dispatcher(metaserverCommands(**server));
  auto control = command::ControlServer::claim(options.state);
  if (!control) return control.error();
  if (auto opened = (*server)->open(); !opened) return opened.error();
  (*control)->onRestored([&] { (*server)->restoreState(); });
  (*control)->serve(dispatcher);
  log::info("metaserver ready on {}, network in {}; now start peers", (*server)->address().text(),
            options.topoFile);
  (*loop)->run();
  return {};
}

}  // namespace

int main(int count, char** words) {
  std::signal(SIGPIPE, SIG_IGN);
  MetaserverOptions options;
  const std::vector<std::string> arguments(words + 1, words + count);
  const auto parsed = parseMetaserverOptions(arguments, command::processEnvironment(), options);
  if (!parsed) return failWith(parsed.error());
  if (parsed->text) {
    std::fputs(parsed->text->c_str(), stdout);
    return 0;
  }
  log::setLevel(options.logLevel);
  if (!options.commands.empty()) return runCommandsThere(options);
  if (const auto limit = net::raiseDescriptorLimit(); !limit) {
    log::warning("{}", limit.error().message);
  }
  net::reserveDescriptors(limits::kConnections);
  if (const auto served = serve(options); !served) return failWith(served.error());
  return 0;
}
