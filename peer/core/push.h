// Pushes: those that this peer sends, takes and passes on. Offers and ledgers travel over the links
// of the tree. The bytes do not pass through here: the shell is told which sources to take them
// from, and reports the outcome.
//
//   PushPolicy   whether this peer takes a push
//   OpenPush     one push: offer, ledger, this peer's own entry
//   PushTaking   the choice of sources, while this peer takes the push
//   PushLink     what one neighbour has been told, and how often it is told more
//
// The life of a push at a peer:
//
//   start(), or PushOffer --> open --OpenPush::forgetAt(), or room is needed--> forgotten
//
// An offer floods over every link but the one it came on. A link that comes up later gets the offer
// with the whole ledger, marked as late. A changed entry of the ledger floods like that, too. If a
// link has been gone for limits::kPushGone, this peer reports the neighbour as `lost`. The id of a
// forgotten push is remembered, and its offer ignored.
//
// What other peers say may be hostile. Pushes, entries, versions and files have bounds in limits.h;
// what exceeds them is ignored and warned of once a link. Nothing is signed: a liar can name
// another peer as the sender, and can make claims about another peer, which that peer contradicts.
//
// A component of Peer (component.h), which calls everything here. Does no I/O, not thread-safe;
// time and randomness are handed in. A received entry costs O(links) and O(log entries); an offer
// O(links * entries); tick() O(pushes + links).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/base/result.h"
#include "common/wire/contact.h"
#include "common/wire/push.h"
#include "peer/core/component.h"
#include "peer/core/ledger.h"
#include "peer/core/open_push.h"
#include "peer/core/push_jobs.h"
#include "peer/core/push_link.h"
#include "peer/core/push_policy.h"
#include "peer/core/recent_ids.h"

namespace espalier::peer {

class Pushes final : public Component {
 public:
  struct View {
    wire::PushOffer offer;
    Ledger ledger;
    bool mine = false;  // this peer started it
  };

  Pushes(wire::Contact self, PushPolicy policy, Random& random)
      : self_(std::move(self)), policy_(std::move(policy)), random_(random) {}

  // Sends `files`, which this peer has, to the peers in `to`; empty: to all. Fails when there are
  // no files, when they do not fit into one offer, or when limits::kPushes are under way.
  Result<PushId> start(std::vector<wire::PushFile> files, std::vector<PeerId> to, TimePoint now,
                       Effects& fx);
  // Ends a push that this peer started. closed: no new peer takes part. cancelled: peers that are
  // not complete give up.
  void finish(const PushId& id, wire::PushEnd end, TimePoint now, Effects& fx);

  // --- Component
  void linkUp(const TreeLink& link, TimePoint now, Effects& fx) override;
  void linkDown(ConnectionId link, TimePoint now, Effects& fx) override;
  // Takes PushOffer and PushLedger.
  bool received(ConnectionId link, const wire::LinkMessage& message, TimePoint now,
                Effects& fx) override;
  void selfChanged(const wire::Contact& self) override { self_ = self; }
  void tick(TimePoint now, Effects& fx) override;
  TimePoint deadline() const override;

  // --- the shell's reports on taking. A report is ignored if this peer does not take the push, or
  // if the stripe has another source by now.
  void sourceFailed(const PushId& id, std::size_t stripe, const PeerId& source, PushTrouble trouble,
                    TimePoint now, Effects& fx);
  void completed(const PushId& id, TimePoint now, Effects& fx);
  void failedHere(const PushId& id, std::string reason, TimePoint now, Effects& fx);

  std::vector<PushId> ids() const;
  std::optional<View> view(const PushId& id) const;
  std::size_t size() const { return pushes_.size(); }

 private:
  void receivedOffer(ConnectionId id, PushLink& link, const wire::PushOffer& offer, TimePoint now,
                     Effects& fx);
  void receivedLedger(ConnectionId id, PushLink& link, const wire::PushLedger& ledger,
                      TimePoint now, Effects& fx);
  void receivedEnd(OpenPush& push, wire::PushEnd end, TimePoint now, Effects& fx);
  // Takes the push, or declines it.
  void decide(OpenPush& push, TimePoint now, Effects& fx);
  void offerTo(OpenPush& push, ConnectionId id, PushLink& link, bool late, TimePoint now,
               Effects& fx);
  // Merges the entry. If it says more than the ledger did, tells all links but `from`.
  void learn(OpenPush& push, const std::optional<wire::PushEntry>& entry,
             std::optional<ConnectionId> from, TimePoint now, Effects& fx);
  // Changes this peer's own entry.
  void say(OpenPush& push, wire::PushState state, std::string_view reason, TimePoint now,
           Effects& fx);
  void choose(OpenPush& push, TimePoint now, Effects& fx);
  void reportLost(const PeerId& peer, TimePoint now, Effects& fx);

  OpenPush* find(const PushId& id);
  // Forgets the push that changed least recently of those that are over. False: there is none.
  bool makeRoom(Effects& fx);
  void forget(OpenPushes::iterator push, Effects& fx);

  wire::Contact self_;
  PushPolicy policy_;
  Random& random_;
  PushLinks links_;
  OpenPushes pushes_;
  std::map<PeerId, TimePoint> gone_;  // neighbours whose link is gone, and when to report them
  RecentIds<PushId> forgotten_{limits::kPushesRemembered};
};

}  // namespace espalier::peer
