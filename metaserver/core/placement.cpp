#include "metaserver/core/placement.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "topo/plan.h"

namespace espalier::metaserver {
namespace {

using namespace std::chrono_literals;

// A newcomer tries its slot for kReferralRetry. The slot must stay reserved until it asks for
// another one.
constexpr auto kReservation = limits::kReferralRetry + 5s;
// By then an orphan has normally asked by itself.
constexpr auto kParentlessFor = 2s;

}  // namespace

Placement::Placement(SeenTree& seen, topo::Rule rule) : seen_(seen), rule_(rule) {
  if (rule == topo::Rule::nearest) seen_.indexAddresses();
}

Placement::Member& Placement::member(Node node) {
  if (members_.size() <= topo::number(node)) members_.resize(topo::number(node) + 1);
  return members_[topo::number(node)];
}

void Placement::load(const std::vector<MemberRow>& rows, TimePoint now) {
  seen_.load(rows);
  for (const auto& [order, node] : seen_.byOrder()) {
    if (!seen_.reported(node).parent) {
      parentless_.insert(order);
      member(node).toldFrom = now + kParentlessFor;
    }
    if (seen_.isReserved(node)) letLapse(node, now);
  }
}

bool Placement::report(Node node, const std::optional<PeerId>& parent,
                       const std::vector<PeerId>& neighbours, TimePoint now) {
  const JoinOrder order = seen_.tree().member(node).order;
  if (parent) {
    parentless_.erase(order);
    member(node).failed = {};
  } else if (parentless_.insert(order).second) {
    member(node).toldFrom = now + kParentlessFor;
  }
  return seen_.report(node, parent, neighbours);
}

wire::Referral Placement::below(Node parent) const {
  return {wire::Referral::Kind::below, seen_.contact(parent)};
}

bool Placement::failed(Node node, Node parent) {
  const auto& failed = member(node).failed.latest;
  const PeerId& id = seen_.tree().member(parent).id;
  return std::find(failed.begin(), failed.end(), id) != failed.end();
}

void Placement::reserve(Node node, Node parent, TimePoint now) {
  // A peer that is full itself gives up a child once it is accepted.
  if (seen_.reserve(node, parent)) letLapse(node, now);
}

void Placement::letLapse(Node node, TimePoint now) {
  member(node).reservation = ++reservations_;
  lapses_.push_back({now + kReservation, node, reservations_});
}

wire::Referral Placement::referralFor(Node node, const wire::Seek& seek, TimePoint now) {
  if (seek.failed) {
    auto& failed = member(node).failed;
    if (failed.latest.size() >= limits::kFailedReferrals) {
      failed.latest.erase(failed.latest.begin());
    }
    failed.latest.push_back(*seek.failed);
    ++failed.count;
  }
  const auto parent = seen_.tree().parent(node);
  if (!parent) return referToTree(node, now);
  if (seek.lost == seen_.tree().member(*parent).id) {
    if (const auto referral = planned(node, *parent)) return *referral;
  } else if (!failed(node, *parent)) {
    return below(*parent);
  }
  seen_.release(node);
  return referToTree(node, now);
}

// The slot by the plan for a death that the registry has not noticed yet. The tree changes when it
// notices the death.
std::optional<wire::Referral> Placement::planned(Node node, Node lost) {
  const Node dead[] = {lost};
  const auto plan = topo::planFailure(seen_.tree(), dead);
  if (plan.newRoot == node) return wire::Referral{wire::Referral::Kind::root, {}};
  for (const auto& attachment : plan.attachments) {
    if (attachment.orphan == node && !failed(node, attachment.parent)) {
      return below(attachment.parent);
    }
  }
  return std::nullopt;
}

wire::Referral Placement::referToTree(Node node, TimePoint now) {
  const topo::Forest& tree = seen_.tree();
  const auto root = tree.oldestRoot();
  if (root == node) return {wire::Referral::Kind::root, {}};
  const auto placed = [&] { return topo::place(tree, rule_, tree.member(node).endpoint); };
  auto parent = placed();
  std::size_t forgotten = member(node).failed.count - member(node).failed.latest.size();
  if (parent && (forgotten > 0 || failed(node, *parent))) {
    parent = topo::shallowestBelow(tree, *root, [&](Node other) {
      return !failed(node, other) && (forgotten == 0 || forgotten-- == 0);
    });
  }
  if (!parent) {
    member(node).failed = {};  // all slots have failed once: start again
    parent = placed();
  }
  reserve(node, *parent, now);
  return below(*parent);
}

std::vector<Placement::Told> Placement::remove(Node node, TimePoint now) {
  const Node dead[] = {node};
  const auto plan = topo::planFailure(seen_.tree(), dead);
  parentless_.erase(seen_.tree().member(node).order);
  seen_.remove(node);
  member(node) = Member();
  std::vector<Told> told;
  for (const auto& attachment : plan.attachments) {
    reserve(attachment.orphan, attachment.parent, now);
    // An orphan that still reports its parent will ask once it notices the death.
    if (!seen_.reported(attachment.orphan).parent) {
      told.push_back({attachment.orphan, below(attachment.parent)});
    }
  }
  return told;
}

std::vector<Placement::Told> Placement::tick(TimePoint now) {
  while (!lapses_.empty() && lapses_.front().at <= now) {
    const Lapse due = lapses_.front();
    lapses_.pop_front();
    if (member(due.node).reservation != due.reservation || !seen_.isReserved(due.node)) continue;
    seen_.release(due.node);
    seen_.restore(due.node);
  }
  seen_.restoreRoots();
  std::vector<Told> told;
  const auto root = seen_.tree().oldestRoot();
  for (const JoinOrder order : parentless_) {
    const Node node = seen_.byOrder().at(order);
    if (node == root || seen_.isReserved(node) || now < member(node).toldFrom) continue;
    member(node).toldFrom = now + limits::kSilence;
    const auto parent = seen_.tree().parent(node);
    told.push_back({node, parent ? below(*parent) : referToTree(node, now)});
  }
  return told;
}

Result<void> Placement::check() const {
  if (auto sound = seen_.check(); !sound) return sound;
  std::size_t parentless = 0;
  for (const auto& [order, node] : seen_.byOrder()) {
    const auto broken = [&, member = node](std::string_view what) {
      return Error{ErrorCode::failed,
                   fmt::format("{}: {}", seen_.tree().member(member).id.text(), what)};
    };
    if (!seen_.reported(node).parent) {
      ++parentless;
      if (!parentless_.contains(order)) return broken("reports no parent, and is not counted so");
    }
    if (!seen_.isReserved(node)) continue;
    const auto lapses = std::count_if(lapses_.begin(), lapses_.end(), [&, node = node](auto& one) {
      return one.node == node && one.reservation == members_[topo::number(node)].reservation;
    });
    if (lapses != 1) return broken("its reservation does not lapse once");
  }
  if (parentless != parentless_.size()) {
    return Error{ErrorCode::failed, "peers are taken for parentless that are not"};
  }
  return {};
}

}  // namespace espalier::metaserver
