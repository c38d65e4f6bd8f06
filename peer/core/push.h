// Pushes: those that this peer sends, takes and relays. Offers and the ledger travel over the
// links; bytes do not pass through here: the shell is told from whom to take them, and tells how
// that went.
//
// A component of Peer (component.h). One class over three source files, because every part changes
// the ledger, which changes what each link is told: push.cpp (the sender, the ledger, time),
// push_links.cpp (offers and ledgers on links), push_taking.cpp (whether and from whom to take).
//
// A push at a peer, and what its own entry in the ledger says:
//
//   start -------------------------------> verified     (the sender)
//   PushOffer --> accepted --completed---> verified
//             |            --failedHere--> failed
//             +---------------------------> declined     (not taken from that sender, too large)
//
// An offer floods down every link but the one it came on, and to links that come up later, with the
// whole ledger. A peer that meets an entry about itself that says what it does not raises its own
// version. A link that was lost for limits::kPushGone makes the peer behind it `lost` there.
//
// A taker chooses its sources by the ledger (push_sources.h), one a stripe, once nobody before it
// is undecided or limits::kPushForming is over, and again when one failed, or the order changed
// while it forms. Those that failed have their turns again, but after all others; a source that
// lied is never asked again. When for one stripe no source has given anything for limits::kPushKept
// (the sender went before anybody else had everything), the taker has failed.
//
// What other peers say may be hostile: pushes, entries, versions and files have bounds in limits.h;
// what exceeds them is ignored and told once a link. Each link gets changes limits::kLedgerFlushes
// times in limits::kLedgerWindow at most, so a flood is not passed on as one. Nothing is signed: a
// liar can name another peer as the sender, and claim for other peers what they then contradict.
//
// Does no I/O; not thread-safe; time and randomness are handed in. An event costs O(links) and
// O(log entries) an entry; choosing a source O(n log n), at most a few times a push.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/base/result.h"
#include "common/wire/push.h"
#include "peer/core/component.h"
#include "peer/core/ledger.h"
#include "peer/core/push_sources.h"
#include "peer/core/recent_ids.h"

namespace espalier::peer {

// From whom this peer takes pushes, and how large they may be.
struct PushPolicy {
  enum class From { none, all, some };
  From from = From::none;
  std::set<PeerId> senders;  // with `some`
  std::uint64_t limitBytes = 0;
};

class Pushes final : public Component {
 public:
  struct View {
    wire::PushOffer offer;
    Ledger ledger;
    bool mine = false;  // this peer started it
  };

  Pushes(wire::Contact self, PushPolicy policy, Random& random)
      : self_(std::move(self)), policy_(std::move(policy)), random_(random) {}

  // This peer sends `files`, which it has; `to` empty: to all. Fails when too many are open, or
  // they fit no frame.
  Result<PushId> start(std::vector<wire::PushFile> files, std::vector<PeerId> to, TimePoint now,
                       Effects& fx);
  // The sender: nobody new takes part (closed), or all who do not have it give up (cancelled).
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

  // How taking goes. What does not fit (an older source, a push that is over) is ignored.
  void sourceFailed(const PushId& id, std::size_t stripe, const PeerId& source, PushTrouble trouble,
                    TimePoint now, Effects& fx);
  void completed(const PushId& id, TimePoint now, Effects& fx);
  void failedHere(const PushId& id, std::string reason, TimePoint now, Effects& fx);

  std::vector<PushId> ids() const;
  std::optional<View> view(const PushId& id) const;
  std::size_t size() const { return pushes_.size(); }

 private:
  // From whom a stripe is taken.
  struct Way {
    std::optional<PeerId> source;
    TimePoint uselessAt;  // a source that lasts longer has given something
    TimePoint drySince;   // no source has given anything since
  };
  struct Taking {
    TimePoint begun;
    std::optional<PushShape> shape;       // once a source was chosen
    std::vector<Way> ways;                // a stripe each
    std::map<PeerId, TimePoint> resting;  // until when; kNever: it lied
    TimePoint chooseAt = kNever;
    TimePoint chosenAt{};  // the last time

    bool lacksSource() const {
      return ways.empty() ||
             std::any_of(ways.begin(), ways.end(), [](const Way& way) { return !way.source; });
    }
  };
  struct Push {
    wire::PushOffer offer;  // as this peer passes it on
    Ledger ledger;
    bool mine = false;
    std::uint64_t chunks = 0;
    std::optional<Taking> taking;
    TimePoint changedAt;
  };
  struct Link {
    wire::Contact peer;
    std::set<PushId> told;  // the offer went there, or came from there
    std::map<PushId, LedgerIndexSet> news;
    std::optional<TimePoint> newsSince;
    std::deque<TimePoint> flushed;  // the last ones
    std::set<std::string> blamed;
  };
  using PushMap = std::map<PushId, Push>;

  void receivedOffer(ConnectionId id, Link& link, const wire::PushOffer& offer, TimePoint now,
                     Effects& fx);
  void receivedLedger(ConnectionId id, Link& link, const wire::PushLedger& ledger, TimePoint now,
                      Effects& fx);
  void receivedOwn(Push& push, const wire::PushEntry& claim, TimePoint now, Effects& fx);
  void receivedEnd(Push& push, wire::PushEnd end, TimePoint now, Effects& fx);
  void decide(Push& push, TimePoint now, Effects& fx);
  void tell(Link& link, const std::string& what, Effects& fx);
  bool makeRoom(TimePoint now, Effects& fx);

  bool isMeant(const Push& push, const PeerId& peer) const;
  void offerTo(Push& push, ConnectionId id, Link& link, bool late, TimePoint now, Effects& fx);
  bool learn(Push& push, const wire::PushEntry& entry, std::optional<ConnectionId> from,
             TimePoint now, Effects& fx);
  void say(Push& push, wire::PushState state, std::string reason, TimePoint now, Effects& fx);
  wire::PushEntry ownEntry(const Push& push) const;

  void choose(Push& push, TimePoint now, Effects& fx);
  void chooseWay(Push& push, const PushSources& sources, std::size_t stripe, TimePoint now,
                 Effects& fx);
  void stopTaking(Push& push, Effects& fx);

  TimePoint flushDue(const Link& link) const;
  void flush(ConnectionId id, Link& link, TimePoint now, Effects& fx);
  TimePoint dropDue(const Push& push) const;
  void forget(PushMap::iterator push, Effects& fx);

  wire::Contact self_;
  PushPolicy policy_;
  Random& random_;
  std::map<ConnectionId, Link> links_;
  PushMap pushes_;
  std::map<PeerId, TimePoint> gone_;  // whose link was lost: when to say so
  RecentIds<PushId> forgotten_{limits::kPushesRemembered};
};

// How a file is cut for a push: kPushChunkBytes, more where the list would be too long.
std::uint64_t pushChunkBytesFor(std::uint64_t sizeBytes);
// Of all files together; a file without bytes counts as one.
std::uint64_t pushChunks(const std::vector<wire::PushFile>& files);

}  // namespace espalier::peer
