#include "peer/shell/network.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/wire/link_codec.h"
#include "common/wire/registry_codec.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;

constexpr auto kGoodbye = 500ms;
constexpr auto kGoodbyePoll = 10ms;

std::string encodeMessage(const Message& message) {
  return std::visit([](const auto& m) { return wire::encode(m); }, message);
}

}  // namespace

Network::Network(net::EventLoop& loop, Membership::Options options, Owner owner)
    : loop_(loop),
      random_(seededFromKernel()),
      owner_(std::move(owner)),
      peer_(std::move(options), random_, Clock::now()),
      reach_(loop.posted()) {
  loop_.setTick([this] { return deadline(); }, [this](TimePoint now) { tick(now); });
}

Network::~Network() {
  end();
}

void Network::post(std::function<void(Peer&, TimePoint, Effects&)> function) {
  reach_->post([this, function = std::move(function)] {
    step([&](TimePoint now, Effects& fx) { function(peer_, now, fx); });
  });
}

void Network::end() {
  reach_->close();
}

template <typename Event>
void Network::step(Event&& event) {
  Effects fx;
  const TimePoint now = Clock::now();
  event(now, fx);
  executor_.carryOut(fx, now);
  owner_.stepped(peer_);
}

void Network::matched(const QueryId& id, std::vector<LocalHit> hits, std::uint64_t more,
                      bool indexing) {
  step([&](TimePoint now, Effects& fx) {
    peer_.matched(id, std::move(hits), more, indexing, now, fx);
  });
}

bool Network::send(const Send& send) {
  auto* connection = loop_.find(send.to);
  if (connection == nullptr) {
    const auto early = early_.find(send.to);
    if (early != early_.end()) wire::appendFrame(encodeMessage(send.message), early->second);
    return false;
  }
  connection->send(encodeMessage(send.message));
  return connection->isCongested();
}

void Network::close(ConnectionId connection) {
  giveUp(connection, {ErrorCode::unavailable, "this link was given up"});
}

void Network::notice(const Notice& notice) {
  if (notice.kind == Notice::Kind::metaserverLost) {
    failAnswers({ErrorCode::unavailable, "the metaserver is out of reach"});
  }
  owner_.notice(notice);
}

void Network::listen(const Endpoint& at) {
  // After the step that wanted it: the core is told the outcome as an event of its own.
  loop_.post([this, at] {
    lookUp(at, net::NamedBy::user,
           [this](Result<net::Target> target) { listenAt(std::move(target)); });
  });
}

void Network::listenAt(Result<net::Target> target) {
  // `io`: another port does not help where the host is not found.
  auto listener = target ? net::Listener::open(loop_, *target, *this)
                         : Error{ErrorCode::io, target.error().message};
  step([&](TimePoint now, Effects& fx) {
    if (!listener) return peer_.listenFailed(listener.error(), now, fx);
    listener_ = std::move(*listener);
    peer_.listening(listener_->localAddress(), now, fx);
  });
}

void Network::lookUp(const Endpoint& endpoint, net::NamedBy who,
                     std::function<void(Result<net::Target>)> done) {
  if (auto known = net::Resolver::ofSystem().literal(endpoint)) return done(*std::move(known));
  net::Resolver::ofSystem().start(
      endpoint, who, [reach = reach_, done](Result<net::Target> target) {
        // Nobody waits for it once this peer is gone.
        (void)reach->post([done, target = std::move(target)] { done(target); });
      });
}

// --- connections ---

void Network::dial(const Dial& wanted) {
  const bool isRegistry = wanted.purpose == wire::Purpose::registry;
  states_[wanted.connection] = {isRegistry ? Kind::registry : Kind::link, false};
  early_[wanted.connection];
  const auto who = isRegistry ? net::NamedBy::user : net::NamedBy::others;
  lookUp(wanted.to, who, [this, wanted](const Result<net::Target>& target) {
    if (!states_.contains(wanted.connection)) return;  // given up meanwhile
    if (target) return dialResolved(wanted, *target);
    dialFailed(wanted.connection, target.error());
  });
}

// The core hears of it later: it may be the one that just asked for it.
void Network::dialFailed(ConnectionId connection, Error why) {
  states_.erase(connection);
  early_.erase(connection);
  loop_.post([this, connection, why = std::move(why)] {
    step([&](TimePoint now, Effects& fx) { peer_.failed(connection, why, now, fx); });
  });
}

void Network::dialResolved(const Dial& wanted, const net::Target& to) {
  auto dialled = loop_.dial(wanted.connection, to, control_);
  if (!dialled) return dialFailed(wanted.connection, dialled.error());
  wire::Hello hello;
  hello.purpose = wanted.purpose;
  (*dialled)->send(wire::encode(hello));
  if (const auto early = early_.find(wanted.connection); early != early_.end()) {
    wire::FrameReader reader;
    reader.append(early->second);
    for (auto frame = reader.next(); frame && *frame; frame = reader.next()) {
      (*dialled)->send(**frame);
    }
    early_.erase(early);
  }
}

std::optional<net::Admission> Network::onAccept(const net::Address&) {
  return net::Admission{ConnectionId{++accepted_ * 2}, &greeter_};
}

void Network::Greeter::onOpened(net::FramedConnection& connection) {
  connection.closeAt(Clock::now() + limits::kHelloTimeout, {ErrorCode::timeout, "it said nothing"});
}

void Network::Greeter::onFrame(net::FramedConnection& connection, std::string_view payload) {
  const auto hello = wire::decodeHello(payload);
  if (!hello || hello->purpose == wire::Purpose::registry) {
    const Error why =
        hello ? Error{ErrorCode::protocol, "this is a peer, not a metaserver"} : hello.error();
    connection.send(wire::encode(wire::Failure{why.code, why.message}));
    connection.closeAfterFlush(why);
    return;
  }
  if (hello->purpose == wire::Purpose::transfer || hello->purpose == wire::Purpose::push) {
    if (auto stream = connection.detach()) network_.owner_.transfer(std::move(stream), *hello);
    return;
  }
  connection.send(wire::encode(wire::welcomeFor(*hello)));
  connection.closeAt(Clock::now() + limits::kHelloTimeout,
                     {ErrorCode::timeout, "it asked for no link"});
  network_.states_[connection.id()] = {Kind::link, true};
  connection.setHandler(network_.control_);
}

// Of what was dialled: somebody accepts, which a process that is stopped does, too.
void Network::Control::onOpened(net::FramedConnection& connection) {
  connection.closeAt(Clock::now() + limits::kHelloTimeout, {ErrorCode::timeout, "it said nothing"});
}

void Network::Control::onFrame(net::FramedConnection& connection, std::string_view payload) {
  network_.received(connection, payload);
}

void Network::received(net::FramedConnection& connection, std::string_view payload) {
  const ConnectionId id = connection.id();
  const auto state = states_.find(id);
  if (state == states_.end()) return;  // given up already
  const auto drop = [&](const Error& error) {
    log::warning("{}: {}", connection.remote().text(), error.message);
    states_.erase(id);
    connection.close(error);
    step([&](TimePoint now, Effects& fx) { peer_.failed(id, error, now, fx); });
  };
  if (!state->second.welcomed) {
    const auto welcome = wire::decodeWelcome(payload);
    if (!welcome) {
      states_.erase(state);
      connection.close(welcome.error());
      return step([&](TimePoint now, Effects& fx) { peer_.failed(id, welcome.error(), now, fx); });
    }
    state->second.welcomed = true;
    connection.keepOpen();
    const auto here = net::Address::fromEndpoint(connection.localAddress());
    if (state->second.kind == Kind::registry && here && here->isLinkLocal()) {
      net::Resolver::ofSystem().useInterface(here->interfaceNumber());
    }
    const std::string local = connection.localAddress().host;
    return step([&](TimePoint now, Effects& fx) { peer_.opened(id, local, now, fx); });
  }
  if (state->second.kind == Kind::registry) {
    const auto reply = wire::decodeRegistryReply(payload);
    if (!reply) return drop(reply.error());
    step([&](TimePoint now, Effects& fx) { peer_.received(id, *reply, now, fx); });
    return answered(*reply);
  }
  const auto message = wire::decodeLink(payload);
  if (!message) return drop(message.error());
  connection.keepOpen();  // from here on the core judges silence
  step([&](TimePoint now, Effects& fx) { peer_.received(id, *message, now, fx); });
}

void Network::Control::onClosed(net::FramedConnection& connection, const Error& why) {
  network_.executor_.closed(connection.id());
  const auto state = network_.states_.find(connection.id());
  if (state == network_.states_.end()) return;
  const bool welcomed = state->second.welcomed;
  network_.states_.erase(state);
  network_.step([&](TimePoint now, Effects& fx) {
    if (welcomed && why.code != ErrorCode::protocol) {
      network_.peer_.closed(connection.id(), now, fx);
    } else {
      network_.peer_.failed(connection.id(), why, now, fx);
    }
  });
}

// Who has never answered hears no last words either: waiting for it would only hold up our end.
void Network::giveUp(ConnectionId id, Error why) {
  const auto state = states_.find(id);
  const bool silent = state != states_.end() && !state->second.welcomed;
  if (state != states_.end()) states_.erase(state);
  early_.erase(id);
  auto* connection = loop_.find(id);
  if (connection == nullptr) return;
  if (silent) return connection->close(std::move(why));
  connection->closeAfterFlush(std::move(why));
}

// --- time ---

TimePoint Network::deadline() const {
  if (leaveBy_ != kNever) return nextGoodbyeLook_;
  return std::min({peer_.deadline(), executor_.deadline(), owner_.deadline()});
}

void Network::tick(TimePoint now) {
  executor_.tick(now);
  if (leaveBy_ != kNever) {
    nextGoodbyeLook_ = now + kGoodbyePoll;
    if (now >= leaveBy_ || loop_.connectionCount() == 0) loop_.stop();
    return;
  }
  owner_.tick(now);
  step([&](TimePoint, Effects& fx) { peer_.tick(now, fx); });
}

void Network::leave() {
  loop_.post([this] {
    if (leaveBy_ != kNever) return;
    listener_.reset();
    leaveBy_ = Clock::now() + kGoodbye;
    nextGoodbyeLook_ = Clock::now();
    step([&](TimePoint now, Effects& fx) { peer_.leave(now, fx); });
    while (!states_.empty()) {
      giveUp(states_.begin()->first, {ErrorCode::interrupted, "this peer is leaving"});
    }
  });
}

}  // namespace espalier::peer::shell
