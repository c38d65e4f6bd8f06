// What has happened at a peer, for its page: how often somebody wrote to it, and the last that
// happened in its rooms.
//
//   EventBus --take()--> received(): private messages since the start, by sender
//                    --> said(): the last events of rooms, by a number that goes up by one
//
// The bus keeps few events for a page that is not there: the rest is `missed`, an event of its own,
// after which a page asks for the history. The same where numbers are left out.
//
// Bounds: limits::kPrivateConversations senders; limits::kEventsQueued events of rooms, kSaidBytes
// of them. Not thread-safe: one thread at a time. take() costs O(events), said() O(what is kept).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "common/base/limits.h"
#include "common/web/picture.h"
#include "peer/shell/events.h"

namespace espalier::peer::shell {

class PageEvents {
 public:
  static constexpr std::size_t kSaidBytes = 128 * 1024;
  static_assert(4 * kSaidBytes <= limits::kWebEventBytes);

  // The bus outlives it.
  explicit PageEvents(EventBus& events)
      : events_(events, kindsOf<PrivateReceived, RoomHappened>()) {}

  // What has come since the last call.
  void take();
  // With how much was missed, so that the number rises whenever there may be a message.
  std::uint64_t received(const std::string& from) const;
  web::Group said() const;

 private:
  void add(std::string line);

  EventBus::Subscription events_;
  std::uint64_t missed_ = 0;
  std::map<std::string, std::uint64_t> received_;
  std::map<std::uint64_t, std::string> said_;
  std::size_t saidBytes_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace espalier::peer::shell
