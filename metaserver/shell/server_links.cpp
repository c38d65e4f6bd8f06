#include "metaserver/shell/server_links.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/base/text.h"
#include "common/crypto/cluster_proof.h"
#include "common/wire/cluster_codec.h"

namespace espalier::metaserver::shell {
namespace {

// Of an address whose metaserver has other options: until a user has changed them.
constexpr auto kRefusedAgain = std::chrono::seconds(10);

// Of the Failure that the other end gets: docs/protocol.md.
ErrorCode codeOf(cluster::CloseReason reason) {
  switch (reason) {
    case cluster::CloseReason::nameTaken:
      return ErrorCode::refused;
    case cluster::CloseReason::numberTaken:
      return ErrorCode::failed;
    case cluster::CloseReason::other:
      return ErrorCode::configuration;
    case cluster::CloseReason::malformed:
      return ErrorCode::protocol;
    case cluster::CloseReason::itself:
    case cluster::CloseReason::second:
    case cluster::CloseReason::oldRun:
    case cluster::CloseReason::full:
    case cluster::CloseReason::silent:
      break;
  }
  return ErrorCode::unavailable;
}

}  // namespace

ServerLinks::ServerLinks(net::EventLoop& loop, ServerLinksOwner& owner, std::string secret,
                         std::function<ConnectionId()> newConnection)
    : loop_(loop),
      owner_(owner),
      secret_(std::move(secret)),
      newConnection_(std::move(newConnection)),
      welcomer_(
          [this](net::FramedConnection& connection, const wire::Welcome&) { welcomed(connection); },
          [this](ConnectionId connection, const Error& why) { failed(connection, why); }) {}

// --- dialling ---

bool ServerLinks::add(const Endpoint& address, bool isNamed) {
  const auto known = addresses_.find(address);
  if (known == addresses_.end() && addresses_.size() >= limits::kServerAddresses) return false;
  Address& entry = addresses_[address];
  entry.isNamed = entry.isNamed || isNamed;
  if (isNamed) entry.isAnswered = false;
  entry.dialFrom = {};
  dialSoon();
  return true;
}

std::size_t ServerLinks::namedCount() const {
  return static_cast<std::size_t>(std::count_if(
      addresses_.begin(), addresses_.end(), [](const auto& one) { return one.second.isNamed; }));
}

std::vector<Endpoint> ServerLinks::addresses() const {
  std::vector<Endpoint> all;
  for (const auto& [endpoint, address] : addresses_) all.push_back(endpoint);
  return all;
}

std::optional<ServerNumber> ServerLinks::leadsTo(const Endpoint& address) const {
  const auto found = addresses_.find(address);
  return found == addresses_.end() ? std::nullopt : found->second.leadsTo;
}

std::string ServerLinks::problemOf(const Endpoint& address) const {
  const auto found = addresses_.find(address);
  return found == addresses_.end() ? "" : found->second.told;
}

void ServerLinks::dialDue(TimePoint now, const std::vector<wire::ServerState>& known) {
  if (now < dialAt_) return;
  dialAt_ = now + limits::kServerDial;
  for (const auto& state : known) {
    // Those that it had before: it has moved.
    std::erase_if(addresses_, [&](const auto& entry) {
      const auto& [endpoint, address] = entry;
      return !address.isNamed && !address.dialling && address.leadsTo == state.number &&
             endpoint != state.address;
    });
    const bool isKnown = addresses_.contains(state.address);
    if (isKnown || add(state.address, false)) addresses_[state.address].leadsTo = state.number;
  }
  dialAt_ = now + limits::kServerDial;
  std::vector<Endpoint> due;
  std::vector<Endpoint> linked;  // that a user has named again
  for (const auto& [endpoint, address] : addresses_) {
    const bool isLinked = address.leadsTo && owner_.isLinkedTo(*address.leadsTo);
    if (!isLinked && !address.dialling && now >= address.dialFrom) due.push_back(endpoint);
    if (isLinked && address.isNamed && !address.isAnswered) linked.push_back(endpoint);
  }
  for (const Endpoint& endpoint : linked) answered(endpoint, {});
  for (const Endpoint& endpoint : due) dial(endpoint);
}

void ServerLinks::dial(const Endpoint& address) {
  const ConnectionId id = newConnection_();
  const auto connection =
      welcomer_.dial(loop_, id, address, net::NamedBy::user, wire::Purpose::cluster);
  if (!connection) return answered(address, connection.error());
  addresses_[address].dialling = id;
  dialled_.emplace(id, address);
}

void ServerLinks::failed(ConnectionId connection, const Error& why) {
  const auto dialled = dialled_.extract(connection);
  if (dialled.empty()) return;
  const auto address = addresses_.find(dialled.mapped());
  if (address == addresses_.end()) return;
  address->second.dialling.reset();
  answered(dialled.mapped(), why);
}

void ServerLinks::answered(const Endpoint& endpoint, const Result<void>& answer) {
  const auto found = addresses_.find(endpoint);
  if (found == addresses_.end()) return;
  Address& address = found->second;
  const std::string problem = answer ? "" : answer.error().message;
  if (address.isNamed && problem != std::exchange(address.told, problem) && !answer) {
    log::warning("cannot link to {}: {}", endpoint.text(), problem);
  }
  if (!answer && answer.error().code == ErrorCode::configuration) {
    address.dialFrom = Clock::now() + kRefusedAgain;
  }
  if (!address.isNamed || std::exchange(address.isAnswered, true)) return;
  owner_.namedAnswered(endpoint, answer);
}

// --- introductions ---

void ServerLinks::welcomed(net::FramedConnection& connection) {
  auto dialled = dialled_.extract(connection.id());
  Link& link = links_[connection.id()];
  link.dialledHere = true;
  link.dial = ++dials_;
  if (!dialled.empty()) link.address = std::move(dialled.mapped());
  connection.setHandler(*this);
  connection.closeAt(Clock::now() + limits::kHelloTimeout, "it did not introduce itself");
  sendIntroduction(connection, link);
}

void ServerLinks::accepted(net::FramedConnection& connection, const wire::Hello& hello) {
  net::sendWelcome(connection, hello);
  connection.setHandler(*this);
  connection.closeAt(Clock::now() + limits::kHelloTimeout, "it did not introduce itself");
  links_[connection.id()];
}

void ServerLinks::sendIntroduction(net::FramedConnection& connection, Link& link) {
  link.mine = owner_.introduce();
  link.mine.dial = link.dial;
  fillFromKernel(link.mine.nonce);
  link.mine.settings.push_back({"secret", secret_.empty() ? "none" : "wanted"});
  send(connection.id(), link.mine, {});
}

void ServerLinks::introduced(net::FramedConnection& connection, Link& link,
                             wire::Introduction introduction) {
  if (link.other) return refuse(connection, {ErrorCode::protocol, "it introduced itself twice"});
  if (introduction.dial == 0 ? !link.dialledHere : link.dialledHere) {
    return refuse(connection, {ErrorCode::protocol, "an introduction of the wrong end"});
  }
  if (secret_.empty() && !connection.account().payer().isLoopback()) {
    return refuse(connection,
                  {ErrorCode::configuration,
                   "metaservers on several machines need a secret: --cluster-secret-file"});
  }
  if (!link.dialledHere) sendIntroduction(connection, link);
  link.other = std::move(introduction);
  for (const auto& setting : link.other->settings) {
    if (setting.name != "secret" || setting.value == (secret_.empty() ? "none" : "wanted"))
      continue;
    const auto& [with, without] = secret_.empty() ? std::pair(link.other->state, link.mine.state)
                                                  : std::pair(link.mine.state, link.other->state);
    return refuse(connection,
                  {ErrorCode::configuration,
                   fmt::format("{} on {} has a secret (--cluster-secret-file), {} on {} has none",
                               with.name.text(), with.address.text(), without.name.text(),
                               without.address.text())});
  }
  if (auto agreed = owner_.agreesWith(*link.other); !agreed) {
    return refuse(connection, agreed.error());
  }
  if (secret_.empty()) return this->link(connection, link);
  if (!link.dialledHere) sendProof(connection, link);
}

void ServerLinks::sendProof(net::FramedConnection& connection, const Link& link) {
  const auto& dialler = link.dialledHere ? link.mine : *link.other;
  const auto& dialled = link.dialledHere ? *link.other : link.mine;
  send(connection.id(),
       wire::Proof{crypto::clusterProof(secret_, dialler.nonce, dialled.nonce, link.dialledHere,
                                        link.mine.state.name)},
       {});
}

void ServerLinks::proved(net::FramedConnection& connection, Link& link, const wire::Proof& proof) {
  if (secret_.empty() || !link.other || link.isLinked) {
    return refuse(connection, {ErrorCode::protocol, "a proof that nobody asked for"});
  }
  const auto& dialler = link.dialledHere ? link.mine : *link.other;
  const auto& dialled = link.dialledHere ? *link.other : link.mine;
  const auto expected = crypto::clusterProof(secret_, dialler.nonce, dialled.nonce,
                                             !link.dialledHere, link.other->state.name);
  if (!crypto::isSameProof(proof.mac, expected)) {
    return refuse(connection,
                  {ErrorCode::configuration,
                   fmt::format("{} on {} and {} on {} have different secrets "
                               "(--cluster-secret-file)",
                               link.mine.state.name.text(), link.mine.state.address.text(),
                               link.other->state.name.text(), link.other->state.address.text())});
  }
  if (link.dialledHere) sendProof(connection, link);
  this->link(connection, link);
}

void ServerLinks::link(net::FramedConnection& connection, Link& link) {
  if (const auto differs = owner_.differsFrom(link.other->state); !differs) {
    return alike(connection, link, differs.error());
  }
  link.isLinked = true;
  link.linkedAt = Clock::now();
  connection.keepOpen();
  connection.admit(Payer::server(link.other->state.name));
  const ServerNumber other = link.other->state.number;
  const auto address = link.address;
  if (address) {
    if (const auto entry = addresses_.find(*address); entry != addresses_.end()) {
      entry->second.leadsTo = other;
    }
  }
  owner_.linked({connection.id(), link.dialledHere, link.dialledHere ? link.dial : link.other->dial,
                 *link.other});
}

// Both ends find this, and one of them gives way.
void ServerLinks::alike(net::FramedConnection& connection, Link& link, const Error& taken) {
  if (owner_.givesWayTo(link.other->state)) return giveWay(connection, link, taken);
  link.isAgain = true;  // the other end closes it
}

void ServerLinks::giveWay(net::FramedConnection& connection, Link& link, const Error& taken) {
  // First: nobody knows it by its name and number any more.
  if (std::exchange(link.isLinked, false)) owner_.linkClosed(connection.id());
  const auto given = owner_.giveWay(taken);
  if (!given) return refuse(connection, given.error());
  link.isAgain = true;
  connection.close(taken);
  dialSoon();
}

void ServerLinks::refuse(net::FramedConnection& connection, const Error& why) {
  log::warning(connection.account().payer(), "no link with {}: {}", connection.remote().text(),
               escaped(why.message));
  const auto link = links_.find(connection.id());
  if (link != links_.end() && link->second.address) answered(*link->second.address, why);
  send(connection.id(), wire::Failure{why.code, why.message}, {});
  connection.closeAfterFlush(why);
}

// --- frames ---

void ServerLinks::send(ConnectionId id, const wire::ClusterMessage& message,
                       const std::optional<wire::Route>& route) {
  auto* connection = loop_.find(id);
  if (connection == nullptr) return;
  if (const auto* requests = std::get_if<wire::SessionRequests>(&message)) {
    for (const auto& frame : wire::encodeBatches(*requests, route)) connection->send(frame);
  } else if (const auto* answers = std::get_if<wire::SessionAnswers>(&message)) {
    for (const auto& frame : wire::encodeBatches(*answers, route)) connection->send(frame);
  } else if (const auto* delta = std::get_if<wire::Delta>(&message); delta && !route) {
    connection->send(frameOf(*delta));
  } else {
    connection->send(wire::encode(message, route));
  }
}

// A delta goes to all metaservers, and its version names it: it is encoded once.
const std::string& ServerLinks::frameOf(const wire::Delta& delta) {
  if (lastDelta_.frame.empty() || lastDelta_.version != delta.after.version) {
    lastDelta_ = {delta.after.version, wire::encode(delta)};
  }
  return lastDelta_.frame;
}

void ServerLinks::onFrame(net::FramedConnection& connection, std::string_view payload) {
  const auto found = links_.find(connection.id());
  if (found == links_.end()) return;
  Link& link = found->second;
  auto frame = wire::decodeCluster(payload);
  if (!frame) return refuse(connection, frame.error());
  if (const auto* failure = std::get_if<wire::Failure>(&frame->message)) {
    const Error why{failure->code, escaped(failure->message)};
    // The other end keeps another connection with this metaserver.
    const bool isSpare = link.other && owner_.isLinkedTo(link.other->state.number) &&
                         why.code == ErrorCode::unavailable;
    const bool isTaken = why.code == ErrorCode::refused || why.code == ErrorCode::failed;
    if (link.isLinked && isTaken) return giveWay(connection, link, why);
    if (link.address) {
      answered(*link.address, isSpare ? Result<void>() : why);
    } else if (!isSpare) {
      log::warning(connection.account().payer(), "no link with {}: {}", connection.remote().text(),
                   why.message);
    }
    return connection.close(why);
  }
  if (auto* introduction = std::get_if<wire::Introduction>(&frame->message)) {
    return introduced(connection, link, std::move(*introduction));
  }
  if (const auto* proof = std::get_if<wire::Proof>(&frame->message)) {
    return proved(connection, link, *proof);
  }
  if (!link.isLinked) {
    return refuse(connection, {ErrorCode::protocol, "it must introduce itself first"});
  }
  // The other end has taken the link, too.
  if (link.address && !std::exchange(link.isTaken, true)) answered(*link.address, {});
  owner_.linkReceived(connection.id(), *std::move(frame));
}

void ServerLinks::onClosed(net::FramedConnection& connection, const Error& why) {
  const auto link = links_.extract(connection.id());
  if (link.empty()) return;
  // Else one that refuses this metaserver as soon as it is linked would be dialled without a pause.
  const bool hasLasted =
      link.mapped().isLinked && Clock::now() - link.mapped().linkedAt >= limits::kServerDial;
  if (link.mapped().address) {
    const auto address = addresses_.find(*link.mapped().address);
    if (address != addresses_.end()) {
      address->second.dialling.reset();
      const bool isAnswer = !link.mapped().isLinked && !link.mapped().isAgain;
      if (isAnswer) answered(*link.mapped().address, why);
    }
  }
  if (!link.mapped().isLinked) return;
  owner_.linkClosed(connection.id());
  if (hasLasted) dialSoon();
}

void ServerLinks::close(const cluster::MeshEffects::Close& close) {
  auto* connection = loop_.find(close.connection);
  if (connection == nullptr) return;
  const Error why{codeOf(close.reason), close.text};
  const auto link = links_.find(close.connection);
  if (link != links_.end()) {
    link->second.isLinked = false;  // the mesh knows
    const auto address = link->second.address;
    const bool isSpare = close.reason == cluster::CloseReason::second;
    if (address) answered(*address, isSpare ? Result<void>() : Result<void>(why));
    if (address && close.reason == cluster::CloseReason::itself) addresses_.erase(*address);
  }
  send(close.connection, wire::Failure{why.code, close.text}, {});
  connection->closeAfterFlush(why);
}

}  // namespace espalier::metaserver::shell
