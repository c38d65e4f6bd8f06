// Entries of ledgers for tests: given ones, and random ones.
#pragma once

#include <rapidcheck.h>

#include <string>
#include <vector>

#include "peer/core/ledger.h"

namespace espalier::peer {

using wire::PushEntry;
using wire::PushState;

inline PeerId id(std::uint64_t number) {
  return *PeerId::parse("s" + std::to_string(number));
}

inline PushEntry entryOf(std::uint64_t number, PushState state, std::uint64_t via = 1,
                         std::uint32_t version = 1) {
  PushEntry entry;
  entry.version = version;
  entry.state = state;
  entry.peer = {id(number), JoinOrder{number}, {"127.0.0.1", 5001}};
  if (number != via) entry.via = id(via);
  return entry;
}

// Few peers, versions and reasons, so that entries collide.
inline PushEntry someEntry() {
  auto entry = entryOf(
      *rc::gen::inRange<std::uint64_t>(1, 6), static_cast<PushState>(*rc::gen::inRange(0, 6)),
      *rc::gen::inRange<std::uint64_t>(1, 6), *rc::gen::inRange<std::uint32_t>(0, 3));
  entry.late = *rc::gen::arbitrary<bool>();
  entry.reason = *rc::gen::element<std::string>("", "a", "b");
  entry.peer.endpoint.port = *rc::gen::element<std::uint16_t>(1, 2);
  return entry;
}

inline std::vector<PushEntry> someEntries() {
  std::vector<PushEntry> entries(*rc::gen::inRange<std::size_t>(0, 20));
  for (auto& entry : entries) entry = someEntry();
  return entries;
}

inline Ledger ledgerOf(const std::vector<PushEntry>& entries) {
  Ledger ledger;
  for (const auto& entry : entries) ledger.merge(entry);
  return ledger;
}

}  // namespace espalier::peer
