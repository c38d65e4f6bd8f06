// What must hold of pushes in a World. At every moment: nobody takes what it does not accept,
// something else than what was sent, or from a source that lied to it; no entry of a ledger goes
// back, its counts are right, and who is called verified has everything; nobody forgets a push that
// somebody takes. At rest: everybody knows of each push and has the same ledger; in it whoever
// takes the push is verified as long as somebody honest has all of it, and else has failed with a
// reason; who does not take it has declined with one; its sender counts what is true.
//
// Each check returns what is wrong, if anything is. Looks at the World, changes nothing there.
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
  TimePoint lastFinished{};                  // when somebody had all, last
  bool cancelled = false;
  std::set<std::pair<NodeId, std::uint64_t>> heardCancel = {};  // by which peers, in which life
  bool forgotten = false;  // by somebody, a while after all that happened
};

class PushWitness {
 public:
  using Wrong = std::optional<std::string>;

  explicit PushWitness(const World& world) : world_(world) {}

  void sent(SentPush push) { pushes_.push_back(std::move(push)); }
  // The core has named the last one.
  PushId named(const PushId& id) { return pushes_.back().id = id; }
  void cancelled(const PushId& id);
  void finished(const PushId& id, TimePoint now);
  void lied(NodeId taker, const PushId& id, const PeerId& source);

  Wrong job(NodeId node, const peer::PushJob& job) const;
  Wrong changed(NodeId node, const PushId& id);
  Wrong atRest() const;

  const std::vector<SentPush>& pushes() const { return pushes_; }
  // In this life or before.
  bool hasAll(NodeId node, const SentPush& push) const;
  // Somebody who is awake, gives all of it, and does not lie.
  bool isGiven(const SentPush& push) const;

 private:
  struct Seen {
    std::uint64_t life = 0;
    peer::Ledger ledger;
  };
  SentPush* find(const PushId& id);
  const SentPush* find(const PushId& id) const;
  bool accepts(NodeId node, const SentPush& push) const;
  wire::PushState stateOf(NodeId node, const SentPush& push) const;
  Wrong atRest(const SentPush& push) const;
  Wrong ended(NodeId node, const SentPush& push, const peer::Pushes::View& view) const;

  const World& world_;
  std::vector<SentPush> pushes_;
  std::map<std::pair<NodeId, PushId>, Seen> seen_;
  // With the life of the taker, which is new to everybody when it starts again.
  std::set<std::tuple<NodeId, std::uint64_t, PushId, PeerId>> liars_;
};

}  // namespace espalier::simulation
