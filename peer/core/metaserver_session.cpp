// What a peer and its metaserver have to say to each other: the part of Membership that joins, and
// stays known.
#include "peer/core/membership.h"

#include "common/base/membership_limits.h"

namespace espalier::peer {

void Membership::connect(TimePoint now, Effects& fx) {
  if (session_ != Session::offline || left_) return;
  session_ = Session::connecting;
  reconnectAt_ = kNever;
  metaserver_ = nextConnection();
  metaserverHeard_ = now;
  fx.dials.push_back({*metaserver_, options_.metaserver, wire::Purpose::registry});
}

void Membership::join(const PeerId& id, const InstanceKey& key, const std::string& word,
                      TimePoint now, Effects& fx) {
  id_ = id;
  key_ = key;
  word_ = word;
  if (session_ == Session::offline) return connect(now, fx);
  if (session_ == Session::greeted || session_ == Session::joining) {
    session_ = Session::joining;
    sendRegistry(joinRequest(), fx);
  }
}

bool Membership::ask(wire::RegistryRequest request, TimePoint, Effects& fx) {
  if (!greeted()) return false;
  sendRegistry(std::move(request), fx);
  return true;
}

void Membership::sendRegistry(wire::RegistryRequest request, Effects& fx) {
  fx.sends.push_back({*metaserver_, std::move(request)});
}

wire::Join Membership::joinRequest() const {
  wire::Join join;
  join.id = id_;
  join.key = key_;
  join.word = word_;
  join.listen = {withoutScope(options_.advertise.host), options_.listen.port};
  if (admitted_ && tree_) {
    join.listen.port = tree_->self().endpoint.port;
    join.network = admitted_->network;
    join.order = admitted_->self.order;
    auto now = links();
    join.parent = now.parent;
    join.neighbours = std::move(now.neighbours);
  }
  return join;
}

wire::Links Membership::links() const {
  wire::Links links;
  if (!tree_) return links;
  if (tree_->parent()) links.parent = tree_->parent()->contact.id;
  for (const auto& neighbour : tree_->neighbours())
    links.neighbours.push_back(neighbour.contact.id);
  return links;
}

void Membership::sessionEnded(std::string why, TimePoint now, Effects& fx) {
  const bool wasJoined = joined();
  session_ = Session::offline;
  metaserver_.reset();
  nextMetaserverHeartbeat_ = kNever;
  askAgainAt_ = kNever;
  referral_.reset();
  fx.notices.push_back({Notice::Kind::metaserverLost, std::move(why)});
  if (left_ || !tree_) return;  // before it has joined, its user decides when to try again
  std::uniform_real_distribution<double> spread(0, 1);
  reconnectAt_ = now + limits::kReconnectLeast +
                 std::chrono::duration_cast<Duration>(
                     spread(random_) * (limits::kReconnectMost - limits::kReconnectLeast));
  // Nobody tells a root any more that there is an older one: it looks for itself, and an orphan
  // need not wait.
  if (!tree_->parent() && !seeking_) seek(std::nullopt, now, fx);
  if (seeking_ && wasJoined) contactsAt_ = std::min(contactsAt_, now);
}

void Membership::admitted(const wire::Admitted& admitted, TimePoint now, Effects& fx) {
  if (session_ != Session::joining && session_ != Session::joined) return;  // nobody asked
  if (admitted.self.id != id_) {
    fx.closes.push_back({*metaserver_});
    return sessionEnded("it admitted another peer", now, fx);
  }
  const bool again = session_ != Session::joined && tree_.has_value();
  session_ = Session::joined;
  refusalTold_ = false;
  metaserverHeartbeat_ = admitted.heartbeatInterval;
  nextMetaserverHeartbeat_ = now + metaserverHeartbeat_;
  membersTold_ = admitted.members;
  if (!admitted.source.empty() && admitted.source != admitted.self.endpoint.host &&
      std::exchange(seenFrom_, admitted.source) != admitted.source) {
    fx.notices.push_back({Notice::Kind::seenFrom, admitted.source});
  }
  if (tree_) {
    if (again) {
      fx.notices.push_back({Notice::Kind::metaserverBack, ""});
      const bool asBefore =
          admitted.network == tree_->network() && admitted.self.order == tree_->self().order;
      if (!asBefore) startAnew(admitted, now, fx);
    }
    sendRegistry(links(), fx);
    return placed(admitted.referral, now, fx);
  }
  admitted_ = admitted;
  const auto& host = options_.listen.host.empty() ? localHost_ : options_.listen.host;
  fx.listens.push_back({Endpoint{host, admitted.self.endpoint.port}});
}

// The metaserver does not take this peer for the one that it was, and its neighbours know it by its
// old order of joining, or are of another network: it leaves them, and goes on as a newcomer.
void Membership::startAnew(const wire::Admitted& admitted, TimePoint now, Effects& fx) {
  fx.notices.push_back({Notice::Kind::warning,
                        "the metaserver does not know this peer as it was: it leaves its "
                        "neighbours and begins as a newcomer"});
  stopSeeking(fx);
  tree_->leave(now, fx);
  tellLinks(tree_->takeChanges(), fx);
  wire::Contact self = admitted.self;
  self.endpoint.port = tree_->self().endpoint.port;  // where it listens
  admitted_ = admitted;
  tree_.emplace(admitted.network, std::move(self), admitted.maxLinks, now);
}

void Membership::listening(const Endpoint&, TimePoint now, Effects& fx) {
  if (!admitted_ || tree_) return;
  tree_.emplace(admitted_->network, admitted_->self, admitted_->maxLinks, now);
  placed(admitted_->referral, now, fx);
  afterStep(now, fx);
}

void Membership::listenFailed(const Error& error, TimePoint, Effects& fx) {
  if (!admitted_ || tree_) return;
  const bool anotherMayDo = options_.listen.port == 0 && error.code == ErrorCode::unavailable;
  if (!anotherMayDo) {
    fx.notices.push_back({Notice::Kind::failed, error.message});
    return;
  }
  // Who lost the metaserver meanwhile was told so, and joins anew.
  if (session_ != Session::joined) return admitted_.reset();
  sendRegistry(wire::PortTaken{admitted_->self.endpoint.port}, fx);
}

void Membership::placed(const wire::Referral& place, TimePoint now, Effects& fx) {
  if (tree_->parent()) {
    // The metaserver's snapshot is older than our link.
    if (place.kind != wire::Referral::Kind::keep) sendRegistry(links(), fx);
    return;
  }
  switch (place.kind) {
    case wire::Referral::Kind::keep:
      // A metaserver that waits for the peers of before drops a Seek: it is repeated until a place
      // is given. Else two orphans whose root is gone may wait for each other.
      if (seeking_) askAgainAt_ = now + limits::kSeekAgain;
      return;
    case wire::Referral::Kind::root:
      stopSeeking(fx);
      if (!tree_->isRoot()) {
        tree_->becomeRoot(now, fx);
        fx.notices.push_back({Notice::Kind::root, ""});
      }
      return;
    case wire::Referral::Kind::below:
      break;
  }
  if (place.parent.id == id_) return;  // no metaserver means that
  if (!seeking_) beginSeeking(now + limits::kReferralRetry, now);
  tree_->resignRoot();
  if (attempt_ && attempt_->target.id == place.parent.id) return;
  abandonAttempt(fx);
  referral_ = PlaceGiven{place.parent, now};
  lastReferral_ = place.parent.id;
  remember(place.parent);
  tryAt_ = now;
}

void Membership::refusedByMetaserver(const wire::Failure& failure, TimePoint now, Effects& fx) {
  const bool lives = session_ == Session::joining && tree_;
  if (!lives || !std::exchange(refusalTold_, true)) {
    fx.notices.push_back({Notice::Kind::refused, failure.message});
  }
  if (!lives) {
    if (session_ == Session::joining) session_ = Session::greeted;
    return;
  }
  // It lives on with its links, as without a metaserver, and asks again: its id may be free then.
  fx.closes.push_back({*metaserver_});
  sessionEnded("it refused this peer", now, fx);
  reconnectAt_ += limits::kRefusedRetry;
}

void Membership::received(ConnectionId connection, const wire::RegistryReply& reply, TimePoint now,
                          Effects& fx) {
  observe(now);
  if (connection != metaserver_) return;
  metaserverHeard_ = now;
  if (const auto* admission = std::get_if<wire::Admitted>(&reply)) {
    admitted(*admission, now, fx);
  } else if (const auto* place = std::get_if<wire::Referral>(&reply)) {
    if (tree_) placed(*place, now, fx);
  } else if (const auto* wait = std::get_if<wire::Wait>(&reply)) {
    fx.notices.push_back({Notice::Kind::waiting, wait->reason});
  } else if (const auto* word = std::get_if<wire::WordRefused>(&reply)) {
    session_ = Session::greeted;
    fx.notices.push_back({Notice::Kind::wordRefused, word->word});
  } else if (const auto* heartbeat = std::get_if<wire::RegistryHeartbeatReply>(&reply)) {
    metaserverHeartbeat_ = heartbeat->heartbeatInterval;
    if (!heartbeat->unreachable.empty() && !std::exchange(toldUnreachable_, true)) {
      fx.notices.push_back({Notice::Kind::unreachable, heartbeat->unreachable});
    }
  } else if (const auto* members = std::get_if<wire::Members>(&reply)) {
    membersTold_ = members->count;
  } else if (const auto* failure = std::get_if<wire::Failure>(&reply)) {
    refusedByMetaserver(*failure, now, fx);
  }
  afterStep(now, fx);
}

}  // namespace espalier::peer
