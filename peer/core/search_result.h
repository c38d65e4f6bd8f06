// The result of a search: the files, and how complete they are. `find` prints it. Plain values and
// pure functions.
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

// One file under one name, with all peers that claim to hold it. Peers may claim different sizes
// for one root. Then each size is a file of its own, with the peers that claim it.
struct FoundFile {
  std::string name;  // raw: escape before printing
  std::uint64_t sizeBytes = 0;
  FileRoot root;
  // Ascending by id, then by endpoint. One id at two endpoints is two holders, because one of the
  // endpoints may be a false claim of another peer.
  std::vector<Holder> holders;

  bool operator==(const FoundFile&) const = default;
};

struct MissingPeer {
  PeerId id;
  bool answered = false;    // the peer has answered, but `below` peers behind it have not
  std::uint64_t below = 0;  // the sum over all peers is at most the number of missing peers

  bool operator==(const MissingPeer&) const = default;
};

struct SearchResult {
  QueryId id;
  std::vector<FoundFile> files;  // most holders first, then by name, root and size
  std::uint64_t searched = 0;    // peers whose own answer arrived, the asker included; <= members
  std::uint64_t members = 0;     // of the network (member_count.h)
  std::uint64_t beyond = 0;      // have answered, and are no members for the asker's metaserver
  std::vector<MissingPeer> missing;        // the missing peers whose ids are known; by id
  std::uint64_t missingUnnamed = 0;        // the number of all others that are missing
  std::vector<PeerId> indexing;            // answered before they had read all of their share
  std::uint64_t moreHits = 0;              // hits that exist beyond `files`
  std::map<PeerId, std::uint64_t> moreOf;  // of these, the hits of each holder, if known

  bool complete() const { return searched == members; }
};

// Each id once, in the order of the holders.
std::vector<PeerId> idsOf(const std::vector<Holder>& holders);
// Each pair of id and endpoint once, ascending. A holder that is partial by any claim is partial in
// the result: a fetcher then asks which chunks it has, which also works for a complete file.
std::vector<Holder> mergeHolders(std::vector<Holder> holders);

// Hits of one name, root and size become one file.
std::vector<FoundFile> mergeHits(const std::set<wire::Hit>& hits);

// The number of peers that relays named as missing and that are not covered.
std::uint64_t countMissing(const std::vector<wire::Missing>& named, const Coverage& covered);

// Fills `missing` and `missingUnnamed` from what relays named. A peer that is covered by now is not
// missing. The sum never exceeds members - searched.
void nameMissing(const std::vector<wire::Missing>& named, const Coverage& covered,
                 SearchResult& result);

}  // namespace espalier::peer
