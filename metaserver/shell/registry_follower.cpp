#include "metaserver/shell/registry_follower.h"

#include <chrono>
#include <thread>

namespace espalier::metaserver::shell {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kDatabasePage = 4096;
constexpr std::size_t kPage = 256;  // members: some 0.1 ms under the mutex
// Between two pages: otherwise the thread that released the mutex would mostly take it again.
constexpr auto kBetweenPages = 50us;

}  // namespace

RegistryFollower::Moment RegistryFollower::catchUp(
    Guarded<std::unique_ptr<cluster::Coordinator>>& coordinator) {
  while (true) {
    Moment moment;
    auto changes = coordinator.with([&](auto& there) {
      auto page = there->takeChanges(kPage);
      moment = there->moment();
      return page;
    });
    const bool more = changes.more;
    forDatabase_.changed(changes);
    copy_.apply(std::move(changes));
    if (!more) return moment;
    std::this_thread::sleep_for(kBetweenPages);
  }
}

MemberChanges RegistryFollower::takeForDatabase(bool all) {
  if (all) forDatabase_.reset();
  return forDatabase_.take(copy_, kDatabasePage);
}

command::Topology topologyOf(const RegistryCopy& copy) {
  command::Topology topology;
  topology.peers.reserve(copy.rows().size());
  for (const auto& [order, row] : copy.rows()) {
    topology.peers.push_back({row.contact.id, row.contact.endpoint, copy.linksOf(row)});
  }
  return topology;
}

}  // namespace espalier::metaserver::shell
