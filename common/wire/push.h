// The messages about pushes that travel over links: an offer of files to all peers, or to some, and
// the ledger of how far each peer is. The bytes of the files travel over push connections
// (docs/protocol.md, Push). Plain values without protobuf, so that cores can use them; push_codec.h
// encodes them.
//
// Nothing here is trusted: the codec checks forms and lengths, the core everything else.
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

// The random id of a push, the same at every peer.
using PushId = Bytes<16, struct PushIdTag>;
// What only the sender can show when it ends the push, or the hash of that (push_id.h).
using PushEndProof = Bytes<16, struct PushEndProofTag>;

namespace wire {

struct PushFile {
  std::string name;  // relative to the receiver's downloads folder; raw bytes: check before writing
  std::uint64_t sizeBytes = 0;
  FileRoot root;

  bool operator==(const PushFile&) const = default;
};

// Only grows.
enum class PushEnd : std::uint8_t {
  open = 0,
  closed = 1,    // the sender has finished: no new peer takes part
  cancelled = 2  // peers that are not complete give up
};

struct PushOffer {
  PushId id;
  Contact sender;
  PeerId via;         // the nearest peer toward the sender that takes part
  bool late = false;  // the receiver and all peers behind it joined after the push began
  PushEnd end = PushEnd::open;
  std::vector<PushFile> files;   // 1 to limits::kPushFiles, and all within kPushMessageBytes
  std::vector<PeerId> to;        // the recipients; empty: all peers
  PushEndProof endHash = {};     // of the proof of the end; zero: of an older program
  PushEndProof endProof = {};    // zero: open, or of an older program
  std::uint32_t ageSeconds = 0;  // since the push began, as far as is known; 0 of older programs

  bool operator==(const PushOffer&) const = default;
};

// The states of one version of an entry, in the order in which it passes through them.
enum class PushState : std::uint8_t {
  offered = 0,
  accepted = 1,
  lost = 2,  // reported by a neighbour
  failed = 3,
  declined = 4,
  verified = 5,
};

// The state of one peer. A peer that finds a wrong entry about itself raises the version.
struct PushEntry {
  std::uint32_t version = 0;  // 0: the peer itself has not reported yet
  PushState state = PushState::offered;
  Contact peer;
  PeerId via;  // as the offer said; the sender's is empty
  bool late = false;
  std::string reason;  // of failed and declined, for a person; at most limits::kPushReasonBytes

  bool operator==(const PushEntry&) const = default;
  // A total order: of two entries about one peer every peer keeps the greater one.
  std::strong_ordering operator<=>(const PushEntry& other) const;
};

// Some of the ledger's entries.
struct PushLedger {
  PushId id;
  PushEnd end = PushEnd::open;
  std::vector<PushEntry> entries;
  PushEndProof endProof = {};  // as in the offer

  bool operator==(const PushLedger&) const = default;
};

using PushMessage = std::variant<PushOffer, PushLedger>;

// Whether an offer of these fits into a frame, with any values in its other fields.
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
