#include "peer/core/link_reports.h"

#include <utility>
#include <vector>

#include "common/base/limits.h"

namespace espalier::peer {

wire::Links linksOf(const Tree& tree) {
  wire::Links links;
  if (tree.parent()) links.parent = tree.parent()->contact.id;
  for (const auto& neighbour : tree.neighbours()) {
    links.neighbours.push_back(neighbour.contact.id);
  }
  return links;
}

void LinkReports::advance(const Tree& tree, TimePoint now, Effects& fx) {
  // Without the metaserver nothing is reported: the next Join has the links.
  if (!session_.joined()) return stop();
  if (now >= check_.deadline()) linksChanged(now);
  if (now >= sendAt_) send(tree, now, fx);
}

void LinkReports::send(const Tree& tree, TimePoint now, Effects& fx) {
  sendAt_ = kNever;
  (void)all_.spend(limits::Rate::reports, now);
  std::vector<std::pair<PeerId, ConnectionId>> links;
  for (const auto& neighbour : tree.neighbours()) {
    links.emplace_back(neighbour.contact.id, neighbour.connection);
  }
  check_.asked(session_.ask(linksOf(tree), fx), links, now);
}

}  // namespace espalier::peer
