// The registry: who is in the network, under which port, and where each peer belongs in the tree.
// Each join is decided whole in one call: port, order of joining, referral, reserved place. The
// shell keeps it in a Guarded (one mutex).
//
// What it knows, and how it comes to know it:
//   snapshot    the tree (topo::Tree): a link is in it once it was reserved for a referral or
//   reported by the child.
//              What peers report overrides what was reserved.
//   reported   each peer's own list of links; topo.txt has those that both ends reported.
//
// A member's place:   reserved --reported by the child--> held --parent died--> reserved (by the
// plan) … A reservation counts as a link for those that come after; it lapses after kReservation,
// and a parentless member without one is given a new place by reconcile().
//
// When a peer dies, topo::planFailure says where each of its children goes, whichever of them asks
// first; `whatif` prints that same plan.
//
// After a restart the registry waits for the peers of before: they come back with id, key, port,
// order and links; newcomers wait until each came back, or its port refused, limits::kRejoinWait at
// most. Presence is soft: what is remembered on disk only says whom to wait for.
//
// Who may have an id, and an order of joining:
//   - An id that a member has, that is held for an absent one (absent_members.h), or under which
//     somebody waits to be let in, is refused to every other instance key.
//   - A Join counts as a return only if its id, key and order are those of one member, present (its
//     old connection is a ghost) or absent. Only then is it believed which links it has. With
//     anything else it is a newcomer: a new order, and no links.
//   - Orders that the state file may lack, because it is a moment old, are believed for
//     limits::kUnwrittenBelieved after a restart, each once, to whoever shows it first; they come
//     after those that the file has. A metaserver without any state takes up the network of the
//     first peer that comes back, and then believes any order in the same way, while newcomers wait
//     for limits::kRejoinWait: within that time a liar may take the order of another, even that of
//     the root. Only signed records can end that.
//
// Does no I/O. Not thread-safe. A join costs O(log n); a death O(size of the moved subtrees); the
// rest O(links).
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/clock.h"
#include "common/wire/registry.h"
#include "metaserver/core/absent_members.h"
#include "topo/placement.h"
#include "topo/plan.h"
#include "topo/topo_file.h"
#include "topo/tree.h"

namespace espalier::metaserver {

struct Send {
  ConnectionId to;
  wire::RegistryReply reply;
};

// Is anybody listening there? Answered by Registry::probed.
struct Probe {
  PeerId id;
  Endpoint endpoint;
  bool optional = false;  // without an answer an id is held a little longer
};

struct Effects {
  std::vector<Send> sends;
  std::vector<ConnectionId> closes;  // once what was sent has left
  std::vector<Probe> probes;
  std::vector<std::string> notices;  // for the log; printable
};

// A member, as a copy that follows the registry has it.
struct MemberRow {
  wire::Contact contact;
  InstanceKey key;
  std::vector<PeerId> neighbours;  // as it reports them
  std::optional<PeerId> above;     // its parent in the snapshot, reserved or not
};

// What has changed, in this order.
struct MemberChanges {
  bool fromScratch = false;  // nothing of before holds
  std::vector<JoinOrder> gone;
  std::vector<MemberRow> rows;  // new, or other than before
  bool more = false;
};

class Registry {
 public:
  struct Options {
    std::uint16_t firstPort = 5001;
    unsigned maxLinks = 2;
    topo::Rule placement = topo::Rule::shallowest;
    std::string joinWord = "P2P";
    wire::NetworkId network;
    JoinOrder nextOrder{1};
    std::vector<Remembered> before;  // of a restart: whom to wait for
  };

  Registry(Options options, TimePoint now, Effects& fx);

  // Connections of purpose `registry`; `host` is the address that the peer comes from.
  void opened(ConnectionId connection, std::string host, TimePoint now);
  void received(ConnectionId connection, const wire::RegistryRequest& request, TimePoint now,
                Effects& fx);
  void closed(ConnectionId connection, TimePoint now, Effects& fx);
  void probed(const PeerId& id, bool listening, TimePoint now, Effects& fx);
  void tick(TimePoint now, Effects& fx);
  TimePoint deadline() const;

  // --- what others look at ---
  // Counts up whenever topo.txt would read differently. Constant while the peers of before are
  // awaited, so that topo.txt stays as it was.
  std::uint64_t version() const { return version_; }
  bool awaiting() const { return absent_.awaitedCount() > 0; }
  std::size_t size() const { return byOrder_.size(); }
  std::size_t awaitedCount() const { return absent_.awaitedCount(); }
  // With those of before who may still come back: they are there, and answer searches.
  wire::Members members() const;
  std::size_t reservedCount() const { return reserved_; }  // members on their way to their place
  std::uint64_t refusedCount() const { return refused_; }
  const Options& options() const { return options_; }
  // O(size), as the next two.
  std::vector<topo::TopoLine> lines() const;
  // For the state file: the members, and those that were lost just now; by order.
  std::vector<Remembered> remembered() const;
  std::vector<wire::TopologyEntry> entries(JoinOrder after, std::size_t mostBytes,
                                           bool& more) const;
  const topo::Tree& snapshot() const { return tree_; }

  // --- for one copy that follows (shell/directory.h), so that nobody copies all of it at once
  // At most `most` of the changes since the last call; the first call begins with everybody. Once
  // there are no more, the copy is this registry as it is at that moment. O(most).
  MemberChanges takeChanges(std::size_t most);
  // Those that were lost just now, and may come back at once: for the state file. O(most).
  std::vector<Remembered> lostLately(std::size_t most) const {
    return absent_.lostLately(most, seen_);
  }

 private:
  using Node = topo::NodeIndex;

  struct Record {
    wire::Contact contact;
    InstanceKey key;
    std::uint64_t admission = 0;  // counts them: a member may come back with its node and order
    ConnectionId connection{};
    std::optional<PeerId> parent;    // as reported
    std::vector<PeerId> neighbours;  // as reported
    std::vector<PeerId> failed;      // places that it could not take, the latest
    bool reserved = false;           // its link to its parent in the snapshot was not reported yet
    bool touched = false;            // it stands in touched_
    TimePoint reservedUntil{};
    TimePoint heard{};
    TimePoint askedFrom{};  // when it is told a place unasked, if it has no parent by then
    std::chrono::milliseconds heartbeat{0};  // the interval that it was told
  };
  struct Session {
    std::string host;
    std::optional<Node> member;
    std::optional<wire::Join> waiting;  // to be let in
  };
  struct Due {
    TimePoint at;
    Node node;
    std::uint64_t admission;
  };
  struct Touched {
    Node node;
    JoinOrder order;
  };

  // joining
  void join(ConnectionId connection, const wire::Join& join, TimePoint now, Effects& fx);
  void admit(ConnectionId connection, const wire::Join& join, bool again, TimePoint now,
             Effects& fx);
  std::optional<std::string> whyIdIsTaken(ConnectionId connection, const wire::Join& join,
                                          TimePoint now) const;
  bool returns(const wire::Join& join, TimePoint now);
  bool isBelieved(JoinOrder order, TimePoint now) const;
  bool newcomersWait(TimePoint now) const { return awaiting() || now < newcomersFrom_; }
  void wait(ConnectionId connection, const wire::Join& join, Effects& fx);
  void stopWaiting(ConnectionId connection);
  void lost(Node node, TimePoint now, Effects& fx);
  bool isTaken(const std::string& host, std::uint16_t port) const;
  void takePort(Node node);
  void releasePort(Node node);
  std::optional<std::uint16_t> freePort(const std::string& host);
  void portTaken(Node node, std::uint16_t port, TimePoint now, Effects& fx);
  void endWaiting(TimePoint now, Effects& fx);
  void refuse(ConnectionId connection, std::string why, Effects& fx);

  // places
  wire::Referral referralFor(Node node, const wire::Seek& seek, TimePoint now);
  wire::Referral referToTree(Node node, TimePoint now);
  wire::Referral below(Node parent) const;
  bool mayTake(const Record& record, Node parent) const;
  void reserve(Node node, Node parent, TimePoint now);
  void reconcileParent(Node node);
  void setParent(Node node, const std::optional<PeerId>& parent, TimePoint now);
  bool makeRoom(Node node, Node keep);
  void unlink(Node node);
  void reported(Node node, const wire::Links& links, TimePoint now);
  void remove(Node node, TimePoint now, Effects& fx);
  void reconcile(TimePoint now, Effects& fx);
  void judgeSilence(TimePoint now, Effects& fx);

  Record& record(Node node) { return records_[topo::number(node)]; }
  const Record& record(Node node) const { return records_[topo::number(node)]; }
  static std::vector<PeerId> linksOf(const PeerId& self, const std::vector<PeerId>& reported);
  bool mutual(const Record& from, const PeerId& to) const;
  void setReserved(Record& member, bool reserved);
  std::chrono::milliseconds heartbeatInterval() const;
  void touch(Node node);
  void touchAll();
  void changed() { ++version_; }
  void observe(TimePoint now);

  Options options_;
  topo::Tree tree_;
  std::vector<Record> records_;  // by node
  std::map<JoinOrder, Node> byOrder_;
  std::set<JoinOrder> parentless_;  // as reported
  std::unordered_map<ConnectionId, Session> sessions_;
  // Who listens, by port: mostly one, on some host. Two on one host where a peer came back to a
  // port that was assigned meanwhile, until the other one finds it taken.
  std::vector<std::vector<Node>> atPort_;
  std::uint16_t nextPort_;
  std::uint64_t version_ = 1;
  std::uint64_t refused_ = 0;
  std::size_t reserved_ = 0;
  std::uint64_t admissions_ = 0;

  bool followed_ = false;
  bool fromScratch_ = false;
  std::deque<Touched> touched_;  // a member once; who has gone is passed over
  std::deque<JoinOrder> gone_;

  AbsentMembers absent_;
  TimePoint awaitUntil_ = kNever;
  std::deque<ConnectionId> waiting_;  // in the order of asking; who went is passed over
  std::map<PeerId, ConnectionId> waitingIds_;
  TimePoint newcomersFrom_ = TimePoint::min();

  // Orders that were given before this start, though the state does not have them: from ... to, of
  // which those are taken by now.
  JoinOrder unwrittenFrom_;
  JoinOrder unwrittenEnd_;
  TimePoint unwrittenUntil_;
  std::set<JoinOrder> unwrittenTaken_;

  std::deque<Due> silence_;       // one a member: when to look at it next
  std::deque<Due> reservations_;  // when they lapse
  TimePoint reconcileAt_;
  TimePoint judgeFrom_ = TimePoint::min();  // after a stall of our own nobody is silent before
  TimePoint seen_;
};

}  // namespace espalier::metaserver
