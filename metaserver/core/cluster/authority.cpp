#include "metaserver/core/cluster/authority.h"

#include <iterator>
#include <utility>

namespace espalier::metaserver::cluster {
namespace {

constexpr std::size_t kPage = 1024;  // changes that are taken at once

}  // namespace

Authority::Authority(Registry::Options options, Budget& budget, TimePoint now,
                     metaserver::Effects& fx)
    : registry(std::move(options), budget, now, fx), remote(registry) {}

void Authority::begin(Epoch epoch, Directory start) {
  // What was taken until now went to another reader.
  while (registry.takeChanges(kPage).more) {
  }
  for (auto& row : registry.followAbsent()) start.putAbsent(std::move(row));
  publication = Publication(epoch, std::move(start));
  publication.setAwaiting(registry.awaiting());
  streams = MasterStreams(epoch);
}

void Authority::dropAnswers(ServerNumber home) {
  answers.erase(home);
  for (auto& commit : commits) commit.answers.erase(home);
}

std::vector<wire::Delta> Authority::publish() {
  std::vector<wire::Delta> deltas;
  AbsentChanges absent = registry.takeAbsentChanges();
  publication.setAwaiting(registry.awaiting());
  for (bool more = true; more;) {
    MemberChanges changes = registry.takeChanges(kPage);
    more = changes.more;
    AbsentChanges now{std::exchange(absent.rows, {}), {}};
    if (!more) now.gone = std::move(absent.gone);
    auto some = publication.publish(std::move(changes), std::move(now));
    deltas.insert(deltas.end(), std::make_move_iterator(some.begin()),
                  std::make_move_iterator(some.end()));
  }
  return deltas;
}

}  // namespace espalier::metaserver::cluster
