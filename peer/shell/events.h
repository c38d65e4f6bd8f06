// What happens at this peer, for everything that shows it or waits for it.
//
//   publish(event) --> listeners       at once, on the publishing thread
//                  --> subscriptions   a bounded queue each, read by next() on another thread
//
//   event                 published by       read by
//   MetaserverGreeted     Runtime            NetworkTopology: a guest may ask now
//   JoinEnded             NoticeReporter     Joiner, TopologyStore
//   MetaserverLost, Back  NoticeReporter     NetworkTopology, PushSender
//   LinkUp, LinkDown      NoticeReporter     TopologyStore: renews its snapshot
//   MembersChanged        Runtime            NetworkTopology (TOTAL), PushSender
//   SearchChanged         NetworkSearch      NetworkSearch::find(): its progress and its end
//   DownloadChanged       ActiveDownloads    a paused download, which waits to be resumed
//   PushChanged           Runtime            PushSender: `push` follows its ledger
//   PrivateReceived       PrivateDesk        PromptNotices, `watch`, PageEvents
//   RoomHappened          RoomDesk           PromptNotices, `watch`, PageEvents
//   LogLine               log::write()       PromptNotices: above the line that is being typed
//
// The commands of the prompt, of -e and of the control socket wait through these readers.
//
// An event says that something changed, not all that it is now: a subscriber reads the state after
// it. A subscription that is full drops its queue and delivers Missed instead, so a slow subscriber
// costs bounded memory and still knows that it must read the state again.
//
// To add a kind of event, add a struct, an alternative of Event, and a
// reader: a subscription for a thread that waits for it or forwards it to a slow reader (the page,
// `watch`); a case of PromptNotices::textOf() if the prompt is to print it.
//
// Thread rule: publish() and subscriptions may be used from any thread; one subscription belongs to
// one thread. publish() never blocks. Listeners are added before the first event is published; they
// must not block, nor log: a line of the log is an event, too. Cost: O(listeners), one atomic load
// when no subscription wants the event, else O(subscriptions).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/wire/push.h"
#include "peer/shell/join_service.h"

namespace espalier::peer::shell {

struct MetaserverGreeted {};  // it has answered this peer's Hello
struct JoinEnded {            // an attempt to join
  JoinAttempt::End end = JoinAttempt::End::failed;
  Error error = {};       // unless `joined`
  std::string word = {};  // `wordRefused`: the right join word
};
struct MetaserverLost {};
struct MetaserverBack {};
struct LinkUp {
  std::string peer;
};
struct LinkDown {
  std::string peer;
};
struct MembersChanged {
  std::uint64_t members = 0;  // of the tree, as far as this peer knows
};
struct SearchChanged {  // hits, peers that have answered, or the result
  QueryId id;
};
struct DownloadChanged {  // begun, progressed, paused, resumed, cancelled, ended
  std::uint64_t number = 0;
};
struct PushChanged {  // its ledger
  PushId id;
};
struct PrivateReceived {           // a private message, which is durable
  std::string from;                // the id that the sender has
  std::string text;                // as it came
  std::chrono::milliseconds at{};  // when it was written, since 1970
  bool isOtherThanBefore = false;  // another instance had the id before
};
struct RoomHappened {
  enum class Kind { message, opened, joined, left, missing, waits, refused };
  Kind kind = Kind::message;
  std::string room;
  std::uint64_t number = 0;           // in the room, of `message`, `opened`; of `missing` the first
  std::uint64_t lastNumber = 0;       // of `missing`
  std::uint32_t epoch = 0;            // of the master that gave the number
  std::chrono::milliseconds at{};     // since 1970: when it was sent; of `missing` before that
  std::chrono::milliseconds after{};  // of `missing`: sent after that; zero: not known
  std::string from;                   // of `message`, `joined`, `left`: an id
  std::string text;                   // as it came; of `refused` why this peer is not in it
  bool isOwn = false;
  bool namesUser = false;
  bool isApart = false;       // it was said on another side of a cut
  std::uint64_t members = 0;  // of `waits`: so many are there
  std::uint64_t opensAt = 0;  // and so many are wanted
};
struct LogLine {
  std::string text;  // as it is printed, without the line feed
};
struct Missed {};  // events were dropped: read the state again. Any subscription may get it

using Event = std::variant<MetaserverGreeted, JoinEnded, MetaserverLost, MetaserverBack, LinkUp,
                           LinkDown, MembersChanged, SearchChanged, DownloadChanged, PushChanged,
                           PrivateReceived, RoomHappened, LogLine, Missed>;

// A set of alternatives of Event.
using EventKinds = std::uint32_t;
template <typename... Kinds>
constexpr EventKinds kindsOf();

class EventBus {
 public:
  class Subscription;
  using Listener = std::function<void(const Event&)>;

  EventBus() = default;
  EventBus(const EventBus&) = delete;
  EventBus& operator=(const EventBus&) = delete;

  void listen(Listener listener) { listeners_.push_back(std::move(listener)); }
  void publish(Event event);

 private:
  std::vector<Listener> listeners_;
  std::atomic<EventKinds> wanted_{0};  // by any subscription; changed under the mutex
  std::mutex mutex_;                   // guards what follows, and the queues of all subscriptions
  std::vector<Subscription*> subscriptions_;
};

class EventBus::Subscription {
 public:
  // From now on; the bus outlives it. `most`: events that wait for next().
  Subscription(EventBus& bus, EventKinds kinds, std::size_t most = limits::kEventsQueued);
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  // Waits for the next event; none when `stop` asks for the end or `until` has passed.
  std::optional<Event> next(const std::stop_token& stop, TimePoint until = kNever);

 private:
  friend EventBus;
  EventBus& bus_;
  const EventKinds kinds_;
  const std::size_t most_;
  std::condition_variable_any changed_;
  std::deque<Event> queue_;
  bool missed_ = false;  // the queue overflowed since it was read last
};

namespace detail {
template <typename Kind, std::size_t... I>
constexpr EventKinds kindOf(std::index_sequence<I...>) {
  return ((std::is_same_v<Kind, std::variant_alternative_t<I, Event>> ? EventKinds{1} << I : 0) |
          ...);
}
}  // namespace detail

template <typename... Kinds>
constexpr EventKinds kindsOf() {
  return (detail::kindOf<Kinds>(std::make_index_sequence<std::variant_size_v<Event>>()) | ...);
}

}  // namespace espalier::peer::shell
