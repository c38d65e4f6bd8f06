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
// forgotten push is remembered, and its offer ignored. An id commits to what is offered
// (push_id.h); such an offer replaces another one under its id.
//
// What other peers say may be hostile, and nothing is signed. So:
//   - What a neighbour says about itself counts; what other links say about it does not, as long as
//     it is a neighbour and the metaserver knows its link from both ends. It is told, and
//     contradicts.
//   - A link may name as many peers as are behind it. Offers and entries have rates for each link.
//     How large a version may be grows with time, and raises have a rate. An entry that comes too
//     early is not lost: it waits as a claim of the link (push_link.h).
//   - An end counts if it is proven. Of an older program's push, it counts if it comes from the
//     sender's direction (open_push.h).
//   - A push in this peer's name that it did not make is not taken. One in another neighbour's name
//     is not, either: it is passed on to that neighbour, who offers its own pushes itself.
//   - The neighbours share the limits::kPushes places. The one that has most loses a push first.
//     All that are neighbours no longer count as one. A push that this peer sends, or of which
//     chunks arrive, is never lost. An offer that the neighbour does not answer is made again.
//   - Offers of one origin that have not ended are passed on limits::kPushesRelayed at a time.
//     Beyond these one of each further sender is, as many as there are peers behind the origin.
//   - The files that a link may bring have a rate. A push over it waits (Rate::pushFiles).
// What exceeds a bound is ignored and warned of once a link. A peer can still lie about itself, and
// about peers that are behind it.
//
// A component of Peer (component.h), which calls everything here. Does no I/O, not thread-safe;
// time and randomness are handed in. A received entry costs O(links) and O(log entries); an offer
// O(links * entries); tick() O(pushes + links).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
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

// What an offer costs of Rate::pushOffers and Rate::pushOffersTold: its bytes, and some for the
// rest.
double pushOfferCost(const wire::PushOffer& offer);

class Pushes final : public Component {
 public:
  struct View {
    wire::PushOffer offer;
    Ledger ledger;
    bool mine = false;         // this peer started it
    PushTellers tellers = {};  // if so
  };

  // `key`: of this peer, also after a restart. `budget`: of this process, for dials to sources that
  // others name; null: any number.
  Pushes(wire::Contact self, PushPolicy policy, Random& random, const InstanceKey& key = {},
         Budget* budget = nullptr)
      : self_(std::move(self)),
        policy_(std::move(policy)),
        random_(random),
        key_(key),
        budget_(budget) {}

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
  void peersBehind(ConnectionId link, std::uint64_t count) override;
  void confirmed(ConnectionId link, bool isConfirmed) override;
  void selfChanged(const wire::Contact& self) override { self_ = self; }
  void tick(TimePoint now, Effects& fx) override;
  TimePoint deadline() const override;

  // --- the shell's reports on taking. A report is ignored if this peer does not take the push, or
  // if the stripe has another source by now.
  void sourceFailed(const PushId& id, std::size_t stripe, const PeerId& source, PushTrouble trouble,
                    TimePoint now, Effects& fx);
  // A chunk has arrived. To be called while chunks arrive, at least every limits::kPushIdle / 4.
  void progressed(const PushId& id, TimePoint now);
  void completed(const PushId& id, TimePoint now, Effects& fx);
  void failedHere(const PushId& id, std::string reason, TimePoint now, Effects& fx);

  std::vector<PushId> ids() const;
  std::optional<View> view(const PushId& id) const;
  std::size_t size() const { return pushes_.size(); }

 private:
  void receivedOffer(ConnectionId id, PushLink& link, const wire::PushOffer& offer, TimePoint now,
                     Effects& fx);
  void receivedAgain(ConnectionId id, PushLink& link, OpenPush& known, const wire::PushOffer& offer,
                     TimePoint now, Effects& fx);
  void receivedLedger(ConnectionId id, PushLink& link, const wire::PushLedger& ledger,
                      TimePoint now, Effects& fx);
  void hearEnd(OpenPush& push, wire::PushEnd end, const PushEndProof& proof, PushLink& link,
               TimePoint now, Effects& fx);
  void hear(OpenPush& push, const wire::PushEntry& entry, ConnectionId from, PushLink& link,
            TimePoint now, Effects& fx);
  void hearClaims(ConnectionId from, PushLink& link, std::vector<PushLink::Claim> claims,
                  TimePoint now, Effects& fx);
  void ended(OpenPush& push, wire::PushEnd end, const PushEndProof& proof, TimePoint now,
             Effects& fx);
  // Takes the push, or declines it, or decides later. `from`: the link that the offer came over.
  void decide(OpenPush& push, PushLink& from, TimePoint now, Effects& fx);
  void decideLater(OpenPush& push, TimePoint now, Effects& fx);
  // This peer has not decided yet, and never takes the push.
  void declineUndecided(OpenPush& push, TimePoint now, Effects& fx);
  // Marks the pushes that this peer takes and that have a file of this one.
  void contend(const OpenPush& push);
  // This peer takes the push no longer.
  void giveUp(OpenPush& push, std::string_view reason, TimePoint now, Effects& fx);
  void offerTo(OpenPush& push, ConnectionId id, PushLink& link, bool late, TimePoint now,
               Effects& fx);
  bool mayOffer(const OpenPush& push, const PushLink& link, TimePoint now) const;
  void sendClaimsAbout(const PushLink& link, const OpenPush& push, ConnectionId to, Effects& fx);
  // Merges the entry, which came over the link `from`, or is this peer's. If it says more than the
  // ledger did, tells all links but `from`.
  void learn(OpenPush& push, const std::optional<wire::PushEntry>& entry,
             std::optional<ConnectionId> from, TimePoint now, Effects& fx);
  // Changes this peer's own entry.
  void say(OpenPush& push, wire::PushState state, std::string_view reason, TimePoint now,
           Effects& fx);
  void choose(OpenPush& push, TimePoint now, Effects& fx);
  void reportLost(const PeerId& peer, TimePoint now, Effects& fx);

  OpenPush* find(const PushId& id);
  PushLinks::iterator linkTo(const PeerId& peer);
  PushLinks::const_iterator linkTo(const PeerId& peer) const;
  bool isDeparted(const PeerId& origin) const;
  // The link to the peer, if the metaserver knows it from both ends: not one under its id only.
  PushLinks::iterator confirmedLinkTo(const PeerId& peer);
  // Forgets a push, if there is no place for one of that origin and sender. False: none may be
  // forgotten.
  bool makeRoom(const PeerId& origin, const PeerId& sender, TimePoint now, Effects& fx);
  void forget(OpenPushes::iterator push, Effects& fx);
  // The same, but its id is not remembered.
  void drop(OpenPushes::iterator push, Effects& fx);

  wire::Contact self_;
  PushPolicy policy_;
  Random& random_;
  const InstanceKey key_;
  Budget* budget_;
  PushLinks links_;
  std::set<ConnectionId> grown_;  // links with another number of peers behind them, since tick()
  OpenPushes pushes_;
  std::map<PeerId, TimePoint> gone_;  // neighbours whose link is gone, and when to report them
  RecentIds<PushId> forgotten_{limits::kPushesRemembered};  // as committedId()
};

}  // namespace espalier::peer
