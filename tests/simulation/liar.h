// A member of a World that lies. Its core runs as any other's, so it joins, holds links, and passes
// on what others say. Beside that it lies, in one or more ways:
//
//   hits       false hits in its answers, in others' names, and in answers that nobody expects
//   coverage   false orders, names and counts in the same; `done` too early
//   ledger     false entries of ledgers, ends of others' pushes
//   offers     made-up pushes, and others' pushes with other content
//   attaches   asks for slots as others, as peers that do not exist, and as one of another network
//   gossip     false lineages, Raises, contacts and counts of members over its links
//   registry   false reports and requests to the metaserver, and joins under others' ids
//   labels     false labels in heartbeats
//   mute       passes on no queries and no answers of others
//
// It lies at most every kLieLeast, so a run ends. Whatever it says is a valid message
// (tests/support/lies.h). It knows all members and all pushes, as a liar may that listens for long
// enough.
//
// Connections that it dials for a lie are its own: the core does not know of them. At most
// kOwnConnections are open at a time.
//
// Owned by World::Node, from start to death; borrows the World. Single-threaded.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "common/wire/link.h"
#include "tests/simulation/desk.h"
#include "tests/support/lies.h"

namespace espalier::simulation {

// The names of the ways to lie, for the command line: "hits,ledger". Nothing: there is no such way.
std::optional<std::set<Lie>> parseLies(const std::string& names);
std::string describe(const std::set<Lie>& lies);

class Liar {
 public:
  Liar(World& world, NodeId self);
  Liar(const Liar&) = delete;
  Liar& operator=(const Liar&) = delete;

  // Begins to lie.
  void begin();
  // A message of its core before it is sent. False: it is not sent.
  [[nodiscard]] bool pass(wire::LinkMessage& message);
  // A message for its core.
  void hear(ConnectionId link, const wire::LinkMessage& message);

  // --- of its own connections
  bool owns(ConnectionId connection) const { return own_.contains(connection); }
  void opened(ConnectionId connection);
  void answered(ConnectionId connection, const wire::LinkMessage& message);
  void ended(ConnectionId connection) { own_.erase(connection); }

 private:
  struct Own {
    bool toRegistry = false;
    bool isOpen = false;
    bool isChild = false;  // the other end has accepted it
    PeerId target;         // whom it asked for a slot
    wire::Attach attach;   // and how
    TimePoint until;
  };

  bool tells(Lie lie) const;
  void learn();
  void lieAndGoOn();
  void lieOnce();
  void overLink(wire::LinkMessage message);
  void toAsker(wire::Answer answer);
  void dial();
  void overOwn();
  void toRegistry();
  void hangUp();

  World& world_;
  const NodeId self_;
  test::Facts facts_;
  test::Lies lies_;
  std::map<ConnectionId, Own> own_;
  std::deque<std::pair<QueryId, ConnectionId>> asked_;  // the last searches, and their links
};

}  // namespace espalier::simulation
