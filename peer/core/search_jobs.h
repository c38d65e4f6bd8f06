// What searches ask of the shell (Effects::jobs), and what they report to it
// (Effects::searchUpdates). Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/search.h"
#include "peer/core/search_result.h"

namespace espalier::peer {

// Match the pattern against this peer's share, and then call Searches::matched().
struct MatchJob {
  QueryId id;
  PatternKind kind = PatternKind::substring;
  std::string text;
  std::size_t limit = 0;               // hits wanted; further matches are only counted
  std::optional<ConnectionId> source;  // the link that asked; nothing: this peer itself
  std::uint32_t load = 0;              // of the query (wire::Query)
  TimePoint until = kNever;            // from then on the result is of no use

  bool operator==(const MatchJob&) const = default;
};

// A file that a match job found.
struct LocalHit {
  std::string name;
  std::uint64_t sizeBytes = 0;
  FileRoot root;
  bool partial = false;
};

// News of a search that this peer asked. The last update has the result.
struct SearchUpdate {
  QueryId id;
  std::vector<wire::Hit> hits;  // the hits since the update before
  std::uint64_t searched = 0;
  std::uint64_t members = 0;
  std::optional<SearchResult> result;
};

}  // namespace espalier::peer
