// Valid messages with false content, as a hostile member sends them: the forms and bounds that the
// codecs check are kept, and what the messages say is wrong. A lie is about real members, searches
// and pushes (Facts) as often as about made-up ones.
//
// Each choice is taken from `below`: a seeded generator in the simulation, the bytes of an input in
// a fuzz target. Equal choices make equal messages. No message is longer than a frame.
//
// Used by tests/simulation/liar.cpp and the fuzz targets of the cores. Borrows Facts. Not
// thread-safe; a call costs O(the message).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/wire/link.h"
#include "common/wire/registry.h"

namespace espalier::test {

// What the liar knows.
struct Facts {
  wire::NetworkId network;
  wire::Contact self;
  std::vector<wire::Contact> members;   // not empty
  std::vector<QueryId> queries;         // that it has seen lately
  std::vector<wire::PushOffer> pushes;  // the same
  wire::Label label;                    // about that of the tree
  std::string name = "file of {}";      // of each member's file; {} stands for its id
};

class Lies {
 public:
  using Choose = std::function<std::uint64_t(std::uint64_t bound)>;  // 0 to bound - 1

  Lies(const Facts& facts, Choose below) : facts_(facts), below_(std::move(below)) {}

  // --- about peers
  wire::Contact member();   // a true contact
  wire::Contact contact();  // of a member, with a false endpoint or order; or made up
  std::vector<wire::Contact> contacts(std::size_t most);

  // --- of links
  wire::LinkMessage any();  // of any kind below
  wire::Query query();
  wire::Answer answer();
  void addHits(wire::Answer& answer);
  void addCoverage(wire::Answer& answer);
  wire::LinkMessage ofPushes();  // an offer or a ledger
  wire::PushOffer offer();
  wire::PushLedger ledger();
  wire::LinkMessage gossip();   // a false count of members, a lineage, a Raise, contacts
  wire::Heartbeat heartbeat();  // with a false label
  wire::Attach attach();
  wire::LinkMessage answerToAttach();

  // --- to the metaserver
  wire::Join join();
  wire::Links links();
  wire::Seek seek();
  wire::RegistryRequest toRegistry();  // of any kind
  wire::RegistryReply fromRegistry();  // of any kind: of a metaserver that lies

 private:
  bool oneIn(std::uint64_t bound) { return below_(bound) == 0; }
  template <typename Id>
  Id bytes() {
    Id id;
    for (auto& byte : id.bytes) byte = static_cast<std::uint8_t>(below_(256));
    return id;
  }
  std::uint64_t requestNumber();
  JoinOrder order();
  Endpoint endpoint();
  PeerId id() { return contact().id; }
  wire::Label label();
  wire::Lineage lineage();
  FileRoot root();
  wire::Hit hit();
  wire::PushEntry entry();
  QueryId queryId();

  const Facts& facts_;
  const Choose below_;
};

}  // namespace espalier::test
