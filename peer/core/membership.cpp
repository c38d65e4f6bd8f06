#include "peer/core/membership.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/crypto/instance.h"

namespace espalier::peer {

Membership::Membership(Options options, Random& random, Budget& budget, TimePoint now)
    : options_(std::move(options)),
      random_(random),
      budget_(budget),
      session_(options_.metaservers, numbers_, random, budget),
      reports_(session_, budget),
      seen_(now),
      generation_(options_.generation) {}

// --- what the user wants

void Membership::connect(TimePoint now, Effects& fx) {
  if (!left_) session_.connectAsNewcomer(now, fx);
}

void Membership::join(const PeerId& id, const InstanceKey& key, const std::string& word,
                      TimePoint now, Effects& fx) {
  id_ = wanted_ = id;
  number_ = 1;
  key_ = key;
  word_ = word;
  using State = MetaserverSession::State;
  switch (session_.state()) {
    case State::offline:
      return connect(now, fx);
    case State::greeted:
    case State::joining:
      return session_.join(joinRequest(), now, fx);
    case State::connecting:  // opened() joins
    case State::joined:
      return;
  }
}

std::optional<std::uint64_t> Membership::ask(wire::RegistryRequest request, TimePoint,
                                             Effects& fx) {
  if (!greeted()) return std::nullopt;
  return session_.ask(std::move(request), fx);
}

void Membership::leave(TimePoint now, Effects& fx) {
  session_.leave(fx);
  left_ = true;
  if (search_) search_->stop(fx);
  if (tree_) tree_->leave(now, fx);
  session_.stayAway();
}

wire::Join Membership::joinRequest() {
  wire::Join join;
  join.id = id_;
  join.key = key_;
  join.instance = crypto::instanceOf(key_);
  join.word = word_;
  join.generation = ++generation_;
  join.listen = {withoutScope(options_.advertise.host), options_.listen.port};
  if (admitted_ && tree_) {
    join.listen.port = tree_->self().endpoint.port;
  }
  if (admitted_ && tree_ && id_ == tree_->self().id) {
    join.network = admitted_->network;
    join.order = admitted_->self.order;
    auto now = linksOf(*tree_);
    join.parent = now.parent;
    join.neighbours = std::move(now.neighbours);
  }
  return join;
}

// --- connections

bool Membership::owns(ConnectionId connection) const {
  return connection == session_.connection() || session_.isMoving(connection) ||
         (search_ && search_->owns(connection)) || (tree_ && tree_->owns(connection));
}

void Membership::opened(ConnectionId connection, const std::string& localHost, TimePoint now,
                        Effects& fx, const wire::NetworkId& network) {
  observe(now);
  const bool isMove = session_.isMoving(connection);
  if (!isMove && connection != session_.connection()) return;
  constexpr std::string_view kStranger = "it is no metaserver of the same network";
  if (!session_.isExpected(connection, network)) {
    isMove ? session_.stay(kStranger, true, now, fx) : closeSession(kStranger, now, fx);
  } else if (isMove) {
    session_.joinThere(joinRequest(), localHost, now, fx);
  } else {
    session_.opened(localHost, now, fx);
    if (!id_.empty()) session_.join(joinRequest(), now, fx);
  }
  afterStep(now, fx);
}

void Membership::failed(ConnectionId connection, const Error& error, TimePoint now, Effects& fx) {
  observe(now);
  lost(connection, error, now, fx);
}

void Membership::closed(ConnectionId connection, TimePoint now, Effects& fx) {
  observe(now);
  lost(connection, {ErrorCode::unavailable, "the connection ended"}, now, fx);
}

void Membership::lost(ConnectionId connection, const Error& why, TimePoint now, Effects& fx) {
  if (connection == session_.connection()) {
    sessionEnded(why, now, fx);
  } else if (session_.isMoving(connection)) {
    session_.stay(why.message, false, now, fx);
  } else if (search_ && search_->owns(connection)) {
    search_->closed(now, fx);
  } else if (tree_) {
    tree_->closed(connection, now, fx);
  }
  afterStep(now, fx);
}

void Membership::received(ConnectionId connection, const wire::LinkMessage& message, TimePoint now,
                          Effects& fx, std::string_view host) {
  observe(now);
  if (!tree_ || left_) {
    fx.closes.push_back({connection});
    return;
  }
  if (search_->owns(connection)) {
    search_->received(message, now, fx);
  } else if (tree_->owns(connection)) {
    tree_->received(connection, message, now, fx);
  } else if (const auto* attach = std::get_if<wire::Attach>(&message)) {
    tree_->attach(connection, *attach, Payer::host(host), now, fx);
  } else {
    fx.closes.push_back({connection});  // no link, and it does not ask for one
  }
  afterStep(now, fx);
}

// --- the metaserver

void Membership::sessionEnded(const Error& why, TimePoint now, Effects& fx) {
  // The one that this peer was sent to goes on.
  if (session_.moves()) return session_.moveOn(false, now, fx);
  const bool wasJoined = joined();
  Error reason = why;
  if (session_.wasSent()) {
    reason.code = ErrorCode::unavailable;  // it says nothing about those that the user gave
    if (session_.mayTell(now)) {
      fx.warn(fmt::format("a metaserver sent this peer to {}, which has not admitted it: {}",
                          session_.dialled().text(), escaped(why.message)));
    }
  }
  if (!tree_) return session_.endedAsNewcomer(reason, !left_, now, fx);
  session_.ended(now);
  fx.notices.push_back({Notice::Kind::metaserverLost, why.message});
  if (left_) return;
  reports_.stop();
  for (const auto& neighbour : tree_->neighbours()) {
    tree_->setStranger(neighbour.connection, false);  // nobody can tell now
  }
  session_.reconnectLater(now);
  search_->metaserverLost(wasJoined, now, fx);
}

void Membership::closeSession(std::string_view why, TimePoint now, Effects& fx) {
  fx.closes.push_back({*session_.connection()});
  sessionEnded({ErrorCode::unavailable, std::string(why)}, now, fx);
}

std::optional<std::uint64_t> Membership::received(ConnectionId connection,
                                                  const wire::RegistryReply& reply, TimePoint now,
                                                  Effects& fx) {
  observe(now);
  if (session_.isMoving(connection)) {
    movedThere(connection, reply, now, fx);
    afterStep(now, fx);
    return std::nullopt;
  }
  if (connection != session_.connection()) return std::nullopt;
  session_.heard(now);
  std::optional<std::uint64_t> answered;
  if (OpenRequests::isAnswer(reply)) {
    answered = session_.answered(reply, fx);
    if (!answered) return std::nullopt;
  }
  if (const auto* admission = std::get_if<wire::Admitted>(&reply)) {
    admitted(*admission, now, fx);
  } else if (const auto* referral = std::get_if<wire::Referral>(&reply)) {
    if (tree_ && joined()) referred(*referral, now, fx);
  } else if (const auto* wait = std::get_if<wire::Wait>(&reply)) {
    const bool isJoining = session_.state() == MetaserverSession::State::joining;
    if (isJoining && session_.mayTell(now)) {
      fx.notices.push_back({Notice::Kind::waiting, wait->reason});
    }
  } else if (const auto* word = std::get_if<wire::WordRefused>(&reply)) {
    wordRefused(*word, now, fx);
  } else if (const auto* heartbeat = std::get_if<wire::RegistryHeartbeatReply>(&reply)) {
    session_.heartbeatAnswered(*heartbeat, fx);
  } else if (const auto* members = std::get_if<wire::Members>(&reply)) {
    session_.countMembers(members->count);
  } else if (const auto* strangers = std::get_if<wire::Strangers>(&reply)) {
    strangersTold(*strangers, now, fx);
  } else if (const auto* failure = std::get_if<wire::Failure>(&reply)) {
    refusedByMetaserver(*failure, now, fx);
  } else if (const auto* redirect = std::get_if<wire::Redirect>(&reply)) {
    redirected(connection, *redirect, now, fx);
  }
  afterStep(now, fx);
  return answered;
}

void Membership::admitted(const wire::Admitted& admitted, TimePoint now, Effects& fx) {
  if (!session_.awaitsAdmission()) {
    if (session_.mayTell(now)) fx.warn("the metaserver admitted this peer, which did not ask");
    return;
  }
  if (admitted.self.id != id_) {
    return closeSession("it admitted another peer", now, fx);
  }
  const auto port = admitted.self.endpoint.port;
  if (!tree_ && options_.listen.port != 0 && port != options_.listen.port) {
    return closeSession(
        fmt::format("it admitted this peer with port {}, not {}", port, options_.listen.port), now,
        fx);
  }
  // It answers a request from before this peer listened. The next one names the port.
  if (tree_ && port != tree_->self().endpoint.port) {
    return closeSession(fmt::format("it assigned port {} to this peer, which listens on {}", port,
                                    tree_->self().endpoint.port),
                        now, fx);
  }
  if (tree_ && admitted.network != tree_->network() && session_.knowsOthers()) {
    session_.leaveOtherNetwork(now, fx);
    return closeSession("it has another network", now, fx);
  }
  const bool sessionIsNew = !joined();
  refusalTold_ = false;
  session_.admitted(admitted, now, fx);
  if (tree_) return readmitted(admitted, sessionIsNew, now, fx);
  admitted_ = admitted;
  const auto& host = options_.listen.host.empty() ? session_.localHost() : options_.listen.host;
  fx.listens.push_back({Endpoint{host, admitted.self.endpoint.port}});
}

void Membership::readmitted(const wire::Admitted& admitted, bool sessionIsNew, TimePoint now,
                            Effects& fx) {
  if (sessionIsNew) {
    fx.notices.push_back({Notice::Kind::metaserverBack, session_.newHome()});
    const bool asBefore =
        admitted.network == tree_->network() && admitted.self.order == tree_->self().order;
    if (!asBefore) startAnew(admitted, now, fx);
  }
  reports_.send(*tree_, now, fx);
  referred(admitted.referral, now, fx);
}

void Membership::listening(const Endpoint& at, TimePoint now, Effects& fx) {
  // Of another port: it was admitted again meanwhile, and is to listen on that port.
  if (!admitted_ || tree_ || at.port != admitted_->self.endpoint.port) return;
  tree_.emplace(admitted_->network, admitted_->self, admitted_->maxLinks, budget_, now);
  contacts_.emplace(id_);
  search_.emplace(
      ParentSearch::Surroundings{*tree_, session_, *contacts_, numbers_, random_, budget_}, key_);
  referred(admitted_->referral, now, fx);
  afterStep(now, fx);
}

void Membership::listenFailed(const Error& error, TimePoint, Effects& fx) {
  if (!admitted_ || tree_) return;
  const bool anotherMayDo = options_.listen.port == 0 && error.code == ErrorCode::unavailable;
  if (!anotherMayDo) {
    fx.notices.push_back({Notice::Kind::failed, error.message});
    return;
  }
  // A peer that lost the metaserver meanwhile was told so, and joins anew.
  if (!joined()) return admitted_.reset();
  session_.askForPort(admitted_->self.endpoint.port, fx);
}

void Membership::referred(const wire::Referral& referral, TimePoint now, Effects& fx) {
  if (!tree_->parent()) return search_->referred(referral, now, fx);
  // The metaserver's snapshot is older than our link.
  if (referral.kind != wire::Referral::Kind::keep) reports_.linksChanged(now);
}

// --- time

std::uint64_t Membership::members() const {
  return joined() || !tree_ ? session_.members() : tree_->members();
}

MemberCount Membership::countMembers() const {
  // The higher one, because a search has time for so many.
  return MemberCount(joined() ? std::max(tree_->members(), session_.members()) : tree_->members());
}

std::vector<wire::Contact> Membership::known() const {
  std::vector<wire::Contact> known;
  if (!contacts_) return known;
  for (auto& named : contacts_->all()) known.push_back(std::move(named.contact));
  return known;
}

void Membership::observe(TimePoint now) {
  // Called at least every heartbeat; a longer gap means that this process was stopped.
  const Duration gap = now - seen_;
  seen_ = now;
  if (gap <= limits::kHeartbeatInterval + limits::kStall) return;
  session_.forgive(gap);
  if (tree_) tree_->forgive(gap);
}

void Membership::tick(TimePoint now, Effects& fx) {
  observe(now);
  if (!left_ && session_.reconnectIsDue(now)) session_.connect(now, fx);
  if (const auto why = session_.tick(now, fx); !why.empty()) closeSession(why, now, fx);
  if (tree_) {
    tree_->tick(now, fx);
    contacts_->heardOfAbove(*tree_);
    if (!joined()) contacts_->exchange(*tree_, random_, now, fx);
    search_->tick(now, fx);
  }
  afterStep(now, fx);
}

TimePoint Membership::deadline() const {
  const TimePoint session = session_.deadline();
  return tree_ ? std::min({session, reports_.deadline(), tree_->deadline(), search_->deadline()})
               : session;
}

void Membership::tellLinks(const LinkChanges& changes, Effects& fx) {
  for (const auto& link : changes.up) {
    contacts_->linked(link, *tree_);
    fx.notices.push_back({Notice::Kind::linkUp, link.peer.id.text(), Payer::member(link.peer.id)});
    linkChanges_.up.push_back(link);
  }
  for (const auto& link : changes.down) {
    fx.notices.push_back(
        {Notice::Kind::linkDown, link.peer.id.text(), Payer::member(link.peer.id)});
    linkChanges_.down.push_back(link);
  }
}

void Membership::strangersTold(const wire::Strangers& strangers, TimePoint now, Effects& fx) {
  if (!tree_ || !joined()) return;
  using Standing = LinkCheck::Standing;
  const auto& parent = tree_->parent();
  bool leavesParent = false;
  for (const auto& [connection, standing] : reports_.answered(strangers, now)) {
    const bool isStranger = standing == Standing::doubtful || standing == Standing::stranger;
    // One that was the parent for long may be a member that the metaserver has lost.
    if (standing == Standing::stranger && parent && parent->connection == connection) {
      leavesParent = now < parent->since + 2 * LinkCheck::kDisowned;
    }
    for (const auto& neighbour : tree_->neighbours()) {
      if (neighbour.connection != connection) continue;
      if (standing == Standing::member) contacts_->remember({neighbour.contact});
      if (isStranger && !neighbour.isStranger && session_.mayTell(now)) {
        fx.warn(fmt::format("{} {}: its link is given up when another peer needs the slot",
                            neighbour.contact.id.text(),
                            standing == Standing::doubtful
                                ? "has not reported its link to the metaserver"
                                : "is no member of the network"));
      }
    }
    tree_->setStranger(connection, isStranger);
    tree_->setConfirmed(connection, standing == Standing::member);
  }
  if (leavesParent) search_->leaveStranger(now, fx);
}

void Membership::afterStep(TimePoint now, Effects& fx) {
  if (!tree_ || left_) return;
  const auto changes = tree_->takeChanges();
  tellLinks(changes.links, fx);
  if (!changes.links.empty()) reports_.linksChanged(now);
  reports_.advance(*tree_, now, fx);
  for (const auto& named : changes.heardOf) contacts_->heardOf(named);
  search_->follow(changes, now, fx);
  if (search_->isNewcomer() && (tree_->parent() || tree_->isRoot())) {
    search_->arrived();
    fx.notices.push_back({Notice::Kind::joined, tree_->self().endpoint.text()});
  }
  search_->advance(now, fx);
}

}  // namespace espalier::peer
