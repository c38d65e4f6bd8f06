#include "peer/core/peer.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/crypto/instance.h"

namespace espalier::peer {

void Peer::connect(TimePoint now, Effects& fx) {
  membership_.connect(now, fx);
}

void Peer::join(const PeerId& id, const InstanceKey& key, const std::string& word, TimePoint now,
                Effects& fx) {
  membership_.join(id, key, word, now, fx);
}

std::optional<std::uint64_t> Peer::ask(wire::RegistryRequest request, TimePoint now, Effects& fx) {
  return membership_.ask(std::move(request), now, fx);
}

void Peer::leave(TimePoint now, Effects& fx) {
  membership_.leave(now, fx);
}

void Peer::opened(ConnectionId connection, const std::string& localHost, TimePoint now, Effects& fx,
                  const wire::NetworkId& network) {
  if (parts_ && parts_->privates.owns(connection)) {
    return parts_->privates.opened(connection, now, fx);
  }
  membership_.opened(connection, localHost, now, fx, network);
}

void Peer::failed(ConnectionId connection, const Error& error, TimePoint now, Effects& fx) {
  if (parts_ && parts_->privates.owns(connection)) {
    return parts_->privates.failed(connection, error, now, fx);
  }
  membership_.failed(connection, error, now, fx);
}

void Peer::closed(ConnectionId connection, TimePoint now, Effects& fx) {
  if (parts_ && parts_->privates.owns(connection)) {
    return parts_->privates.closed(connection, now, fx);
  }
  membership_.closed(connection, now, fx);
}

void Peer::listening(const Endpoint& at, TimePoint now, Effects& fx) {
  membership_.listening(at, now, fx);
}

void Peer::listenFailed(const Error& error, TimePoint now, Effects& fx) {
  membership_.listenFailed(error, now, fx);
}

std::optional<std::uint64_t> Peer::received(ConnectionId connection,
                                            const wire::RegistryReply& reply, TimePoint now,
                                            Effects& fx) {
  const auto answered = membership_.received(connection, reply, now, fx);
  const auto* members = std::get_if<wire::Members>(&reply);
  if (answered && members != nullptr && parts_ && parts_->searches.awaitsMembers()) {
    wire::Members numbered = *members;
    numbered.number = *answered;  // an old metaserver repeats none
    parts_->searches.membersTold(numbered, now, fx);
  }
  if (const auto* topology = std::get_if<wire::Topology>(&reply);
      answered && topology != nullptr && parts_) {
    (void)parts_->privates.told(*answered, *topology, now, fx);
  }
  if (const auto* room = std::get_if<wire::RoomReply>(&reply); room != nullptr && parts_) {
    // Of the home itself, not of one that this peer is leaving.
    if (roomsHome_ == connection && membership_.session().roomsHome() == connection) {
      parts_->rooms.received(*room, now, fx.rooms);
    }
  }
  return answered;
}

void Peer::setWallClock(std::chrono::milliseconds sinceEpoch, TimePoint now) {
  wallClock_ = sinceEpoch;
  if (parts_) parts_->privates.setWallClock(sinceEpoch, now);
}

void Peer::privateAccepted(ConnectionId connection, std::string host, Account address,
                           TimePoint now, Effects& fx) {
  if (!parts_) return fx.closes.push_back({connection});
  parts_->privates.accepted(connection, std::move(host), std::move(address), now, fx);
}

void Peer::received(ConnectionId connection, const wire::PrivateFrame& frame, TimePoint now,
                    Effects& fx) {
  if (parts_) parts_->privates.received(connection, frame, now, fx);
}

void Peer::received(ConnectionId connection, const wire::LinkMessage& message, TimePoint now,
                    Effects& fx, std::string_view host) {
  membership_.received(connection, message, now, fx, host);
  // The components know a link before its first message. All else they are told at the step's end.
  if (!parts_ || membership_.hasLinkChanges()) tellComponents(now, fx);
  if (!parts_ || !tree()->owns(connection)) return;
  for (auto* part : parts_->all) {
    if (part->received(connection, message, now, fx)) return;
  }
}

void Peer::congested(ConnectionId connection) {
  if (!parts_) return;
  for (auto* part : parts_->all) part->congested(connection);
}

void Peer::drained(ConnectionId connection) {
  if (!parts_) return;
  for (auto* part : parts_->all) part->drained(connection);
}

void Peer::tick(TimePoint now, Effects& fx) {
  if (now >= membership_.deadline()) membership_.tick(now, fx);
  if (parts_) {
    for (auto* part : parts_->all) {
      if (now >= part->deadline()) part->tick(now, fx);
    }
    if (now >= parts_->rooms.deadline()) parts_->rooms.tick(now, fx.rooms);
  }
}

TimePoint Peer::deadline() const {
  TimePoint deadline = membership_.deadline();
  if (!parts_) return deadline;
  deadline = std::min(deadline, parts_->rooms.deadline());
  for (const auto* part : parts_->all) deadline = std::min(deadline, part->deadline());
  return deadline;
}

// Tells the components what became of the links, and of this peer's own contact.
void Peer::tellComponents(TimePoint now, Effects& fx) {
  if (!tree()) return;
  const auto& self = tree()->self();
  if (!parts_) makeComponents(now);
  if (self_ != self) {
    self_ = self;
    told_.clear();
    for (auto* part : parts_->all) part->selfChanged(self);
    parts_->rooms.rename(self.id);
  }
  if (membership_.hasLinkChanges()) tellLinks(now, fx);
  const auto& parent = tree()->parent();
  const auto& children = tree()->children();
  // The parent's number contains what this peer has told it, which was some time ago. A child that
  // claims more and fewer peers in turn must not take peers from behind the parent.
  const auto all = tree()->members();
  const auto here = leastBelow_.tell(tree()->membersBelow(), now);
  std::size_t at = 0;
  if (parent) {
    tellBehind(at++, {parent->connection, all > here ? all - here : all, parent->isConfirmed});
  }
  for (const auto& child : children) {
    tellBehind(at++, {child.connection, child.below, child.isConfirmed});
  }
}

void Peer::makeComponents(TimePoint now) {
  self_ = tree()->self();
  PrivateMessages::Options privately{crypto::instanceOf(membership_.key()),
                                     std::exchange(privateState_, {}), wallClock_};
  const auto saved = std::exchange(savedRooms_, {});
  parts_.emplace(self_, policy_, std::move(privately), saved, speaker_, membership_.numbers(),
                 random_, membership_.key(), budget_, now);
}

void Peer::tellLinks(TimePoint now, Effects& fx) {
  told_.clear();
  const auto changes = membership_.takeLinkChanges();
  for (auto* part : parts_->all) {
    for (const auto& link : changes.down) part->linkDown(link.connection, now, fx);
    for (const auto& link : changes.up) {
      // It may have come and gone within one step.
      if (tree()->owns(link.connection)) part->linkUp(link, now, fx);
    }
  }
}

// Called at the end of each step, so the components are told only of what has changed.
void Peer::tellBehind(std::size_t at, const Told& link) {
  if (at < told_.size() && told_[at] == link) return;
  if (at >= told_.size()) {
    told_.push_back(link);
  } else {
    told_[at] = link;
  }
  for (auto* part : parts_->all) {
    part->peersBehind(link.link, link.behind);
    part->confirmed(link.link, link.isConfirmed);
  }
}

// Whom private messages are from and for, the metaserver is asked.
void Peer::askForPrivates(TimePoint now, Effects& fx) {
  auto& privates = parts_->privates;
  if (!membership_.greeted()) privates.metaserverLost(now, fx);
  privates.membersSeen(tree()->members(), now);
  // What is not answered may be followed by the next question; each of them ends one that is open.
  for (std::size_t i = 0; i < limits::kPrivateLookUps && privates.wanted() != nullptr; ++i) {
    const auto wanted = *privates.wanted();
    const auto number = membership_.ask(wire::TopologyRequest{wanted.after, 0, wanted.id}, now, fx);
    number ? privates.asked(*number) : privates.notAsked(now, fx);
  }
}

// Tells the rooms at which home this peer is, and their home what they want of it.
void Peer::stepRooms(TimePoint now, Effects& fx) {
  auto& rooms = parts_->rooms;
  const auto home = membership_.session().roomsHome();
  if (std::exchange(roomsHome_, home) != home) {
    if (home) {
      fx.rooms.sends.clear();  // to the former one
      rooms.homeBegan(now, fx.rooms);
    } else {
      rooms.homeLost();
    }
  }
  for (auto& request : std::exchange(fx.rooms.sends, {})) {
    if (home) membership_.tellHome(std::move(request), fx);
  }
}

// Also asks the metaserver for the number of members when a search wants it.
void Peer::endStep(TimePoint now, Effects& fx) {
  tellComponents(now, fx);
  if (!parts_) return;
  askForPrivates(now, fx);
  stepRooms(now, fx);
  auto& searches = parts_->searches;
  if (!membership_.greeted() && searches.awaitsMembers()) searches.membersTold({}, now, fx);
  if (!searches.wantsMembers()) return;
  if (const auto request = membership_.ask(wire::MembersRequest(), now, fx)) {
    searches.membersAsked(*request);
  } else {
    searches.membersTold({}, now, fx);
  }
}

}  // namespace espalier::peer
