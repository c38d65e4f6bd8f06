#include "peer/shell/network.h"

#include <algorithm>
#include <chrono>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/wire/link_codec.h"
#include "common/wire/private_codec.h"
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

Network::Network(net::EventLoop& loop, Membership::Options options, NetworkObserver& observer)
    : loop_(loop),
      random_(seededFromKernel()),
      observer_(observer),
      peer_(std::move(options), random_, *loop.budget(), Clock::now()),
      greeter_({{wire::Purpose::link, wire::Purpose::transfer, wire::Purpose::push,
                 wire::Purpose::privates},
                "this is a peer, not a metaserver"},
               [this](net::FramedConnection& connection, const wire::Hello& hello) {
                 greeted(connection, hello);
               }),
      registryWelcome_(
          [this](net::FramedConnection& connection, const wire::Welcome& welcome) {
            welcomed(connection, welcome, Phase::registry);
          },
          [this](ConnectionId connection, const Error& why) { dialFailed(connection, why); }),
      linkWelcome_(
          [this](net::FramedConnection& connection, const wire::Welcome& welcome) {
            welcomed(connection, welcome, Phase::link);
          },
          [this](ConnectionId connection, const Error& why) { dialFailed(connection, why); }),
      privateWelcome_(
          [this](net::FramedConnection& connection, const wire::Welcome& welcome) {
            welcomed(connection, welcome, Phase::privates);
          },
          [this](ConnectionId connection, const Error& why) { dialFailed(connection, why); }),
      reach_(loop.posted()) {
  loop_.setTick([this] { return deadline(); }, [this](TimePoint now) { tick(now); });
}

Network::~Network() {
  end();
}

// --- the interfaces that it calls

Network::Attachment::Attachment(Network& network, PeerHandler& handler) : network_(network) {
  (void)network_.call([&](Peer&, TimePoint, Effects&) { network_.handler_ = &handler; });
}

Network::Attachment::~Attachment() {
  (void)network_.call([this](Peer&, TimePoint, Effects&) { network_.handler_ = nullptr; });
}

void Network::match(const MatchJob& job) {
  if (handler_ != nullptr) handler_->match(job);
}

void Network::searched(SearchUpdate& update) {
  if (handler_ != nullptr) handler_->searched(update);
}

void Network::pushJob(PushJob& job) {
  if (handler_ != nullptr) handler_->carryOut(job);
}

void Network::privateWrite(PrivateWrite& write) {
  if (handler_ != nullptr) handler_->keep(write);
}

void Network::privateUpdate(PrivateUpdate& update) {
  if (handler_ != nullptr) handler_->told(update);
}

void Network::roomsChanged(RoomViewsEffects& fx) {
  if (handler_ != nullptr) handler_->roomsChanged(fx);
}

void Network::privateAdmitted(const PrivateAdmission& admission) {
  if (auto* connection = loop_.find(admission.connection)) connection->admit(admission.member);
}

// The metaserver names a host, which may be a name with several addresses.
void Network::checkHost(const HostCheck& check) {
  // Not within the step that asked for it.
  loop_.post([this, check] {
    lookUp({check.host, 0}, net::NamedBy::others, [this, check](Result<net::Target> target) {
      auto* connection = loop_.find(check.connection);
      if (connection == nullptr) return;
      const net::Address remote = connection->remote();
      const auto is = [&](const net::Address& each) { return each.sameHost(remote); };
      const bool isThere =
          target && std::any_of(target->addresses.begin(), target->addresses.end(), is);
      step([&](TimePoint now, Effects& fx) {
        if (auto* privates = peer_.privates()) {
          privates->hostChecked(check.connection, isThere, now, fx);
        }
      });
    });
  });
}

// --- steps of the core

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
  const auto sinceEpoch = std::chrono::system_clock::now().time_since_epoch();
  peer_.setWallClock(std::chrono::duration_cast<std::chrono::milliseconds>(sinceEpoch), now);
  event(now, fx);
  executor_.carryOut(fx, now);
  peerDeadline_.reset();
  observer_.stepped(peer_);
}

void Network::matched(const QueryId& id, std::vector<LocalHit> hits, std::uint64_t more,
                      bool indexing) {
  step([&](TimePoint now, Effects& fx) {
    if (auto* searches = peer_.searches()) {
      searches->matched(id, std::move(hits), more, indexing, now, fx);
    }
  });
}

bool Network::send(const Send& send) {
  auto* connection = loop_.find(send.to);
  if (connection == nullptr) return false;
  if (const auto* message = std::get_if<wire::LinkMessage>(&send.message);
      message != nullptr && std::holds_alternative<wire::Accepted>(*message)) {
    admitNeighbour(*connection);
  }
  connection->send(encodeMessage(send.message));
  return connection->isCongested();
}

void Network::close(ConnectionId connection) {
  giveUp(connection, {ErrorCode::unavailable, "this link was given up"});
}

void Network::notice(const Notice& notice) {
  using Kind = Notice::Kind;
  if (notice.kind == Kind::metaserverLost || notice.kind == Kind::nextMetaserver) {
    answers_.failAll({ErrorCode::unavailable, "the metaserver is out of reach"});
  } else if (notice.kind == Kind::renamed && handler_ != nullptr) {
    handler_->renamed(peer_.membership().id());
  }
  observer_.notice(notice);
}

void Network::listen(const Endpoint& at) {
  // Not within the step that asked for it: the core gets the outcome as an event of its own.
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
  phases_[wanted.connection] = Phase::dialling;
  auto& handler = wanted.purpose == wire::Purpose::registry   ? registryWelcome_
                  : wanted.purpose == wire::Purpose::privates ? privateWelcome_
                                                              : linkWelcome_;
  const auto who = wanted.isNamedByUser ? net::NamedBy::user : net::NamedBy::others;
  const auto dialled = handler.dial(loop_, wanted.connection, wanted.to, who, wanted.purpose);
  if (dialled) return;
  // After the step that wanted it.
  loop_.post([this, connection = wanted.connection, why = dialled.error()] {
    dialFailed(connection, why);
  });
}

void Network::dialFailed(ConnectionId connection, const Error& why) {
  executor_.closed(connection);
  if (phases_.erase(connection) == 0) return;
  step([&](TimePoint now, Effects& fx) { peer_.failed(connection, why, now, fx); });
}

void Network::welcomed(net::FramedConnection& connection, const wire::Welcome& welcome,
                       Phase phase) {
  const ConnectionId id = connection.id();
  const Endpoint here = connection.localAddress();
  phases_[id] = phase;
  connection.setHandler(*this);
  const auto address = net::Address::fromEndpoint(here);
  if (phase == Phase::registry && address && address->isLinkLocal()) {
    net::Resolver::ofSystem().useInterface(address->interfaceNumber());
  }
  step([&](TimePoint now, Effects& fx) { peer_.opened(id, here.host, now, fx, welcome.network); });
}

std::optional<net::Admission> Network::onAccept(const net::Address&) {
  return net::Admission{ConnectionId{++accepted_ * 2}, &greeter_};
}

void Network::greeted(net::FramedConnection& connection, const wire::Hello& hello) {
  if (hello.purpose == wire::Purpose::privates) {
    net::sendWelcome(connection, hello);
    connection.closeAt(Clock::now() + limits::kHelloTimeout, "it sent no introduction");
    const ConnectionId id = connection.id();
    phases_[id] = Phase::privates;
    connection.setHandler(*this);
    return step([&](TimePoint now, Effects& fx) {
      peer_.privateAccepted(id, connection.remote().endpoint().host, connection.account(), now, fx);
    });
  }
  if (hello.purpose != wire::Purpose::link) {
    auto stream = connection.detach();
    if (stream && handler_ != nullptr) handler_->serve(std::move(stream), hello);
    return;
  }
  net::sendWelcome(connection, hello);
  connection.closeAt(Clock::now() + limits::kHelloTimeout, "it asked for no link");
  phases_[connection.id()] = Phase::link;
  connection.setHandler(*this);
}

void Network::onFrame(net::FramedConnection& connection, std::string_view payload) {
  const ConnectionId id = connection.id();
  const auto phase = phases_.find(id);
  if (phase == phases_.end()) return;  // it was given up
  const auto drop = [&](const Error& error) {
    log::warning(connection.account().payer(), "{}: {}", connection.remote().text(), error.message);
    connection.close(error);  // of the code `protocol`
  };
  if (phase->second == Phase::registry) {
    const auto reply = wire::decodeRegistryReply(payload);
    if (!reply) return drop(reply.error());
    std::optional<std::uint64_t> answered;
    step([&](TimePoint now, Effects& fx) { answered = peer_.received(id, *reply, now, fx); });
    if (answered) answers_.answer(*answered, *reply);
    return;
  }
  if (phase->second == Phase::privates) {
    const auto frame = wire::decodePrivate(payload);
    if (!frame) return drop(frame.error());
    connection.keepOpen();  // from here on the core judges silence
    return step([&](TimePoint now, Effects& fx) { peer_.received(id, *frame, now, fx); });
  }
  const auto message = wire::decodeLink(payload);
  if (!message) return drop(message.error());
  connection.keepOpen();  // from here on the core judges silence
  std::string host;  // only a joiner's matters: making it a text costs more than reading a message
  if (std::holds_alternative<wire::Attach>(*message)) host = connection.remote().endpoint().host;
  step([&](TimePoint now, Effects& fx) { peer_.received(id, *message, now, fx, host); });
  if (!std::holds_alternative<wire::Accepted>(*message)) return;
  if (auto* accepted = loop_.find(id)) admitNeighbour(*accepted);
}

// The other end of a link is a member once the core has taken it for a neighbour.
void Network::admitNeighbour(net::FramedConnection& connection) {
  if (peer_.tree() == nullptr) return;
  for (const auto& neighbour : peer_.tree()->neighbours()) {
    if (neighbour.connection == connection.id()) connection.admit(neighbour.contact.id);
  }
}

void Network::onDrained(net::FramedConnection& connection) {
  executor_.drained(connection.id());
  peerDeadline_.reset();
}

void Network::onClosed(net::FramedConnection& connection, const Error& why) {
  const ConnectionId id = connection.id();
  executor_.closed(id);
  if (phases_.erase(id) == 0) return;
  step([&](TimePoint now, Effects& fx) {
    if (why.code == ErrorCode::protocol) return peer_.failed(id, why, now, fx);
    peer_.closed(id, now, fx);
  });
}

// A connection that was never established is closed at once: nothing sent on it would be read.
void Network::giveUp(ConnectionId id, Error why) {
  const auto phase = phases_.find(id);
  const bool silent = phase != phases_.end() && phase->second == Phase::dialling;
  if (phase != phases_.end()) phases_.erase(phase);
  auto* connection = loop_.find(id);
  if (connection == nullptr) return;
  if (silent) return connection->close(std::move(why));
  connection->closeAfterFlush(std::move(why));
}

void Network::pauseLinks(ConnectionId except) {
  for (const auto& [id, phase] : phases_) {
    if (phase != Phase::link || id == except) continue;
    if (auto* connection = loop_.find(id)) connection->pauseReading();
  }
}

void Network::resumeLinks() {
  for (const auto& [id, phase] : phases_) {
    if (auto* connection = loop_.find(id)) connection->resumeReading();
  }
}

// --- the metaserver's answers ---

void Network::ask(wire::RegistryRequest request, Answer answer, TimePoint now, Effects& fx) {
  if (!answers_.hasRoomFor(request)) {
    return answer(Error{ErrorCode::unavailable, "the metaserver does not answer"});
  }
  const auto number = peer_.ask(request, now, fx);
  if (!number) return answer(Error{ErrorCode::unavailable, "the metaserver is out of reach"});
  answers_.add(*number, request, std::move(answer));
}

// --- time ---

TimePoint Network::deadline() const {
  if (leaveBy_ != kNever) return nextGoodbyeLook_;
  if (!peerDeadline_) peerDeadline_ = peer_.deadline();  // asked for twice a round
  TimePoint first = std::min(*peerDeadline_, executor_.deadline());
  for (const auto* timer : timers_) first = std::min(first, timer->deadline());
  return first;
}

void Network::tick(TimePoint now) {
  executor_.tick(now);
  if (leaveBy_ != kNever) {
    nextGoodbyeLook_ = now + kGoodbyePoll;
    if (now >= leaveBy_ || loop_.connectionCount() == 0) loop_.stop();
    return;
  }
  for (auto* timer : timers_) {
    if (now >= timer->deadline()) timer->tick(now);
  }
  step([&](TimePoint, Effects& fx) { peer_.tick(now, fx); });
}

void Network::leave() {
  loop_.post([this] {
    if (leaveBy_ != kNever) return;
    listener_.reset();
    leaveBy_ = Clock::now() + kGoodbye;
    nextGoodbyeLook_ = Clock::now();
    step([&](TimePoint now, Effects& fx) { peer_.leave(now, fx); });
    while (!phases_.empty()) {
      giveUp(phases_.begin()->first, {ErrorCode::interrupted, "this peer is leaving"});
    }
  });
}

}  // namespace espalier::peer::shell
