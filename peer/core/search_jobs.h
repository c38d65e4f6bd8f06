// What searches ask of the shell, and what they tell it.
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

// Look through this peer's share; then call Searches::matched().
struct MatchJob {
  QueryId id;
  PatternKind kind = PatternKind::substring;
  std::string text;
  std::size_t limit = 0;               // hits wanted; beyond it only count
  std::optional<ConnectionId> source;  // the link that asked; none: this peer itself
  TimePoint until = kNever;            // nobody waits for it any more

  bool operator==(const MatchJob&) const = default;
};

// What a match job found.
struct LocalHit {
  std::string name;
  std::uint64_t sizeBytes = 0;
  FileRoot root;
  bool partial = false;
};

// News of a search that this peer asked. The last one has the result.
struct SearchUpdate {
  QueryId id;
  std::vector<wire::Hit> hits;  // new ones
  std::uint64_t searched = 0;
  std::uint64_t members = 0;
  std::optional<SearchResult> result;
};

}  // namespace espalier::peer
