#include "common/whatif/kill_plan.h"

#include <fmt/format.h>

#include "topo/plan.h"

namespace espalier::whatif {

Result<command::KillPlan> killPlan(const topo::Forest& tree, const PeerId& victim) {
  const auto node = tree.find(victim);
  if (!node) {
    return Error{ErrorCode::failed, fmt::format("{} is not in the network", victim.text())};
  }
  const topo::NodeIndex dead[] = {*node};
  const topo::Plan plan = topo::planFailure(tree, dead);
  command::KillPlan result;
  if (plan.newRoot) result.attachments.push_back({tree.member(*plan.newRoot).id, {}});
  for (const auto& attachment : plan.attachments) {
    result.attachments.push_back(
        {tree.member(attachment.orphan).id, tree.member(attachment.parent).id});
  }
  const topo::Forest after = topo::apply(tree, plan, dead);
  for (const topo::NodeIndex survivor : after.membersByOrder()) {
    const auto& member = after.member(survivor);
    command::NetworkPeer peer{member.id, member.endpoint, {}};
    for (const topo::NodeIndex neighbour : after.neighbours(survivor)) {
      peer.links.push_back(after.member(neighbour).id);
    }
    result.after.push_back(std::move(peer));
  }
  return result;
}

}  // namespace espalier::whatif
