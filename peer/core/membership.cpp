#include "peer/core/membership.h"

#include <fmt/format.h>

#include <algorithm>

namespace espalier::peer {
namespace {

// A silent metaserver is given up after as many heartbeats as a silent neighbour.
constexpr int kHeartbeatsLost = limits::kSilence / limits::kHeartbeatInterval;

}  // namespace

Membership::Membership(Options options, Random& random, TimePoint now)
    : options_(std::move(options)), random_(random), seen_(now) {}

ConnectionId Membership::nextConnection() {
  return ConnectionId{++connections_ * 2 - 1};
}

// --- connections ---

bool Membership::owns(ConnectionId connection) const {
  return connection == metaserver_ || (attempt_ && attempt_->connection == connection) ||
         (tree_ && tree_->owns(connection));
}

void Membership::opened(ConnectionId connection, const std::string& localHost, TimePoint now,
                        Effects& fx) {
  observe(now);
  if (connection != metaserver_) return;
  metaserverHeard_ = now;
  localHost_ = localHost;
  session_ = Session::greeted;
  nextMetaserverHeartbeat_ = now + metaserverHeartbeat_;
  if (!id_.empty()) {
    session_ = Session::joining;
    sendRegistry(joinRequest(), fx);
  }
  afterStep(now, fx);
}

void Membership::failed(ConnectionId connection, const Error& error, TimePoint now, Effects& fx) {
  observe(now);
  if (connection == metaserver_) {
    if (!tree_ && error.code == ErrorCode::protocol) {
      fx.notices.push_back({Notice::Kind::mismatch, error.message});
    }
    sessionEnded(error.message, now, fx);
  } else if (attempt_ && attempt_->connection == connection) {
    attemptFailed(Failing::unreachable, now, fx);
  } else if (tree_) {
    tree_->closed(connection, now, fx);
  }
  afterStep(now, fx);
}

void Membership::closed(ConnectionId connection, TimePoint now, Effects& fx) {
  observe(now);
  if (connection == metaserver_) {
    sessionEnded("the connection ended", now, fx);
  } else if (attempt_ && attempt_->connection == connection) {
    attemptFailed(Failing::unreachable, now, fx);
  } else if (tree_) {
    tree_->closed(connection, now, fx);
  }
  afterStep(now, fx);
}

void Membership::received(ConnectionId connection, const wire::LinkMessage& message, TimePoint now,
                          Effects& fx) {
  observe(now);
  if (!tree_ || left_) {
    fx.closes.push_back({connection});
    return;
  }
  if (attempt_ && attempt_->connection == connection) {
    attemptAnswered(message, now, fx);
  } else if (tree_->owns(connection)) {
    tree_->received(connection, message, now, fx);
  } else if (const auto* attach = std::get_if<wire::Attach>(&message)) {
    tree_->attach(connection, *attach, now, fx);
  } else {
    fx.closes.push_back({connection});  // no link, and it does not ask for one
  }
  afterStep(now, fx);
}

void Membership::leave(TimePoint now, Effects& fx) {
  if (greeted()) sendRegistry(wire::Quit(), fx);
  left_ = true;
  stopSeeking(fx);
  if (tree_) tree_->leave(now, fx);
  reconnectAt_ = kNever;
}

// --- time ---

std::uint64_t Membership::members() const {
  return session_ == Session::joined || !tree_ ? membersTold_ : tree_->members();
}

void Membership::observe(TimePoint now) {
  // Called at least every heartbeat; a longer gap means that this process was stopped.
  const Duration gap = now - seen_;
  seen_ = now;
  if (gap <= limits::kHeartbeatInterval + limits::kStall) return;
  metaserverHeard_ += gap;
  if (tree_) tree_->forgive(gap);
}

void Membership::tick(TimePoint now, Effects& fx) {
  observe(now);
  if (now >= reconnectAt_) connect(now, fx);
  if (metaserver_ && session_ != Session::connecting && now >= nextMetaserverHeartbeat_) {
    if (metaserverHeard_ + kHeartbeatsLost * metaserverHeartbeat_ <= now) {
      fx.closes.push_back({*metaserver_});
      sessionEnded("it has fallen silent", now, fx);
    } else {
      // Whatever else was sent: not every request has an answer, and a peer that only reports links
      // would take the metaserver for silent.
      nextMetaserverHeartbeat_ = now + metaserverHeartbeat_;
      sendRegistry(wire::RegistryHeartbeat(), fx);
    }
  }
  if (tree_) {
    tree_->tick(now, fx);
    rememberLineage();
    exchangePeers(now, fx);
  }
  if (attempt_ && now >= attempt_->deadline) {
    fx.closes.push_back({attempt_->connection});
    attemptFailed(Failing::notNow, now, fx);
  }
  if (seeking_ && now >= askAgainAt_) askForReferral({}, now, fx);
  afterStep(now, fx);
}

TimePoint Membership::deadline() const {
  TimePoint deadline = std::min(reconnectAt_, nextMetaserverHeartbeat_);
  if (tree_) deadline = std::min(deadline, tree_->deadline());
  if (attempt_) return std::min(deadline, attempt_->deadline);
  if (seeking_) deadline = std::min({deadline, tryAt_, askAgainAt_});
  return deadline;
}

void Membership::tellLinks(Tree::Changes changes, Effects& fx) {
  for (auto& neighbour : changes.up) {
    remember(neighbour.contact);
    fx.notices.push_back({Notice::Kind::linkUp, neighbour.contact.id.text()});
    linkChanges_.up.push_back(std::move(neighbour));
  }
  for (auto& neighbour : changes.down) {
    fx.notices.push_back({Notice::Kind::linkDown, neighbour.contact.id.text()});
    linkChanges_.down.push_back(std::move(neighbour));
  }
}

// After every event: what the tree did is passed on, and a seeker takes its next step.
void Membership::afterStep(TimePoint now, Effects& fx) {
  if (!tree_ || left_) return;
  const auto changes = tree_->takeChanges();
  tellLinks(changes, fx);
  // A root that seeks waits for what hung below the child that it lost.
  if (!changes.down.empty() && tree_->isRoot() && !joined()) {
    tryAt_ = std::max(tryAt_, now + limits::kBecomeRootAfter);
  }

  if (changes.links && session_ == Session::joined) sendRegistry(links(), fx);
  if (changes.lostParent && !tree_->parent()) {
    if (changes.succeeded) {
      tree_->becomeRoot(now, fx);
      fx.notices.push_back({Notice::Kind::root, ""});
      // Unless it was only this link that broke: the metaserver knows.
      if (joined()) {
        askForReferral({changes.lostParent->id, std::nullopt}, now, fx);
      } else {
        seek(changes.lostParent->id, now, fx);
        contactsAt_ = now + limits::kAttachTimeout;  // first the other orphans come here
      }
    } else {
      seek(changes.lostParent->id, now, fx);
    }
  }
  for (const auto& contact : changes.heardOf) heardOf(contact);
  if (!tree_->parent()) {
    for (const auto& hint : changes.hints) {
      if (hint.order >= tree_->self().order) continue;
      // An orphan asks its own ancestors first, then whomever it knows.
      if (!tree_->isRoot()) {
        heardOf(hint);
      } else {
        hinted(hint, now);
      }
    }
    // Two orphans may each be held by a peer below the other one, where no root issues the
    // heartbeat that both wait for: the one that joined first does.
    if (changes.youngerWaits && attempt_ && attempt_->held) becomeRootInVain(now, fx);
    if (changes.raisedByMe && attempt_ && attempt_->target.id == *changes.raisedByMe) {
      fx.closes.push_back({attempt_->connection});
      attemptFailed(Failing::below, now, fx);
    }
  }
  const bool placed = tree_->parent() || tree_->isRoot();
  if (!announced_ && placed) {
    announced_ = true;
    fx.notices.push_back({Notice::Kind::joined, tree_->self().endpoint.text()});
  }
  advance(now, fx);
}

}  // namespace espalier::peer
