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
  dialSoon();
  return true;
}

std::size_t ServerLinks::namedCount() const {
  return static_cast<std::size_t>(std::count_if(
      addresses_.begin(), addresses_.end(), [](const auto& one) { return one.second.isNamed; }));
}

void ServerLinks::dialDue(TimePoint now, const std::vector<wire::ServerState>& known) {
  if (now < dialAt_) return;
  dialAt_ = now + limits::kServerDial;
  for (const auto& state : known) {
    const bool isKnown = addresses_.contains(state.address);
    if (isKnown || add(state.address, false)) addresses_[state.address].leadsTo = state.number;
  }
  dialAt_ = now + limits::kServerDial;
  std::vector<Endpoint> due;
  for (const auto& [endpoint, address] : addresses_) {
    if (address.dialling || (address.leadsTo && owner_.isLinkedTo(*address.leadsTo))) continue;
    due.push_back(endpoint);
  }
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
    return refuse(connection,
                  {ErrorCode::configuration,
                   "one of the two metaservers has a secret (--cluster-secret-file), the "
                   "other has none"});
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
                  {ErrorCode::configuration, "the two metaservers have different secrets"});
  }
  if (link.dialledHere) sendProof(connection, link);
  this->link(connection, link);
}

void ServerLinks::link(net::FramedConnection& connection, Link& link) {
  link.isLinked = true;
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
  if (address) answered(*address, {});
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
  } else {
    connection->send(wire::encode(message, route));
  }
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
    const bool isSpare = link.other && owner_.isLinkedTo(link.other->state.number);
    if (link.address) answered(*link.address, isSpare ? Result<void>() : why);
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
  owner_.linkReceived(connection.id(), *std::move(frame));
}

void ServerLinks::onClosed(net::FramedConnection& connection, const Error& why) {
  const auto link = links_.extract(connection.id());
  if (link.empty()) return;
  if (link.mapped().address) {
    const auto address = addresses_.find(*link.mapped().address);
    if (address != addresses_.end()) {
      address->second.dialling.reset();
      if (!link.mapped().isLinked) answered(*link.mapped().address, why);
    }
  }
  if (!link.mapped().isLinked) return;
  owner_.linkClosed(connection.id());
  dialSoon();
}

void ServerLinks::close(const cluster::MeshEffects::Close& close) {
  auto* connection = loop_.find(close.connection);
  if (connection == nullptr) return;
  const auto link = links_.find(close.connection);
  if (link != links_.end()) {
    link->second.isLinked = false;  // the mesh knows
    const auto address = link->second.address;
    if (address && close.reason == cluster::CloseReason::itself) addresses_.erase(*address);
  }
  send(close.connection, wire::Failure{ErrorCode::refused, close.text}, {});
  connection->closeAfterFlush({ErrorCode::refused, close.text});
}

}  // namespace espalier::metaserver::shell
