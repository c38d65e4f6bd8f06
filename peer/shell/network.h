// A peer's sockets around its core: the listener, and every connection that the core knows of.
//
//   dialled:   dialling --Welcome--> registry | link              the core hears `opened`
//                       --Failure, silence, no connection-->      the core hears `failed`
//   accepted:  --Hello for a link-->              link            the core hears its first message
//              --Hello for a transfer, a push-->  detached        the handler gets the stream
//              --Hello for private messages-->  privates       the core hears `privateAccepted`
//   registry, link, privates --the other end closes--> the core hears `closed`
//                  --it sends a malformed message--> closed, the core hears `failed`
//
// The core's effects are carried out by the executor that the simulation uses, too
// (peer/core/executor.h); it slows links down when a queue is full.
//
// It calls three interfaces, all on the loop's thread; their functions must not block:
//
//   NetworkObserver   what the core has done, from construction to end()
//   PeerHandler       what the core asks for. Attached once this peer has an id. Without one, match
//                     jobs, pushes and incoming transfers are dropped; the core has none of them
//                     before it has joined
//   LoopTimer         timers of others, any number, from add() to end()
//
// Thread rule: everything runs on the loop's thread, but for call(), post(), leave(), end() and an
// Attachment, which any other thread may use.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "common/base/budget.h"
#include "common/base/random.h"
#include "common/net/event_loop.h"
#include "common/net/handshake.h"
#include "common/net/listener.h"
#include "common/net/resolver.h"
#include "common/wire/hello.h"
#include "peer/core/executor.h"
#include "peer/core/peer.h"
#include "peer/shell/loop_timer.h"
#include "peer/shell/peer_handler.h"
#include "peer/shell/pending_answers.h"

namespace espalier::peer::shell {

// What the core has done. Runtime implements it.
class NetworkObserver {
 public:
  virtual ~NetworkObserver() = default;
  virtual void notice(const Notice& notice) = 0;
  virtual void pushChanged(const PushId& id) = 0;
  // After each step of the core, when its effects have been carried out.
  virtual void stepped(const Peer& peer) = 0;
};

class Network final : private net::ListenerHandler, private net::ConnectionHandler {
 public:
  using Answer = PendingAnswers::Answer;

  // While it exists, the network calls the handler. Constructor and destructor wait for the loop's
  // thread, unless the loop has ended. The network outlives it.
  class Attachment {
   public:
    Attachment(Network& network, PeerHandler& handler);
    ~Attachment();
    Attachment(const Attachment&) = delete;
    Attachment& operator=(const Attachment&) = delete;

   private:
    Network& network_;
  };

  // `loop` and `observer` outlive it.
  Network(net::EventLoop& loop, Membership::Options options, NetworkObserver& observer);
  ~Network();

  // Of the process. Any thread.
  const std::shared_ptr<Budget>& budget() const { return loop_.budget(); }
  // Before the loop runs. The timer outlives the loop's thread.
  void add(LoopTimer& timer) { timers_.push_back(&timer); }

  // Runs `function(peer, now, effects)` on the loop's thread and waits for what it returns.
  // `interrupted` once the loop has stopped.
  template <typename Function>
  auto call(Function function)
      -> Result<std::invoke_result_t<Function, Peer&, TimePoint, Effects&>>;
  // The same without waiting for it to run. Blocks while limits::kPostedFunctions wait: never call
  // it with a lock that the loop's thread takes.
  void post(std::function<void(Peer&, TimePoint, Effects&)> function);

  // What a match job has found. On the loop's thread only.
  void matched(const QueryId& id, std::vector<LocalHit> hits, std::uint64_t more, bool indexing);
  // Asks the metaserver; the answer comes on the loop's thread. On the loop's thread only. An
  // error at once where the metaserver is out of reach, or too many wait already.
  void ask(wire::RegistryRequest request, Answer answer, TimePoint now, Effects& fx);
  // `done` on the loop's thread, at once for an IP literal, unless this peer has ended by then. On
  // the loop's thread only.
  void lookUp(const Endpoint& endpoint, net::NamedBy who,
              std::function<void(Result<net::Target>)> done);
  // Closes all connections, and stops the loop once the other ends have closed, or after half a
  // second. Any thread.
  void leave();
  // The loop has run for the last time: every call() fails with `interrupted`, now and later.
  void end();

 private:
  enum class Phase { dialling, registry, link, privates };

  // --- connections
  std::optional<net::Admission> onAccept(const net::Address& remote) override;
  void greeted(net::FramedConnection& connection, const wire::Hello& hello);
  void welcomed(net::FramedConnection& connection, const wire::Welcome& welcome, Phase phase);
  void dialFailed(ConnectionId connection, const Error& why);
  void onFrame(net::FramedConnection& connection, std::string_view payload) override;
  void onDrained(net::FramedConnection& connection) override;
  void onClosed(net::FramedConnection& connection, const Error& why) override;
  void admitNeighbour(net::FramedConnection& connection);
  void giveUp(ConnectionId connection, Error why);

  template <typename Event>
  void step(Event&& event);

  // --- what the executor asks for
  friend class Executor<Network>;
  void listen(const Endpoint& at);
  void dial(const Dial& dial);
  bool send(const Send& send);
  void close(ConnectionId connection);
  void flush() { loop_.flush(); }
  void match(const MatchJob& job);
  void searched(SearchUpdate& update);
  void pushJob(PushJob& job);
  void privateWrite(PrivateWrite& write);
  void privateAdmitted(const PrivateAdmission& admission);
  void checkHost(const HostCheck& check);
  void privateUpdate(PrivateUpdate& update);
  void roomsChanged(RoomViewsEffects& fx);
  void pushChanged(const PushId& id) { observer_.pushChanged(id); }
  void notice(const Notice& notice);
  void pauseLinks(ConnectionId except);
  void resumeLinks();

  void listenAt(Result<net::Target> target);
  void tick(TimePoint now);
  TimePoint deadline() const;

  net::EventLoop& loop_;
  Random random_;
  NetworkObserver& observer_;
  PeerHandler* handler_ = nullptr;  // the attached one
  std::vector<LoopTimer*> timers_;
  Peer peer_;
  Executor<Network> executor_{peer_, *this};
  mutable std::optional<TimePoint> peerDeadline_;  // of peer_, until its state may have changed
  net::HelloHandler greeter_;                      // of what was accepted
  net::WelcomeHandler registryWelcome_;            // of what was dialled
  net::WelcomeHandler linkWelcome_;
  net::WelcomeHandler privateWelcome_;
  std::unique_ptr<net::Listener> listener_;
  // Those that the core knows of; one that is given up is not here any more.
  std::unordered_map<ConnectionId, Phase> phases_;
  std::uint64_t accepted_ = 0;
  PendingAnswers answers_;
  TimePoint leaveBy_ = kNever;
  TimePoint nextGoodbyeLook_ = kNever;
  // Into the loop, until it has ended; shared with threads that may outlive this.
  std::shared_ptr<net::PostedFunctions> reach_;
};

template <typename Function>
auto Network::call(Function function)
    -> Result<std::invoke_result_t<Function, Peer&, TimePoint, Effects&>> {
  using Value = std::invoke_result_t<Function, Peer&, TimePoint, Effects&>;
  auto promise = std::make_shared<std::promise<Value>>();
  auto future = promise->get_future();
  post([promise = std::move(promise), function = std::move(function)](Peer& peer, TimePoint now,
                                                                      Effects& fx) mutable {
    if constexpr (std::is_void_v<Value>) {
      function(peer, now, fx);
      promise->set_value();
    } else {
      promise->set_value(function(peer, now, fx));
    }
  });
  try {
    if constexpr (std::is_void_v<Value>) {
      future.get();
      return {};
    } else {
      return future.get();
    }
  } catch (const std::future_error&) {  // the loop was gone before it was its turn
    return Error{ErrorCode::interrupted, "this peer is stopping"};
  }
}

}  // namespace espalier::peer::shell
