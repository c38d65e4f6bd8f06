// What a search found, and how complete that is: what `find` prints.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/search.h"
#include "peer/core/holder.h"

namespace espalier::peer {

class Coverage;

// One file under one name, with everybody who says to hold it. The same root may be said to be of
// several sizes: then it stands here once for each, and those who lie are with their own size only.
struct FoundFile {
  std::string name;  // raw: escape before printing
  std::uint64_t sizeBytes = 0;
  FileRoot root;
  // Ascending by id, then by endpoint: one id at two endpoints is two holders, for one of them may
  // be what somebody else said.
  std::vector<Holder> holders;

  bool operator==(const FoundFile&) const = default;
};

struct MissingPeer {
  PeerId id;
  bool answered = false;    // it did itself, but not `below` peers behind it
  std::uint64_t below = 0;  // never more than are missing in number

  bool operator==(const MissingPeer&) const = default;
};

struct SearchResult {
  QueryId id;
  std::vector<FoundFile> files;  // most holders first, then by name, root and size
  std::uint64_t searched = 0;    // peers whose own answer arrived, the asker included; <= members
  std::uint64_t members = 0;     // of the network when the asking began
  std::vector<MissingPeer> missing;        // named; by id
  std::uint64_t missingUnnamed = 0;        // and so many of whom nobody knew the name
  std::vector<PeerId> indexing;            // answered, but had not read all of their share
  std::uint64_t moreHits = 0;              // exist beyond `files`
  std::map<PeerId, std::uint64_t> moreOf;  // who has how many of them, as far as is known

  bool complete() const { return searched == members; }
};

// Each id once, in their order.
std::vector<PeerId> idsOf(const std::vector<Holder>& holders);
// Each pair of id and endpoint once, ascending. One that is said to have a part is asked which:
// that serves also where it has everything.
std::vector<Holder> mergeHolders(std::vector<Holder> holders);

// Hits of one name, root and size become one file.
std::vector<FoundFile> mergeHits(const std::set<wire::Hit>& hits);

// Fills `missing` and `missingUnnamed` from what relays named. Whoever is covered by now is not
// missing, and the sum never exceeds members - searched.
void nameMissing(const std::vector<wire::Missing>& named, const Coverage& covered,
                 SearchResult& result);

}  // namespace espalier::peer
