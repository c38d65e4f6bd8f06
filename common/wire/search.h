// The messages about searches that travel over links: a query, an answer, and that the way to the
// asker is lost. Plain values without protobuf, so that cores can use them; search_codec.h encodes
// them.
//
//   asker --Query--> relay --Query--> far end
//         <-Answer--       <-Answer--          hits at once, `done` when all behind it are done
//         --Lost--->       --Lost-->           this query's answers cannot travel this way any more
//
// A peer relays a query to every link but the one it came on. Coverage, `missing`, `indexing` and
// `more` are sets or maxima, so an answer that arrives twice (after a heal) changes nothing.
//
// Nothing here is trusted: the codec checks forms and lengths, the core everything else.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/wire/order_range.h"

namespace espalier {

// How the text of a query is matched. The numbers are those on the wire.
enum class PatternKind : std::uint8_t {
  substring = 1,  // anywhere in the relative path, any case
  glob = 2,       // the whole relative path: * ? [a-z] [!x] and the backslash
  words = 3,      // each word anywhere in the relative path, any case
  root = 4,       // 64 hexadecimal digits
  path = 5,       // exactly this relative path
};

namespace wire {

// Loads above this are not told apart.
inline constexpr std::uint32_t kLoadMost = 255;

struct Query {
  QueryId id;
  PatternKind kind = PatternKind::substring;
  std::string text;                     // at most limits::kPatternBytes
  std::chrono::milliseconds budget{0};  // the receiver's share of the time, from now on
  PeerId asker;                         // for the log only
  std::uint32_t hopsLeft = 0;           // 0: answer, but do not relay
  // About how many queries a second the source sends that this one comes from, as the peers on its
  // way counted; 0: not known. When there are too many, those of the smallest load go first.
  std::uint32_t load = 0;

  bool operator==(const Query&) const = default;
};

struct Hit {
  std::string name;  // the relative path at the holder, raw bytes: escape before printing
  std::uint64_t sizeBytes = 0;
  FileRoot root;
  PeerId holder;
  Endpoint endpoint;     // where the holder listens
  bool partial = false;  // the holder is still fetching the file, and serves the chunks that it has

  auto operator<=>(const Hit&) const = default;
};

// A peer that did not answer, and how many peers below it are missing with it.
struct Missing {
  PeerId id;
  JoinOrder order{};
  std::uint64_t below = 0;

  auto operator<=>(const Missing&) const = default;
};

// How many hits of `holder` exist beyond those sent; the total so far, not a difference.
struct More {
  PeerId holder;
  std::uint64_t hits = 0;

  auto operator<=>(const More&) const = default;
};

struct Answer {
  QueryId id;
  std::vector<Hit> hits;
  std::vector<OrderRange> coverage;  // ascending and disjoint; what no earlier answer contained
  std::vector<Missing> missing;
  std::vector<PeerId> indexing;  // they answered, but are still indexing their shares
  std::vector<More> more;
  bool done = false;  // nothing more is expected now; a later answer may revoke it

  bool operator==(const Answer&) const = default;
  // Empty and done: the query has reached this peer over another link.
  bool isDecline() const {
    return done && hits.empty() && coverage.empty() && missing.empty() && indexing.empty() &&
           more.empty();
  }
};

// To the peers that the sender asked: it has no way to the asker any more, and they look for
// another one.
struct Lost {
  QueryId id;

  bool operator==(const Lost&) const = default;
};

using SearchMessage = std::variant<Query, Answer, Lost>;

// Upper bounds of the encoded size of each part of an answer, so that a core can fill a frame
// without protobuf (search_codec_test compares).
inline std::size_t sizeBound(const Hit& hit) {
  return hit.name.size() + hit.holder.text().size() + hit.endpoint.host.size() + 80;
}
inline std::size_t sizeBound(const OrderRange&) {
  return 12;  // two varints, below 2^63 and 2^20
}
inline std::size_t sizeBound(const Missing& missing) {
  return missing.id.text().size() + 30;
}
inline std::size_t sizeBound(const More& more) {
  return more.holder.text().size() + 20;
}
inline std::size_t sizeBound(const PeerId& id) {
  return id.text().size() + 4;
}
inline constexpr std::size_t kAnswerOverheadBytes = 64;  // id, done, lengths

}  // namespace wire
}  // namespace espalier
