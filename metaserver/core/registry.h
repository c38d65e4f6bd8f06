// The registry: who is in the network, under which port, and where each peer belongs in the tree.
// Each join is decided whole in one call: port, order of joining, referral, reserved place. The
// shell keeps it in a Guarded (one mutex).
//
// What it knows, and how it comes to know it:
//   picture    the tree (topo::Tree): a link is in it once it was reserved for a referral or
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
};

struct Effects {
  std::vector<Send> sends;
  std::vector<ConnectionId> closes;  // once what was sent has left
  std::vector<Probe> probes;
  std::vector<std::string> notices;  // for the log; printable
};

// A peer of before a restart.
struct Remembered {
  PeerId id;
  InstanceKey key;
  JoinOrder order = kNoOrder;
  Endpoint endpoint;

  bool operator==(const Remembered&) const = default;
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
  bool awaiting() const { return !awaited_.empty(); }
  std::size_t size() const { return byOrder_.size(); }
  std::size_t awaitedCount() const { return awaited_.size(); }
  // With those of before who may still come back: they are there, and answer searches.
  wire::Members members() const;
  std::size_t reservedCount() const;  // members on their way to their place; O(size)
  std::uint64_t refusedCount() const { return refused_; }
  const Options& options() const { return options_; }
  std::vector<topo::TopoLine> lines() const;
  std::vector<Remembered> remembered() const;
  std::vector<wire::TopologyEntry> entries(JoinOrder after, std::size_t mostBytes,
                                           bool& more) const;
  const topo::Tree& picture() const { return tree_; }

 private:
  using Node = topo::NodeIndex;

  struct Record {
    wire::Contact contact;
    InstanceKey key;
    ConnectionId connection{};
    std::optional<PeerId> parent;    // as reported
    std::vector<PeerId> neighbours;  // as reported
    std::vector<PeerId> failed;      // places that it could not take, the latest
    bool reserved = false;           // its link to its parent in the picture was not reported yet
    TimePoint reservedUntil{};
    TimePoint heard{};
    TimePoint askedFrom{};  // when it is told a place unasked, if it has no parent by then
    std::chrono::milliseconds beat{0};  // the interval that it was told
  };
  struct Session {
    std::string host;
    std::optional<Node> member;
  };
  struct Waiting {
    ConnectionId connection;
    wire::Join join;
  };
  struct Due {
    TimePoint at;
    Node node;
    JoinOrder order;
  };

  // joining
  void join(ConnectionId connection, const wire::Join& join, TimePoint now, Effects& fx);
  void admit(ConnectionId connection, const wire::Join& join, bool again, TimePoint now,
             Effects& fx);
  bool mayReturn(const wire::Join& join);
  bool isTaken(const std::string& host, std::uint16_t port) const;
  void takePort(Node node);
  void releasePort(Node node);
  std::optional<std::uint16_t> freePort(const std::string& host);
  void portTaken(Node node, std::uint16_t port, TimePoint now, Effects& fx);
  void endWaiting(TimePoint now, Effects& fx);
  void refuse(ConnectionId connection, std::string why, Effects& fx);

  // places
  wire::Place placeFor(Node node, const wire::Seek& seek, TimePoint now);
  wire::Place placeAnew(Node node, TimePoint now);
  wire::Place below(Node parent) const;
  bool mayTake(const Record& record, Node parent) const;
  void reserve(Node node, Node parent, TimePoint now);
  void settle(Node node);
  void setParent(Node node, const std::optional<PeerId>& parent, TimePoint now);
  bool makeRoom(Node node, Node keep);
  void unlink(Node node);
  void reported(Node node, const wire::Links& links, TimePoint now);
  void remove(Node node, TimePoint now, Effects& fx);
  void reconcile(TimePoint now, Effects& fx);
  void judgeSilence(TimePoint now, Effects& fx);

  Record& record(Node node) { return records_[topo::number(node)]; }
  const Record& record(Node node) const { return records_[topo::number(node)]; }
  bool mutual(const Record& from, const PeerId& to) const;
  std::chrono::milliseconds beatInterval() const;
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

  std::map<PeerId, Remembered> awaited_;
  TimePoint awaitUntil_ = kNever;
  std::deque<Waiting> waiting_;

  std::deque<Due> silence_;       // one a member: when to look at it next
  std::deque<Due> reservations_;  // when they lapse
  TimePoint reconcileAt_;
  TimePoint judgeFrom_ = TimePoint::min();  // after a stall of our own nobody is silent before
  TimePoint seen_;
};

}  // namespace espalier::metaserver
