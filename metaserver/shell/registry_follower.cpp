#include "metaserver/shell/registry_follower.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <thread>

#include "common/base/limits.h"

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
    forPage_.changed(changes);
    copy_.apply(std::move(changes));
    if (!more) return moment;
    std::this_thread::sleep_for(kBetweenPages);
  }
}

MemberChanges RegistryFollower::takeForDatabase(bool all) {
  if (all) forDatabase_.reset();
  return forDatabase_.take(copy_, kDatabasePage);
}

MemberChanges RegistryFollower::takeForPage(bool all) {
  if (all) forPage_.reset();
  MemberChanges whole;
  while (true) {
    auto page = forPage_.take(copy_, limits::kMembers);
    whole.fromScratch |= page.fromScratch;
    whole.gone.insert(whole.gone.end(), page.gone.begin(), page.gone.end());
    std::ranges::move(page.rows, std::back_inserter(whole.rows));
    if (!page.more) return whole;
  }
}

command::Topology topologyOf(const RegistryCopy& copy) {
  command::Topology topology;
  topology.peers.reserve(copy.rows().size());
  for (const auto& [order, row] : copy.rows()) {
    topology.peers.push_back({row->contact.id, row->contact.endpoint, copy.linksOf(*row)});
  }
  return topology;
}

}  // namespace espalier::metaserver::shell
