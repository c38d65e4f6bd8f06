#include "tests/simulation/push_witness.h"

#include <algorithm>
#include <array>

#include "peer/core/push_id.h"
#include "tests/simulation/world.h"

namespace espalier::simulation {

using peer::PushPolicy;
using wire::PushEnd;
using wire::PushState;

namespace {

constexpr std::array kStates = {PushState::offered, PushState::accepted, PushState::lost,
                                PushState::failed,  PushState::declined, PushState::verified};
constexpr std::array kNames = {"offered", "accepted", "lost", "failed", "declined", "verified"};

const char* nameOf(PushState state) {
  return kNames[static_cast<std::size_t>(state)];
}

std::string told(const peer::Pushes::View& view) {
  std::string text = fmt::format("end {}", static_cast<int>(view.offer.end));
  for (const auto& entry : view.ledger.entries()) {
    text += fmt::format(", {} {} {}", entry.idText(), nameOf(entry.state()), entry.version());
  }
  return text;
}

// Nothing if the peer knows what a liar offers under that id.
std::optional<peer::Pushes::View> viewOf(const World& world, NodeId node, const SentPush& push) {
  const auto* pushes = world.peer(node).pushes();
  auto view = pushes != nullptr ? pushes->view(push.id) : std::nullopt;
  if (view && !peer::isCommitted(view->offer)) return std::nullopt;
  return view;
}

}  // namespace

SentPush* PushWitness::find(const PushId& id) {
  const auto found =
      std::find_if(pushes_.begin(), pushes_.end(), [&](const auto& push) { return push.id == id; });
  return found == pushes_.end() ? nullptr : &*found;
}

const SentPush* PushWitness::find(const PushId& id) const {
  return const_cast<PushWitness*>(this)->find(id);
}

void PushWitness::cancelled(const PushId& id) {
  if (auto* push = find(id)) push->cancelled = true;
}

void PushWitness::finished(const PushId& id, TimePoint now) {
  if (auto* push = find(id)) push->lastFinished = now;
}

bool PushWitness::hasAll(NodeId node, const SentPush& push) const {
  const auto& disk = world_.disk(node);
  const auto stored = disk.find(push.root);
  return stored != disk.end() && stored->second.chunks == push.chunks;
}

bool PushWitness::accepts(NodeId node, const SentPush& push) const {
  const auto& policy = world_.conduct(node).accepts;
  const auto sender = *PeerId::parse(world_.id(push.sender));
  if (node == push.sender || policy.from == PushPolicy::From::none) return false;
  if (policy.from == PushPolicy::From::some && !policy.senders.contains(sender)) return false;
  return push.chunks.size() * limits::kPushChunkBytes <= policy.limitBytes;
}

PushState PushWitness::stateOf(NodeId node, const SentPush& push) const {
  const auto view = viewOf(world_, node, push);
  if (!view) return PushState::offered;
  const auto entry = view->ledger.find(*PeerId::parse(world_.id(node)));
  return entry ? entry->state() : PushState::offered;
}

bool PushWitness::isGiven(const SentPush& push) const {
  const auto awake = world_.awake();
  return std::any_of(awake.begin(), awake.end(), [&](NodeId node) {
    const bool gives = node == push.sender ? world_.life(node) == push.senderLife
                                           : stateOf(node, push) == PushState::verified;
    const auto& conduct = world_.conduct(node);
    return gives && conduct.lies.empty() && !conduct.spoils && !conduct.hoards &&
           hasAll(node, push);
  });
}

// --- at every moment ---

void PushWitness::lied(NodeId taker, const PushId& id, const PeerId& source) {
  liars_.insert({taker, world_.life(taker), id, source});
}

PushWitness::Wrong PushWitness::job(NodeId node, const peer::PushJob& job) const {
  if (const auto* from = std::get_if<peer::PushTakeFrom>(&job)) {
    if (!liars_.contains({node, world_.life(node), from->id, from->source.id})) return std::nullopt;
    return fmt::format("{} takes from {} again, which lied", world_.id(node),
                       from->source.id.text());
  }
  const auto* wanted = std::get_if<peer::PushReceive>(&job);
  if (wanted == nullptr || !world_.isHonest(node)) return std::nullopt;
  const auto* push = find(wanted->id);
  if (push == nullptr || wanted->files.size() != 1 || wanted->files[0].root != push->root) {
    if (world_.hasLiars()) return std::nullopt;  // a liar offered it
    return world_.id(node) + " takes what nobody sent";
  }
  if (!accepts(node, *push)) return world_.id(node) + " takes what it does not accept";
  return std::nullopt;
}

PushWitness::Wrong PushWitness::changed(NodeId node, const PushId& id) {
  auto* push = find(id);
  if (push == nullptr) return std::nullopt;
  const auto view = viewOf(world_, node, *push);
  Seen& seen = seen_[{node, id}];
  if (seen.life != world_.life(node)) seen = {world_.life(node)};
  // Liars must displace none. Otherwise more pushes than there are places may do that.
  const bool isOld = world_.now() >= seen.changedAt + limits::kPushKept;
  if (!view && (isOld || !world_.hasLiars())) push->forgotten = true;
  seen.changedAt = world_.now();
  if (std::exchange(seen.isKnown, view.has_value()) && !view) {
    for (const NodeId taker : groupOf(node)) {
      if (!push->cancelled && stateOf(taker, *push) == PushState::accepted) {
        return fmt::format("{} forgets a push that {} still takes", world_.id(node),
                           world_.id(taker));
      }
    }
  }
  if (!view) {
    seen.ledger = {};
    return std::nullopt;
  }
  if (view->offer.end != PushEnd::open && !push->cancelled) {
    return fmt::format("a push of {} ends at {}, and its sender has not ended it",
                       world_.id(push->sender), world_.id(node));
  }
  if (view->offer.end == PushEnd::cancelled) push->heardCancel.emplace(node, world_.life(node));
  const auto entries = view->ledger.entries();
  for (const PushState state : kStates) {
    const auto counted = std::count_if(entries.begin(), entries.end(),
                                       [&](const auto& each) { return each.state() == state; });
    if (view->ledger.count(state) != static_cast<std::size_t>(counted)) {
      return fmt::format("{} counts {} as {}; there are {}", world_.id(node),
                         view->ledger.count(state), nameOf(state), counted);
    }
  }
  if (world_.hasLiars()) return std::nullopt;
  if (auto wrong = entriesOf(node, *push, *view)) return wrong;
  seen.ledger = view->ledger;
  return std::nullopt;
}

// Compares the entries with the truth, and with those of before.
PushWitness::Wrong PushWitness::entriesOf(NodeId node, const SentPush& push,
                                          const peer::Pushes::View& view) const {
  const auto& seen = seen_.at({node, push.id});
  for (const auto& before : seen.ledger.entries()) {
    const auto now = view.ledger.find(before.id());
    if (!now || now->whole() < before.whole()) {
      return fmt::format("the ledger of {} goes back on {}", world_.id(node), before.idText());
    }
  }
  for (const auto& entry : view.ledger.entries()) {
    if (entry.state() != PushState::verified) continue;
    const auto before = seen.ledger.find(entry.id());
    if (before && before->whole() == entry.whole()) continue;
    const auto holder = world_.named(std::string(entry.idText()));
    if (!holder || !hasAll(*holder, push)) {
      return fmt::format("{} calls {} verified, which has not all", world_.id(node),
                         entry.idText());
    }
  }
  return std::nullopt;
}

// --- at rest ---

std::vector<NodeId> PushWitness::judged() const {
  auto peers = world_.awake();
  std::erase_if(peers, [this](NodeId node) { return !world_.isHonest(node); });
  return peers;
}

PushWitness::Group PushWitness::groupOf(NodeId node) const {
  const auto peers = judged();
  if (!world_.hasLiars()) return peers;
  Group group;
  if (std::find(peers.begin(), peers.end(), node) != peers.end()) group.push_back(node);
  for (std::size_t i = 0; i < group.size(); ++i) {
    const NodeId at = group[i];
    for (const NodeId other : peers) {
      const bool isLinked = world_.parent(at) == other || world_.parent(other) == at;
      const bool isNew = std::find(group.begin(), group.end(), other) == group.end();
      if (isLinked && isNew) group.push_back(other);
    }
  }
  return group;
}

// Whether both say the same of the peers in the group.
bool PushWitness::agree(const peer::Ledger& one, const peer::Ledger& other,
                        const Group& group) const {
  if (!world_.hasLiars()) return one == other;
  return std::all_of(group.begin(), group.end(), [&](NodeId node) {
    const auto id = *PeerId::parse(world_.id(node));
    const auto a = one.find(id);
    const auto b = other.find(id);
    return a.has_value() == b.has_value() && (!a || a->whole() == b->whole());
  });
}

// The state in the peer's own entry.
PushWitness::Wrong PushWitness::ended(NodeId node, const SentPush& push,
                                      const peer::Pushes::View& view) const {
  const auto entry = view.ledger.find(*PeerId::parse(world_.id(node)));
  const auto is = [&](PushState state) { return entry && entry->state() == state; };
  const bool withReason = entry && !entry->reason().empty();
  bool right = false;
  if (push.cancelled && !entry) {
    right = true;
  } else if (node == push.sender || is(PushState::verified)) {
    right = is(PushState::verified) && hasAll(node, push);
  } else if (!accepts(node, push)) {
    right = is(PushState::declined) && withReason;
  } else {
    const bool mayFail = push.cancelled || world_.conduct(node).diskFails || !isGiven(push);
    right = mayFail && is(PushState::failed) && withReason;
  }
  if (right) return std::nullopt;
  return fmt::format("a push of {} ended for {} as {} \"{}\"", world_.id(push.sender),
                     world_.id(node), entry ? nameOf(entry->state()) : "nothing",
                     entry ? entry->reason() : "");
}

PushWitness::Wrong PushWitness::atRest(const SentPush& push, const Group& group) const {
  std::optional<NodeId> first;
  std::optional<peer::Pushes::View> firstView;
  std::vector<NodeId> ignorant;
  std::size_t having = 0;
  std::size_t counted = 0;
  for (const NodeId node : group) {
    having += hasAll(node, push) ? 1 : 0;
    auto view = viewOf(world_, node, push);
    if (!view) {
      ignorant.push_back(node);
      continue;
    }
    if (auto wrong = ended(node, push, *view)) return wrong;
    // A peer that joined after the end does not pass the ledger on.
    const bool mayDiffer = view->offer.end != PushEnd::open || push.forgotten;
    if (!first) {
      first = node;
      firstView = std::move(view);
    } else if ((!mayDiffer && !agree(view->ledger, firstView->ledger, group)) ||
               view->offer.end != firstView->offer.end) {
      return fmt::format("of a push of {} {} knows: {}; but {}: {}", world_.id(push.sender),
                         world_.id(*first), told(*firstView), world_.id(node), told(*view));
    }
  }
  if (!first || push.forgotten) return std::nullopt;
  if (!ignorant.empty() && firstView->offer.end == PushEnd::open) {
    return fmt::format("{} does not know of a push of {}", world_.id(ignorant.front()),
                       world_.id(push.sender));
  }
  // If all peers that heard of the cancellation are gone, no peer knows of it.
  const bool isHeard = std::any_of(group.begin(), group.end(), [&](NodeId node) {
    return push.heardCancel.contains({node, world_.life(node)});
  });
  if (isHeard && firstView->offer.end != PushEnd::cancelled) {
    return fmt::format("a push of {} was cancelled, and goes on", world_.id(push.sender));
  }
  for (const NodeId node : group) {
    const auto entry = firstView->ledger.find(*PeerId::parse(world_.id(node)));
    counted += entry && entry->state() == PushState::verified ? 1 : 0;
  }
  if (push.cancelled || counted == having) return std::nullopt;
  return fmt::format("{} peers have all of a push of {}; {} are counted", having,
                     world_.id(push.sender), counted);
}

PushWitness::Wrong PushWitness::atRest() const {
  std::set<NodeId> done;
  for (const NodeId node : judged()) {
    if (done.contains(node)) continue;
    const Group group = groupOf(node);
    done.insert(group.begin(), group.end());
    for (const auto& push : pushes_) {
      if (auto wrong = atRest(push, group)) return wrong;
    }
  }
  return std::nullopt;
}

}  // namespace espalier::simulation
