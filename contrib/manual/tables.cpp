// Prints the tables of options and commands of both programs as JSON (common/command/describe.h).
// Runs while the project is built.
#include <array>
#include <cstddef>
#include <iostream>

#include "common/command/describe.h"
#include "common/web/page_server.h"
#include "metaserver/shell/cluster_commands.h"
#include "metaserver/shell/commands.h"
#include "metaserver/shell/options.h"
#include "peer/shell/commands.h"
#include "peer/shell/options.h"

namespace {

using namespace espalier;

// A service for a table whose handlers nobody calls. A reference to storage without an object may
// be bound and copied ([basic.life]); that is all that tables do with it.
template <typename Service>
Service& uncalled() {
  alignas(Service) static std::array<std::byte, sizeof(Service)> storage;
  return reinterpret_cast<Service&>(storage);
}

// As the programs do: `web` before `stop`, which stands last.
std::vector<command::Command> withPage(std::vector<command::Command> commands,
                                       web::PageServer& page) {
  commands.insert(commands.end() - 1, page.command());
  return commands;
}

command::Json metaserverTables(web::PageServer& page) {
  using namespace metaserver::shell;
  MetaserverOptions options;
  const command::Dispatcher dispatcher(
      withPage(metaserverCommands(uncalled<MetaserverService>(), uncalled<ClusterService>()), page),
      {}, originalCommands());
  return command::described(metaserverProgram(options), dispatcher, originalCommands());
}

command::Json peerTables(web::PageServer& page) {
  using namespace peer::shell;
  PeerOptions options;
  const Services services{uncalled<SearchService>(),
                          uncalled<DownloadService>(),
                          uncalled<TransferService>(),
                          uncalled<PushService>(),
                          uncalled<ShareService>(),
                          uncalled<TopologyService>(),
                          uncalled<StatusService>(),
                          uncalled<PrivateService>(),
                          uncalled<RoomService>(),
                          uncalled<FeedbackService>(),
                          [] {}};
  const command::Dispatcher dispatcher(withPage(peerCommands(services), page));
  return command::described(peerProgram(options), dispatcher);
}

}  // namespace

int main() {
  web::PageServer page({}, {});
  command::Json tables;
  tables["version"] = command::programVersion();
  tables["metaserver"] = metaserverTables(page);
  tables["peer"] = peerTables(page);
  std::cout << tables.dump(1) << "\n";
  return std::cout.flush() ? 0 : 74;
}
