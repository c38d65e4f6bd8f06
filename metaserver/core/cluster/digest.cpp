#include "metaserver/core/cluster/digest.h"

#include <bit>
#include <string_view>

namespace espalier::metaserver::cluster {
namespace {

// Two lanes of 64 bits that take in words. Each step is a bijection of its lane, and the last one
// (the finalizer of SplitMix64: Steele, Lea, Flood, OOPSLA 2014) spreads each bit over all.
class Lanes {
 public:
  void take(std::uint64_t word) {
    low_ = std::rotl((low_ ^ word) * 0x9e37'79b9'7f4a'7c15, 29);
    high_ = std::rotl((high_ ^ word) * 0xd134'2543'de82'ef95, 37);
  }
  void take(std::string_view text) {
    take(text.size());  // else a byte could move from one text to the next
    std::uint64_t word = 0;
    unsigned bits = 0;
    for (const char c : text) {
      word |= std::uint64_t{static_cast<unsigned char>(c)} << bits;
      bits += 8;
      if (bits < 64) continue;
      take(word);
      word = 0;
      bits = 0;
    }
    if (bits > 0) take(word);
  }
  // Each lane of both, so that a collision needs all 128 bits.
  wire::DirectoryDigest digest() const {
    return {finished(low_ + std::rotl(high_, 17)), finished(high_ ^ std::rotl(low_, 41))};
  }

 private:
  static std::uint64_t finished(std::uint64_t lane) {
    lane = (lane ^ lane >> 30) * 0xbf58'476d'1ce4'e5b9;
    lane = (lane ^ lane >> 27) * 0x94d0'49bb'1331'11eb;
    return lane ^ lane >> 31;
  }

  std::uint64_t low_ = 1;
  std::uint64_t high_ = 2;
};

}  // namespace

wire::DirectoryDigest digestOf(const wire::DirectoryRow& row) {
  Lanes lanes;
  lanes.take(number(row.contact.order));
  lanes.take(row.contact.id.text());
  lanes.take(row.contact.endpoint.host);
  lanes.take(std::uint64_t{row.contact.endpoint.port} << 16 | static_cast<std::uint16_t>(row.home));
  lanes.take(row.key.view());
  lanes.take(number(row.above));
  lanes.take(row.generation);
  lanes.take(std::uint64_t{row.neighbours.size()} << 8 | row.reportedParent);
  for (const auto& neighbour : row.neighbours) lanes.take(neighbour.text());
  // Metaservers of the version before know no rooms: the digest of a row without any is theirs.
  if (row.roomsRevision == 0 && row.rooms.empty()) return lanes.digest();
  lanes.take(row.roomsRevision);
  lanes.take(row.rooms.size());
  for (const auto& room : row.rooms) lanes.take(room.text());
  return lanes.digest();
}

wire::DirectoryDigest digestOf(const wire::AbsentRow& row) {
  Lanes lanes;
  lanes.take(number(row.contact.order));
  lanes.take(row.contact.id.text());
  lanes.take(row.contact.endpoint.host);
  lanes.take(std::uint64_t{row.contact.endpoint.port} << 16 | (row.isBefore ? 2u : 0u) |
             (row.isFree ? 1u : 0u));
  lanes.take(row.key.view());
  return lanes.digest();
}

wire::DirectoryDigest operator+(wire::DirectoryDigest a, wire::DirectoryDigest b) {
  const std::uint64_t low = a.low + b.low;
  return {low, a.high + b.high + (low < a.low ? 1 : 0)};
}

wire::DirectoryDigest operator-(wire::DirectoryDigest a, wire::DirectoryDigest b) {
  return {a.low - b.low, a.high - b.high - (a.low < b.low ? 1 : 0)};
}

}  // namespace espalier::metaserver::cluster
