// A peer's place in the tree: its parent, its children, and how fresh its knowledge of the root is.
//
//            adopt                     parent lost
//   orphan --------> attached child --------------> orphan
//     | ^
//     | |  resignRoot
//     v |
//    root --adopt--> attached child
//
// An orphan searches for a parent (parent_search.h), a root is the root of what hangs below it.
//
// Why no cycle can form, whatever is lost, delayed or reordered between connections: each peer has
// a label (sequence, depth), the sequence number of the last heartbeat of a root that reached it,
// and its distance from that root at that moment. A label is better if its sequence number is
// higher or, for the same number, its depth lower. Invariants:
//   1. A label only ever gets better while any peer hangs below.
//   2. A parent's label is strictly better than each child's. A child takes (sequence, depth + 1)
//      from its parent, over a connection that keeps order, and only where that betters its own.
//   3. A joiner takes a parent only if the parent's label was better than the joiner's at that
//      moment.
// By 1 and 2 every peer below a joiner has a worse label than the joiner; by 3 the new parent has a
// better one; so the new parent is not below the joiner. (Sequence numbers against loops: DSDV,
// Perkins and Bhagwat 1994; feasibility and requests for a higher number: Babel, RFC 8966, 3.5
// and 3.8.2.)
//
// Liveness: a joiner that needs a better label than the acceptor has is held, and a Raise travels
// up to the root, which issues a heartbeat above the joiner's label. Of two roots the one that
// joined first raises, the other one searches.
//
// Degree: parent, children and held joiners together are at most maxLinks. An orphan keeps one slot
// for its parent. A root may be full; when it must attach, it gives up its youngest child.
//
// A joiner under the id of a child, or of a held joiner, replaces that one at once only if it shows
// the same secret: then it is the same peer, and has lost the link it had. Any other is
// *contested*: it waits until the child's link has ended or has been silent for
// limits::kContestSilence, and is refused as soon as the child is heard from. A contested joiner
// takes no slot.
//
// One class, because each of these rules reads and writes parent, children, held joiners and label
// together. Three source files, one a concern: tree.cpp (messages of links, labels),
// tree_joiners.cpp (which peer becomes a child or the parent), tree_heartbeats.cpp (what is sent
// regularly, silence).
//
// Owned by Membership. Does no I/O; each call costs O(maxLinks). Not thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "peer/core/effects.h"
#include "peer/core/link_changes.h"

namespace espalier::peer {

class Tree {
 public:
  struct Neighbour {
    ConnectionId connection;
    wire::Contact contact;
    TimePoint heard;
    std::uint64_t below = 1;     // a child's: it and all below it
    std::uint64_t sequence = 0;  // the order of linking
    wire::LinkSecret secret{};   // a child's, as it asked
    Account account = {};        // pays for what comes over the link

    TreeLink link() const { return {connection, contact, account}; }
  };

  // What happened since the last call of takeChanges().
  struct Changes {
    LinkChanges links;
    std::optional<wire::Contact> lostParent;  // the peer is an orphan now
    bool succeeded = false;                   // and the oldest child of the root that was lost
    std::vector<wire::Contact> hints;         // older roots to attach to
    std::vector<wire::Contact> heardOf;       // contacts that neighbours told of
    bool youngerWaits = false;         // a younger joiner below waits for a heartbeat of a root
    std::optional<PeerId> raisedByMe;  // this peer's own Raise came back: that acceptor is below it
  };

  // `budget` is borrowed.
  Tree(wire::NetworkId network, wire::Contact self, unsigned maxLinks, Budget& budget,
       TimePoint now);

  // A joiner asks on an incoming connection: it is accepted, held, referred or refused.
  void attach(ConnectionId connection, const wire::Attach& attach, TimePoint now, Effects& fx);

  // An acceptor accepted this peer. False if its label no longer suffices, or its id is that of
  // this peer or a neighbour: the caller closes and tries elsewhere.
  [[nodiscard]] bool adopt(ConnectionId connection, const wire::Accepted& accepted, TimePoint now,
                           Effects& fx);

  // Whether the connection is a link or a held joiner: then its messages and its end belong here.
  bool owns(ConnectionId connection) const;
  void received(ConnectionId connection, const wire::LinkMessage& message, TimePoint now,
                Effects& fx);
  void closed(ConnectionId connection, TimePoint now, Effects& fx);

  // This orphan becomes the root of what hangs below it, or an orphan again.
  void becomeRoot(TimePoint now, Effects& fx);
  void resignRoot() { isRoot_ = false; }

  // Tells the peers up to the root, or the children, of contacts that may help to find other trees.
  void tellAbove(const std::vector<wire::Contact>& contacts, Effects& fx);
  void tellBelow(const std::vector<wire::Contact>& contacts, Effects& fx);

  // Says farewell on every link.
  void leave(TimePoint now, Effects& fx);

  void tick(TimePoint now, Effects& fx);
  TimePoint deadline() const;
  // This process was stopped for so long: its neighbours were not silent because of it.
  void forgive(Duration gap);

  Changes takeChanges() { return std::exchange(changes_, {}); }

  const std::optional<Neighbour>& parent() const { return parent_; }
  const std::vector<Neighbour>& children() const { return children_; }
  bool isRoot() const { return isRoot_; }
  // The label that an acceptor's must better: this peer's own, or the worst of all while no peer
  // hangs below.
  wire::Label floor() const;
  const wire::Label& label() const { return label_; }
  wire::Lineage lineage() const;
  // Parent and children in order of linking.
  std::vector<Neighbour> neighbours() const;
  // Contacts for when the parent is lost: the ancestors, nearest first, the root, the root's
  // children by age. Of an orphan: those that it had.
  std::vector<wire::Contact> contactsAbove() const;
  std::uint64_t membersBelow() const;  // itself included
  std::uint64_t members() const { return parent_ ? members_ : membersBelow(); }
  unsigned links() const { return static_cast<unsigned>(children_.size()) + (parent_ ? 1 : 0); }
  const wire::Contact& self() const { return self_; }
  wire::NetworkId network() const { return network_; }
  unsigned maxLinks() const { return maxLinks_; }

 private:
  struct Held {
    ConnectionId connection;
    wire::Attach attach;
    TimePoint deadline;
    TimePoint heard;
  };

  // A joiner under the id of a child that may be alive.
  struct Contested {
    ConnectionId connection;
    wire::Attach attach;
    TimePoint since;
  };

  static bool withinJump(const wire::Label& from, const wire::Label& to);
  bool isFollowable(const wire::Label& parent) const;
  bool mayAct(TimePoint now);
  unsigned takenSlots() const;
  bool isNeighbour(const PeerId& id) const;  // or this peer itself
  bool mayReplace(ConnectionId connection, const wire::Attach& attach, TimePoint now, Effects& fx);
  void contest(ConnectionId connection, const wire::Attach& attach, TimePoint now, Effects& fx);
  void judgeContests(TimePoint now, Effects& fx);
  const Neighbour* childOf(const PeerId& id) const;
  void accept(ConnectionId connection, const wire::Attach& attach, TimePoint now, Effects& fx);
  void refuse(ConnectionId connection, wire::RefusalReason reason, Effects& fx);
  void hold(ConnectionId connection, const wire::Attach& attach, TimePoint now, Effects& fx);
  void giveUp(std::size_t child, Effects& fx);
  void makeRoomForParent(Effects& fx);

  void receivedFromParent(const wire::LinkMessage& message, TimePoint now, Effects& fx);
  void receivedFromChild(Neighbour& child, const wire::LinkMessage& message, TimePoint now,
                         Effects& fx);
  void heardOf(const std::vector<wire::Contact>& contacts);
  void raised(const wire::Raise& raise, TimePoint now, Effects& fx);
  void bettered(const wire::Label& label, TimePoint now, Effects& fx);
  void raiseOwn(std::uint64_t above, TimePoint now, Effects& fx);
  void acceptHeld(TimePoint now, Effects& fx);
  void heartbeatDown(TimePoint now, Effects& fx);
  void heartbeatUp(TimePoint now, Effects& fx);
  void gossip(TimePoint now, Effects& fx);
  void changedGossip(TimePoint now);
  void lost(ConnectionId connection, bool close, TimePoint now, Effects& fx);

  const wire::NetworkId network_;
  const wire::Contact self_;
  const unsigned maxLinks_;
  Budget& budget_;
  std::uint64_t linked_ = 0;  // links so far

  std::optional<Neighbour> parent_;
  std::vector<Neighbour> children_;  // in order of linking
  std::vector<Held> held_;
  std::vector<Contested> contested_;
  bool isRoot_ = false;

  wire::Label label_;
  wire::Lineage above_;        // the parent's own lineage
  std::uint64_t members_ = 1;  // of the tree, as the parent says

  wire::Lineage toldLineage_;  // what the children and the parent were told last
  std::uint64_t toldBelow_ = 0;
  std::uint64_t toldMembers_ = 0;
  std::optional<wire::Raise>
      unraised_;                      // the highest wish for a heartbeat since there is no parent
  std::uint64_t raisedSequence_ = 0;  // the highest floor sent up, and when
  TimePoint raisedAt_ = TimePoint::min();
  TimePoint nextHeartbeat_;
  TimePoint heartbeatDownAt_;
  TimePoint actsSince_;
  std::size_t acts_ = 0;
  TimePoint gossipDue_ = kNever;
  TimePoint gossipedAt_ = TimePoint::min();
  Changes changes_;
};

}  // namespace espalier::peer
