#include "peer/core/metaserver_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/text.h"

namespace espalier::peer {
namespace {

// The same number as for a neighbour in the tree.
constexpr int kHeartbeatsLost = limits::kSilence / limits::kHeartbeatInterval;

Duration bounded(Duration interval) {
  return std::clamp<Duration>(interval, limits::kHeartbeatIntervalLeast,
                              limits::kMetaserverHeartbeatMost);
}

}  // namespace

void MetaserverSession::connect(TimePoint now, Effects& fx) {
  if (state_ != State::offline) return;
  state_ = State::connecting;
  reconnectAt_ = kNever;
  connection_ = numbers_.next();
  heardAt_ = now;
  wasSent_ = false;
  expected_.reset();
  const auto& to = list_.next(now);
  payFor(to.at);
  fx.dials.push_back({*connection_, to.at, wire::Purpose::registry, to.isGiven});
}

void MetaserverSession::payFor(const Endpoint& dialled) {
  if (const auto payer = Payer::endpoint(dialled); payer != account_.payer()) {
    account_ = budget_.account(payer);
  }
}

void MetaserverSession::opened(const std::string& localHost, TimePoint now, Effects& fx) {
  state_ = State::greeted;
  expected_.reset();
  heardAt_ = now;
  localHost_ = localHost;
  nextHeartbeat_ = now + heartbeatInterval_;
  askAgain(fx);
}

void MetaserverSession::join(wire::Join request, TimePoint now, Effects& fx) {
  state_ = State::joining;
  awaitsAdmission_ = true;
  // A newcomer waits as long as its user likes.
  const bool isBounded = request.order != kNoOrder && knowsOthers();
  admissionBy_ = isBounded ? now + limits::kAdmissionPatience : kNever;
  send(std::move(request), fx);
}

void MetaserverSession::admitted(const wire::Admitted& admitted, TimePoint now, Effects& fx) {
  state_ = State::joined;
  awaitsAdmission_ = false;
  hasRooms_ = admitted.hasRooms;
  admissionBy_ = kNever;
  newHome_ = dialled() == home() ? "" : dialled().text();
  list_.admitted(wasSent_);
  if (std::exchange(wasSent_, false)) redirects_.admitted(now);
  hearOfOthers(admitted.metaservers);
  heartbeatInterval_ = bounded(admitted.heartbeatInterval);
  nextHeartbeat_ = now + heartbeatInterval_;
  members_ = admitted.members;
  if (admitted.source.empty() || admitted.source == admitted.self.endpoint.host) return;
  if (std::exchange(seenFrom_, admitted.source) != admitted.source) {
    fx.notices.push_back({Notice::Kind::seenFrom, admitted.source});
  }
}

void MetaserverSession::askForPort(std::uint16_t taken, Effects& fx) {
  awaitsAdmission_ = true;
  send(wire::PortTaken{taken}, fx);
}

void MetaserverSession::hearOfOthers(const std::vector<Endpoint>& metaservers) {
  if (metaservers.empty()) return;
  list_.tell(metaservers, Payer::machine(localHost_).isLoopback());
}

void MetaserverSession::refused() {
  state_ = State::greeted;
  awaitsAdmission_ = false;
  admissionBy_ = kNever;
}

void MetaserverSession::ended(TimePoint now) {
  joined() ? list_.homeLost() : list_.failed(now);
  if (std::exchange(wasSent_, false)) redirects_.failed(now);
  state_ = State::offline;
  awaitsAdmission_ = false;
  admissionBy_ = kNever;
  connection_.reset();
  requests_.clear();
  nextHeartbeat_ = kNever;
}

void MetaserverSession::connectAsNewcomer(TimePoint now, Effects& fx) {
  if (state_ != State::offline) return;
  list_.startOver();
  failures_.clear();
  connect(now, fx);
}

void MetaserverSession::endedAsNewcomer(const Error& why, bool mayDial, TimePoint now,
                                        Effects& fx) {
  // After an admission no other one is tried: two metaservers that admit and close at once would
  // make this peer dial without end.
  const bool tries = mayDial && !joined() && list_.hasUntried(now);
  ended(now);
  Error failure = why;
  const auto at = dialled().text();
  if (knowsOthers() && why.message.find(at) == std::string::npos) {
    failure.message = fmt::format("{}: {}", at, why.message);
  }
  failures_.push_back(failure);
  if (tries) {
    fx.notices.push_back({Notice::Kind::nextMetaserver, std::move(failure.message)});
    return connect(now, fx);
  }
  bool isMismatch = true;  // of all
  std::string text;
  for (const auto& each : std::exchange(failures_, {})) {
    isMismatch = isMismatch && each.code == ErrorCode::protocol;
    text += (text.empty() ? "" : "; ") + each.message;
  }
  if (isMismatch) fx.notices.push_back({Notice::Kind::mismatch, text});
  fx.notices.push_back({Notice::Kind::metaserverLost, std::move(text)});
}

// --- being handed on

std::string MetaserverSession::whyNotFollowed(const wire::Redirect& redirect, bool isHere,
                                              TimePoint now) {
  if (!redirects_.mayFollow(now)) {
    if (now >= redirects_.notBefore()) return "it was sent on too often in a row";
    const auto pause = std::chrono::ceil<std::chrono::seconds>(redirects_.notBefore() - now);
    return fmt::format("the last time that led to nobody; it follows again in {} s at the earliest",
                       pause.count());
  }
  if (!list_.maySendTo(redirect.to, isHere, now))
    return "it dials too much, or nobody can be there";
  const Account endpoint = budget_.account(Payer::endpoint(redirect.to));
  const Account machine = budget_.account(Payer::machine(redirect.to.host));
  const bool isPaid = Account::spend({endpoint, machine}, limits::Rate::dials, now) &&
                      account_.spend(limits::Rate::namedDials, now);
  return isPaid ? "" : "it dials too much";
}

std::string MetaserverSession::redirected(ConnectionId from, const wire::Redirect& redirect,
                                          TimePoint now, Effects& fx) {
  const bool isFromThere = isMoving(from);
  if (move_ && !isFromThere) return {};  // one after the other
  const auto& localHost = isFromThere ? move_->localHost : localHost_;
  const auto why = whyNotFollowed(redirect, Payer::machine(localHost).isLoopback(), now);
  if (!why.empty()) {
    return fmt::format("the metaserver at {} sends this peer to {}, where it does not go: {}",
                       dialled().text(), redirect.to.text(), why);
  }
  redirects_.followed(now);
  list_.sentTo(redirect.to, now);
  const ConnectionId connection = numbers_.next();
  if (joined()) {
    if (isFromThere) fx.closes.push_back({from});
    move_ = Move{connection, redirect.network, now + limits::kAdmissionPatience};
  } else {
    fx.closes.push_back({from});
    state_ = State::connecting;
    connection_ = connection;
    expected_ = redirect.network;
    wasSent_ = true;
    awaitsAdmission_ = false;
    nextHeartbeat_ = admissionBy_ = kNever;
    heardAt_ = now;
    payFor(redirect.to);
  }
  fx.dials.push_back({connection, redirect.to, wire::Purpose::registry});
  return {};
}

bool MetaserverSession::isExpected(ConnectionId connection, const wire::NetworkId& network) const {
  if (isMoving(connection)) return network == move_->network;
  return !expected_ || network == *expected_;
}

void MetaserverSession::joinThere(wire::Join request, const std::string& localHost, TimePoint now,
                                  Effects& fx) {
  move_->localHost = localHost;
  move_->awaitsAdmission = true;
  move_->until = now + limits::kAdmissionPatience;
  fx.sends.push_back({move_->connection, wire::RegistryRequest(std::move(request))});
}

void MetaserverSession::moveOn(bool isOpen, TimePoint now, Effects& fx) {
  if (isOpen) fx.closes.push_back({*connection_});
  const Move move = *std::exchange(move_, std::nullopt);
  list_.homeLost();
  connection_ = move.connection;
  awaitsAdmission_ = move.awaitsAdmission;
  state_ = awaitsAdmission_ ? State::joining : State::connecting;
  if (!awaitsAdmission_) expected_ = move.network;
  wasSent_ = true;
  if (awaitsAdmission_) localHost_ = move.localHost;
  admissionBy_ = move.until;
  nextHeartbeat_ = awaitsAdmission_ ? now + heartbeatInterval_ : kNever;
  heardAt_ = now;
  payFor(dialled());
  if (awaitsAdmission_) askAgain(fx);
}

void MetaserverSession::stay(std::string_view why, bool isOpen, TimePoint now, Effects& fx) {
  if (isOpen) fx.closes.push_back({move_->connection});
  move_.reset();
  list_.failed(now);
  redirects_.failed(now);
  const auto there = dialled().text();
  list_.stayedHome();
  if (!mayTell(now)) return;
  fx.warn(fmt::format("the metaserver at {} sent this peer to {}, which has not admitted it: {}",
                      home().text(), there, escaped(why)));
}

void MetaserverSession::askAgain(Effects& fx) {
  for (auto& request : requests_.movedOn()) send(std::move(request), fx);
}

void MetaserverSession::leave(Effects& fx) {
  if (greeted()) send(wire::Quit(), fx);
  if (awaitsAdmissionThere()) {
    fx.sends.push_back({move_->connection, wire::RegistryRequest(wire::Quit())});
  }
  if (move_) fx.closes.push_back({move_->connection});
  move_.reset();
}

void MetaserverSession::leaveOtherNetwork(TimePoint now, Effects& fx) {
  const std::chrono::seconds pause = limits::kOtherNetworkRetry;
  fx.warn(
      fmt::format("the metaserver at {} has another network: this peer stays in its own, and tries "
                  "that metaserver again in {} s at the earliest",
                  dialled().text(), pause.count()));
  send(wire::Quit(), fx);  // so that the other network does not wait for this peer
  list_.isOfAnotherNetwork(now);
}

void MetaserverSession::send(wire::RegistryRequest request, Effects& fx) {
  fx.sends.push_back({*connection_, std::move(request)});
}

std::uint64_t MetaserverSession::ask(wire::RegistryRequest request, Effects& fx) {
  const auto number = requests_.add(request);
  send(std::move(request), fx);
  return number;
}

std::optional<std::uint64_t> MetaserverSession::answered(const wire::RegistryReply& reply,
                                                         Effects& fx) {
  const auto number = requests_.take(reply);
  if (!number && !std::exchange(toldUnasked_, true)) {
    fx.warn("the metaserver answers what it was not asked; such answers are ignored");
  }
  return number;
}

void MetaserverSession::heartbeatAnswered(const wire::RegistryHeartbeatReply& reply, Effects& fx) {
  heartbeatInterval_ = bounded(reply.heartbeatInterval);
  if (joined()) hearOfOthers(reply.metaservers);
  if (!reply.unreachable.empty() && !std::exchange(toldUnreachable_, true)) {
    fx.notices.push_back({Notice::Kind::unreachable, reply.unreachable});
  }
}

void MetaserverSession::forgive(Duration gap) {
  heardAt_ += gap;
  if (admissionBy_ != kNever) admissionBy_ += gap;
  if (move_) move_->until += gap;
}

std::string_view MetaserverSession::tick(TimePoint now, Effects& fx) {
  if (move_ && now >= move_->until) stay("it does not answer", true, now, fx);
  if (now >= admissionBy_) return "it does not admit this peer";
  if (!greeted() || now < nextHeartbeat_) return {};
  if (heardAt_ + kHeartbeatsLost * heartbeatInterval_ <= now) return "it has fallen silent";
  // Other requests do not postpone it: a report of links has no answer, so a peer that sent only
  // reports would take the metaserver for silent.
  nextHeartbeat_ = now + heartbeatInterval_;
  send(wire::RegistryHeartbeat(), fx);
  return {};
}

}  // namespace espalier::peer
