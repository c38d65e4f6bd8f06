// Checks the invariants of pushes in a World.
//
// At every moment:
//   - no peer takes a push that it does not accept, or a push that was not sent
//   - no peer takes from a source that has lied to it
//   - no entry of a ledger becomes smaller, and the counts of a ledger are right
//   - a peer whose entry is `verified` has every chunk
//   - no peer forgets a push that another peer takes
//   - a push ends only after its sender has ended it
//
// At rest:
//   - all peers know each push and have the same ledger
//   - a peer that accepts the push is verified if an honest peer has all of it; otherwise it has
//     failed with a reason
//   - a peer that does not accept it has declined with a reason
//   - the sender's counts are true
//
// With lying members (World::hasLiars) these are checked only for honest peers, their entries, and
// pushes that they sent, and only among peers that are linked without a liar in between: a liar can
// say what it likes of the peers behind it, and keep pushes from them. What a liar says about
// another peer may stand until that peer contradicts it, so entries are checked at rest only, after
// the lies have ended.
//
// Each check returns what is wrong; nothing: all is well. Owned by World, which calls the checks
// after each step. It reads the World and changes nothing there.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "peer/core/push.h"
#include "tests/simulation/desk.h"

namespace espalier::simulation {

struct SentPush {
  PushId id;
  NodeId sender = 0;
  std::uint64_t senderLife = 0;
  FileRoot root;
  std::vector<std::optional<Chunk>> chunks;  // all of them
  TimePoint lastFinished{};                  // when a peer last became complete
  bool cancelled = false;
  std::set<std::pair<NodeId, std::uint64_t>> heardCancel = {};  // peers, each with its life
  bool forgotten = false;  // a peer has forgotten the push, as it may some time after its end
};

class PushWitness {
 public:
  using Wrong = std::optional<std::string>;

  explicit PushWitness(const World& world) : world_(world) {}

  void sent(SentPush push) { pushes_.push_back(std::move(push)); }
  // The core has chosen the id of the push that was sent last.
  PushId named(const PushId& id) { return pushes_.back().id = id; }
  void cancelled(const PushId& id);
  void finished(const PushId& id, TimePoint now);
  void lied(NodeId taker, const PushId& id, const PeerId& source);

  Wrong job(NodeId node, const peer::PushJob& job) const;
  Wrong changed(NodeId node, const PushId& id);
  Wrong atRest() const;

  const std::vector<SentPush>& pushes() const { return pushes_; }
  // Whether the peer has all chunks on its disk, from this life or an earlier one.
  bool hasAll(NodeId node, const SentPush& push) const;
  // Whether an honest peer that is awake serves all of it.
  bool isGiven(const SentPush& push) const;

 private:
  struct Seen {
    std::uint64_t life = 0;
    bool isKnown = false;  // the push, at that peer
    TimePoint changedAt{};
    peer::Ledger ledger = {};
  };
  SentPush* find(const PushId& id);
  const SentPush* find(const PushId& id) const;
  bool accepts(NodeId node, const SentPush& push) const;
  wire::PushState stateOf(NodeId node, const SentPush& push) const;
  using Group = std::vector<NodeId>;
  // The peers that are judged together: all; with liars those that no liar keeps apart from `node`.
  Group groupOf(NodeId node) const;
  Wrong atRest(const SentPush& push, const Group& group) const;
  Wrong entriesOf(NodeId node, const SentPush& push, const peer::Pushes::View& view) const;
  bool agree(const peer::Ledger& one, const peer::Ledger& other, const Group& group) const;
  std::vector<NodeId> judged() const;
  Wrong ended(NodeId node, const SentPush& push, const peer::Pushes::View& view) const;

  const World& world_;
  std::vector<SentPush> pushes_;
  std::map<std::pair<NodeId, PushId>, Seen> seen_;
  // Taker, its life, push, source. A restarted taker does not know the liars of its former life.
  std::set<std::tuple<NodeId, std::uint64_t, PushId, PeerId>> liars_;
};

}  // namespace espalier::simulation
