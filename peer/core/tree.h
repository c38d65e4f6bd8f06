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
// A child that the metaserver calls a stranger gives its slot up as soon as another joiner, or the
// parent, needs it. It is told to nobody as a contact. It is not given up before, because it may be
// an honest peer that the metaserver has lost.
//
// A joiner under the id of a child, or of a held joiner, replaces that one at once only if it shows
// the same secret: then it is the same peer, and has lost the link it had. Any other is
// *contested*: it waits until the child's link has ended or has been silent for
// limits::kContestSilence, and is refused as soon as the child is heard from. A contested joiner
// takes no slot.
//
// What neighbours cost: each link has an account, which pays for the heartbeats that it asks for or
// passes on, and for contacts. A joiner's address pays until it is a child. Of joiners that wait,
// the address that has most of them loses its oldest. A link that sends anything but messages of a
// link is given up.
//
// One class, because each of these rules reads and writes parent, children, held joiners and label
// together. Three source files, one a concern: tree.cpp (messages of links, labels),
// tree_joiners.cpp (which peer becomes a child or the parent), tree_heartbeats.cpp (what is sent
// regularly, silence).
//
// Owned by Membership. Does no I/O; each call costs O(maxLinks). Not thread-safe.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "peer/core/effects.h"
#include "peer/core/link_changes.h"
#include "peer/core/named_contact.h"

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
    Account address = {};        // a child's, from which it came
    bool isStranger = false;     // the metaserver says so (link_check.h)
    bool isConfirmed = false;    // the metaserver knows the link from both ends
    TimePoint since = {};        // a parent's

    TreeLink link() const { return {connection, contact, account}; }
  };

  // What happened since the last call of takeChanges().
  struct Changes {
    LinkChanges links;
    std::optional<wire::Contact> lostParent;  // the peer is an orphan now
    bool succeeded = false;                   // and the oldest child of the root that was lost
    std::vector<NamedContact> hints;          // older roots to attach to
    std::vector<NamedContact> heardOf;        // contacts that neighbours told of
    bool youngerWaits = false;         // a younger joiner below waits for a heartbeat of a root
    std::optional<PeerId> raisedByMe;  // this peer's own Raise came back: that acceptor is below it
  };

  // `budget` is borrowed.
  Tree(wire::NetworkId network, wire::Contact self, unsigned maxLinks, Budget& budget,
       TimePoint now);

  // A joiner asks on an incoming connection from that address: it is accepted, held, referred or
  // refused.
  void attach(ConnectionId connection, const wire::Attach& attach, const Payer& from, TimePoint now,
              Effects& fx);

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

  // What the metaserver says of the neighbour.
  void setStranger(ConnectionId connection, bool isStranger);
  void setConfirmed(ConnectionId connection, bool isConfirmed);
  // Closes that link with a farewell.
  void giveUpParent(TimePoint now, Effects& fx);
  // Gives up everybody below. Then any label of a parent suffices.
  void giveUpChildren(Effects& fx);

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
  // Who named all of these but the first: the parent, or the last one.
  const Account& namedAbove() const { return namedAbove_; }
  std::uint64_t membersBelow() const;  // itself included
  std::uint64_t members() const { return parent_ ? members_ : membersBelow(); }
  unsigned links() const { return static_cast<unsigned>(children_.size()) + (parent_ ? 1 : 0); }
  const wire::Contact& self() const { return self_; }
  wire::NetworkId network() const { return network_; }
  unsigned maxLinks() const { return maxLinks_; }

 private:
  struct Joiner {
    ConnectionId connection;
    wire::Attach attach;
    Account address;  // from which it came
  };
  // One that waits: held, or under the id of a child that may be alive (contested).
  struct Waiting : Joiner {
    TimePoint since;
  };

  static bool withinJump(const wire::Label& from, const wire::Label& to);
  bool isFollowable(const wire::Label& parent) const;
  unsigned takenSlots() const;
  bool isFull() const;
  bool isNeighbour(const PeerId& id) const;  // or this peer itself
  void consider(const Joiner& joiner, TimePoint now, Effects& fx);
  bool mayReplace(const Joiner& joiner, TimePoint now, Effects& fx);
  void contest(const Joiner& joiner, TimePoint now, Effects& fx);
  void judgeContests(TimePoint now, Effects& fx);
  const Neighbour* childOf(const PeerId& id) const;
  std::optional<std::size_t> strangerChild() const;
  std::optional<ConnectionId> evictable(const Joiner& joiner, TimePoint now) const;
  [[nodiscard]] bool takeSlot(const Joiner& joiner, TimePoint now, Effects& fx);
  void refer(ConnectionId connection, Effects& fx);
  void raiseFor(const Joiner& joiner, TimePoint now, Effects& fx);
  void accept(const Joiner& joiner, TimePoint now, Effects& fx);
  void refuse(ConnectionId connection, wire::RefusalReason reason, Effects& fx);
  void hold(const Joiner& joiner, TimePoint now, Effects& fx);
  void makeRoom(std::vector<Waiting>& waiting, const Account& address, Effects& fx);
  void giveUp(std::size_t child, Effects& fx);
  void makeRoomForParent(Effects& fx);

  void receivedFromParent(const wire::LinkMessage& message, TimePoint now, Effects& fx);
  void giveUpLiar(const Neighbour& neighbour, std::string_view what, TimePoint now, Effects& fx);
  void receivedRaise(Neighbour& child, const wire::Raise& raise, TimePoint now, Effects& fx);
  void receivedFromChild(Neighbour& child, const wire::LinkMessage& message, TimePoint now,
                         Effects& fx);
  void heardOf(const std::vector<wire::Contact>& contacts, const Account& by);
  void raised(const wire::Raise& raise, Account by, TimePoint now, Effects& fx);
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
  Account all_;               // of the process
  std::uint64_t linked_ = 0;  // links so far

  std::optional<Neighbour> parent_;
  std::vector<Neighbour> children_;  // in order of linking
  std::vector<Waiting> held_;
  std::vector<Waiting> contested_;
  bool isRoot_ = false;

  wire::Label label_;
  wire::Lineage above_;  // the parent's own lineage
  Account namedAbove_;
  std::uint64_t members_ = 1;  // of the tree, as the parent says

  wire::Lineage toldLineage_;  // what the children and the parent were told last
  std::uint64_t toldBelow_ = 0;
  std::uint64_t toldMembers_ = 0;
  std::optional<wire::Raise>
      unraised_;  // the highest wish for a heartbeat since there is no parent
  Account unraisedBy_;
  std::uint64_t raisedSequence_ = 0;  // the highest floor sent up, and when
  TimePoint raisedAt_ = TimePoint::min();
  TimePoint nextHeartbeat_;
  TimePoint heartbeatDownAt_;
  TimePoint gossipDue_ = kNever;
  TimePoint gossipedAt_ = TimePoint::min();
  Changes changes_;
};

}  // namespace espalier::peer
