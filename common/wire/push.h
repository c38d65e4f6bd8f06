// What peers say over links about pushes: that somebody sends files to all, or to some, and how far
// each peer is. The bytes follow a way of their own (docs/protocol.md, Push). Plain structs without
// protobuf, so that cores can use them; push_codec.h puts them into frames.
//
// Values; nothing here is trusted: the codec checks forms and lengths, the core all the rest.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/wire/contact.h"

namespace espalier {

// A push, wherever it is being relayed: random.
using PushId = Bytes<16, struct PushIdTag>;

namespace wire {

struct PushFile {
  std::string name;  // below the taker's downloads folder; raw bytes: nobody writes there unchecked
  std::uint64_t sizeBytes = 0;
  FileRoot root;

  bool operator==(const PushFile&) const = default;
};

// It only grows.
enum class PushEnd : std::uint8_t {
  open = 0,
  closed = 1,    // the sender has all that it waited for: nobody new takes part
  cancelled = 2  // those who do not have all yet give up
};

struct PushOffer {
  PushId id;
  Contact sender;
  PeerId via;         // who takes part, nearest on the way from the sender
  bool late = false;  // the receiver, and all behind it, came after the push had begun
  PushEnd end = PushEnd::open;
  std::vector<PushFile> files;  // 1 to limits::kPushFiles, and all within kPushMessageBytes
  std::vector<PeerId> to;       // who is meant; empty: all

  bool operator==(const PushOffer&) const = default;
};

// In the order in which an entry of one version moves.
enum class PushState : std::uint8_t {
  offered = 0,
  accepted = 1,
  lost = 2,  // a neighbour says so
  failed = 3,
  declined = 4,
  verified = 5,
};

// What is known of one peer. A peer that has to contradict raises its entry's version.
struct PushEntry {
  std::uint32_t version = 0;  // 0: nothing came from the peer itself yet
  PushState state = PushState::offered;
  Contact peer;
  PeerId via;  // as the offer said; the sender's is empty
  bool late = false;
  std::string reason;  // of failed and declined, for a person; at most limits::kPushReasonBytes

  bool operator==(const PushEntry&) const = default;
  // A total order: of two entries about a peer the greater one counts, whoever compares them.
  std::strong_ordering operator<=>(const PushEntry& other) const;
};

// Some of the ledger's entries.
struct PushLedger {
  PushId id;
  PushEnd end = PushEnd::open;
  std::vector<PushEntry> entries;

  bool operator==(const PushLedger&) const = default;
};

using PushMessage = std::variant<PushOffer, PushLedger>;

// Whether an offer of these fits a frame, whatever else it says.
inline bool fitsOffer(const std::vector<PushFile>& files, const std::vector<PeerId>& to) {
  constexpr std::size_t kHeadBytes = 2 * limits::kPeerIdBytes + limits::kHostBytes + 128;
  constexpr std::size_t kFieldBytes = 8;  // tag and length, here and in the messages around it
  std::size_t bytes = kHeadBytes;
  for (const auto& file : files) {
    bytes += file.name.size() + FileRoot::kSizeBytes + 10 + 4 * kFieldBytes;
  }
  for (const auto& id : to) bytes += id.text().size() + kFieldBytes;
  return bytes <= limits::kPushMessageBytes;
}

inline std::strong_ordering PushEntry::operator<=>(const PushEntry& other) const {
  if (const auto by = version <=> other.version; by != 0) return by;
  if (const auto by = state <=> other.state; by != 0) return by;
  if (const auto by = peer.id <=> other.peer.id; by != 0) return by;
  if (const auto by = peer.order <=> other.peer.order; by != 0) return by;
  if (const auto by = peer.endpoint <=> other.peer.endpoint; by != 0) return by;
  if (const auto by = via <=> other.via; by != 0) return by;
  if (const auto by = late <=> other.late; by != 0) return by;
  return reason <=> other.reason;
}

}  // namespace wire
}  // namespace espalier
