// All of a peer that decides and does no I/O: its membership of the network, and the components
// that live on the links of its tree. The shell and the simulation feed it the same events.
//
//   event --> Membership --> what changed of the links --> each component
//   message of a link --> Membership (if the tree's) or the component that it belongs to
//
// The components exist from when this peer listens. The shell and the simulation use searches(),
// pushes(), privates() and rooms() directly. Peer forwards to each component the events of links
// and time, to privates() also those of its own connections, to rooms() those of its home. A step
// is one event or call; endStep() ends it.
//
// Does no I/O, not thread-safe. Call tick() when deadline() has passed.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peer/core/component.h"
#include "peer/core/membership.h"
#include "peer/core/private/private_messages.h"
#include "peer/core/push.h"
#include "peer/core/recent_least.h"
#include "peer/core/rooms/room_views.h"
#include "peer/core/search.h"

namespace espalier::peer {

// The error of what needs the components before they exist.
inline Error notJoined() {
  return {ErrorCode::unavailable, "this peer is not in the network yet"};
}

class Peer {
 public:
  // `random` and `budget` are borrowed. What comes over a link is paid from TreeLink::account.
  Peer(Membership::Options options, Random& random, Budget& budget, TimePoint now)
      : random_(random), budget_(budget), membership_(std::move(options), random, budget, now) {}

  // --- what the user wants ---
  void connect(TimePoint now, Effects& fx);
  void join(const PeerId& id, const InstanceKey& key, const std::string& word, TimePoint now,
            Effects& fx);
  std::optional<std::uint64_t> ask(wire::RegistryRequest request, TimePoint now, Effects& fx);
  void leave(TimePoint now, Effects& fx);
  // From now on; before this peer joins.
  void acceptPushes(PushPolicy policy) { policy_ = std::move(policy); }
  // What is kept of private messages; before this peer joins.
  void keepPrivates(PrivateState state) { privateState_ = std::move(state); }
  // The same of rooms. `speaker`: random, another one in each run.
  void keepRooms(RoomViews::Saved saved, SpeakerId speaker) {
    savedRooms_ = std::move(saved);
    speaker_ = speaker;
  }
  // What the wall clock shows, since 1970; before each event.
  void setWallClock(std::chrono::milliseconds sinceEpoch, TimePoint now);

  // --- what happened ---
  void opened(ConnectionId connection, const std::string& localHost, TimePoint now, Effects& fx,
              const wire::NetworkId& network = {});
  void failed(ConnectionId connection, const Error& error, TimePoint now, Effects& fx);
  void closed(ConnectionId connection, TimePoint now, Effects& fx);
  void listening(const Endpoint& at, TimePoint now, Effects& fx);
  void listenFailed(const Error& error, TimePoint now, Effects& fx);
  std::optional<std::uint64_t> received(ConnectionId connection, const wire::RegistryReply& reply,
                                        TimePoint now, Effects& fx);
  void received(ConnectionId connection, const wire::LinkMessage& message, TimePoint now,
                Effects& fx, std::string_view host = {});
  // A connection for private messages that the other end has dialled; and what comes on any.
  void privateAccepted(ConnectionId connection, std::string host, Account address, TimePoint now,
                       Effects& fx);
  void received(ConnectionId connection, const wire::PrivateFrame& frame, TimePoint now,
                Effects& fx);
  void congested(ConnectionId connection);
  void drained(ConnectionId connection);
  void tick(TimePoint now, Effects& fx);
  TimePoint deadline() const;

  // Ends the step of an event. Executor calls it before it carries the effects out.
  void endStep(TimePoint now, Effects& fx);

  // --- the components; null until this peer listens ---
  Searches* searches() { return parts_ ? &parts_->searches : nullptr; }
  const Searches* searches() const { return parts_ ? &parts_->searches : nullptr; }
  Pushes* pushes() { return parts_ ? &parts_->pushes : nullptr; }
  const Pushes* pushes() const { return parts_ ? &parts_->pushes : nullptr; }
  PrivateMessages* privates() { return parts_ ? &parts_->privates : nullptr; }
  const PrivateMessages* privates() const { return parts_ ? &parts_->privates : nullptr; }
  RoomViews* rooms() { return parts_ ? &parts_->rooms : nullptr; }
  const RoomViews* rooms() const { return parts_ ? &parts_->rooms : nullptr; }

  const Membership& membership() const { return membership_; }
  const Tree* tree() const { return membership_.tree(); }
  // Whether a connection is the metaserver's, a link, or on its way to be one.
  bool owns(ConnectionId connection) const {
    return membership_.owns(connection) || (parts_ && parts_->privates.owns(connection));
  }

 private:
  // From when this peer listens.
  struct Components {
    Components(const wire::Contact& self, PushPolicy policy, PrivateMessages::Options privately,
               const RoomViews::Saved& saved, SpeakerId speaker, ConnectionNumbers& numbers,
               Random& random, const InstanceKey& key, Budget& budget, TimePoint now)
        : searches(self, random),
          pushes(self, std::move(policy), random, key, &budget),
          privates(self, std::move(privately), numbers, random, budget, now),
          rooms(self.id, speaker, saved,
                [this](const PeerId& id) { return privates.book().isIgnored(id, {}); }) {}
    Components(const Components&) = delete;
    Components& operator=(const Components&) = delete;

    Searches searches;
    Pushes pushes;
    PrivateMessages privates;
    RoomViews rooms;  // which has nothing to do with links
    const std::array<Component*, 3> all{&searches, &pushes, &privates};
  };

  // What the components were told of a link.
  struct Told {
    ConnectionId link;
    std::uint64_t behind;
    bool isConfirmed;

    bool operator==(const Told&) const = default;
  };

  void tellComponents(TimePoint now, Effects& fx);
  void makeComponents(TimePoint now);
  void askForPrivates(TimePoint now, Effects& fx);
  void stepRooms(TimePoint now, Effects& fx);
  void tellLinks(TimePoint now, Effects& fx);
  void tellBehind(std::size_t at, const Told& link);

  Random& random_;
  Budget& budget_;
  Membership membership_;
  PushPolicy policy_;
  PrivateState privateState_;    // until the components exist
  RoomViews::Saved savedRooms_;  // likewise
  SpeakerId speaker_;
  std::optional<ConnectionId> roomsHome_;  // as rooms() knows it
  std::chrono::milliseconds wallClock_{};
  std::optional<Components> parts_;
  wire::Contact self_;      // as the components know this peer
  std::vector<Told> told_;  // the parent, if any, and the children
  RecentLeast leastBelow_;
};

}  // namespace espalier::peer
