// All of a peer that decides and does no I/O: its membership of the network, and the components
// that live on the links of its tree. The shell and the simulation feed it the same events.
//
//   event --> Membership --> what changed of the links --> each component
//   message of a link --> Membership (if the tree's) or the component that it belongs to
//
// The components exist from when this peer listens; before, what is asked of them has no effect, or
// is answered by an error.
//
// Does no I/O, not thread-safe. Call tick() when deadline() has passed.
#pragma once

#include <array>
#include <optional>

#include "peer/core/component.h"
#include "peer/core/membership.h"
#include "peer/core/push.h"
#include "peer/core/search.h"

namespace espalier::peer {

class Peer {
 public:
  Peer(Membership::Options options, Random& random, TimePoint now)
      : random_(random), membership_(std::move(options), random, now) {}

  // --- what the user wants ---
  void connect(TimePoint now, Effects& fx);
  void join(const PeerId& id, const InstanceKey& key, const std::string& word, TimePoint now,
            Effects& fx);
  bool ask(wire::RegistryRequest request, TimePoint now, Effects& fx);
  void leave(TimePoint now, Effects& fx);
  Result<QueryId> find(PatternKind kind, std::string_view text, TimePoint now, Effects& fx);
  std::optional<SearchResult> cancel(const QueryId& id);
  // From now on; before this peer joins.
  void acceptPushes(PushPolicy policy) { policy_ = std::move(policy); }
  Result<PushId> push(std::vector<wire::PushFile> files, std::vector<PeerId> to, TimePoint now,
                      Effects& fx);
  void finishPush(const PushId& id, wire::PushEnd end, TimePoint now, Effects& fx);

  // --- what happened ---
  void opened(ConnectionId connection, const std::string& localHost, TimePoint now, Effects& fx);
  void failed(ConnectionId connection, const Error& error, TimePoint now, Effects& fx);
  void closed(ConnectionId connection, TimePoint now, Effects& fx);
  void listening(const Endpoint& at, TimePoint now, Effects& fx);
  void listenFailed(const Error& error, TimePoint now, Effects& fx);
  void received(ConnectionId connection, const wire::RegistryReply& reply, TimePoint now,
                Effects& fx);
  void received(ConnectionId connection, const wire::LinkMessage& message, TimePoint now,
                Effects& fx);
  void congested(ConnectionId connection);
  void drained(ConnectionId connection);
  void matched(const QueryId& id, std::vector<LocalHit> hits, std::uint64_t more,
               bool stillIndexing, TimePoint now, Effects& fx);
  void pushSourceFailed(const PushId& id, std::size_t stripe, const PeerId& source,
                        PushTrouble trouble, TimePoint now, Effects& fx);
  void pushCompleted(const PushId& id, TimePoint now, Effects& fx);
  void pushFailed(const PushId& id, std::string reason, TimePoint now, Effects& fx);
  void tick(TimePoint now, Effects& fx);
  TimePoint deadline() const;

  std::size_t openQueries() const { return parts_ ? parts_->searches.openCount() : 0; }
  // Null until this peer listens.
  const Pushes* pushes() const { return parts_ ? &parts_->pushes : nullptr; }
  const Membership& membership() const { return membership_; }
  const Tree* tree() const { return membership_.tree(); }
  // Whether a connection is the metaserver's, a link, or on its way to be one.
  bool owns(ConnectionId connection) const { return membership_.owns(connection); }

 private:
  // From when this peer listens.
  struct Components {
    Components(const wire::Contact& self, PushPolicy policy, Random& random)
        : searches(self, random), pushes(self, std::move(policy), random) {}

    Searches searches;
    Pushes pushes;
    const std::array<Component*, 2> all{&searches, &pushes};
  };

  void afterStep(TimePoint now, Effects& fx);
  void countMembers(TimePoint now, Effects& fx);

  Random& random_;
  Membership membership_;
  PushPolicy policy_;
  std::optional<Components> parts_;
  wire::Contact self_;  // as the components know this peer
};

}  // namespace espalier::peer
