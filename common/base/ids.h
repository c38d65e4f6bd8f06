// Identifiers of peers, metaservers, instances, connections, queries and files: each a type of its
// own, so that the compiler keeps them apart. All are values.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/result.h"

namespace espalier {

// The rule of names: 1 to 64 bytes of UTF-8 without white space, control and invisible characters,
// ':' or '/', and without a dot at the beginning. The same rule holds for options, prompts, files
// and the network. `noun` is for the error, of code `usage`: "peer id".
Result<void> checkName(std::string_view text, std::string_view noun);

// A name that a user gave. `Tag` makes each kind a type of its own, and has its noun. A
// default-constructed name is empty and names nothing.
template <typename Tag>
class Name {
 public:
  Name() = default;
  static Result<Name> parse(std::string_view text) {
    const auto checked = checkName(text, Tag::kNoun);
    if (!checked) return checked.error();
    return Name(std::string(text));
  }

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const Name&) const = default;

 private:
  explicit Name(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct PeerIdTag {
  static constexpr std::string_view kNoun = "peer id";
};
struct ServerNameTag {
  static constexpr std::string_view kNoun = "metaserver name";
};
struct RoomNameTag {
  static constexpr std::string_view kNoun = "room name";
};
// A peer.
using PeerId = Name<PeerIdTag>;
// A room of the network, in which peers talk.
using RoomName = Name<RoomNameTag>;
// A metaserver; unique in its cluster.
using ServerName = Name<ServerNameTag>;

// An identifier of N bytes. `Tag` makes each kind a type of its own.
template <std::size_t N, typename Tag>
struct Bytes {
  static constexpr std::size_t kSizeBytes = N;
  std::array<std::uint8_t, N> bytes{};

  auto operator<=>(const Bytes&) const = default;
  bool isZero() const { return *this == Bytes{}; }
  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // `raw` must be N bytes long; else the result is an error of code `protocol`.
  static Result<Bytes> fromRaw(std::string_view raw) {
    if (raw.size() != N) {
      return Error{ErrorCode::protocol, std::to_string(raw.size()) + " bytes where " +
                                            std::to_string(N) + " were expected"};
    }
    Bytes result;
    std::copy(raw.begin(), raw.end(), reinterpret_cast<char*>(result.bytes.data()));
    return result;
  }
};

// Proves that a peer is the one that joined under an id before: random, kept in its state folder.
using InstanceKey = Bytes<16, struct InstanceKeyTag>;
// Tells instances apart without telling their keys: the first 16 bytes of the key's SHA-256
// (common/crypto/instance.h). Zero: not told, as by older programs.
using InstanceHash = Bytes<16, struct InstanceHashTag>;
// Names a search at every peer that relays it: random.
using QueryId = Bytes<16, struct QueryIdTag>;
// Who says something in rooms: random, another one in each run of a peer. Not its key: everybody is
// told it.
using SpeakerId = Bytes<16, struct SpeakerIdTag>;
// A SHA-256 digest.
using Digest = Bytes<32, struct DigestTag>;
// The BEP 52 `pieces root` of a file; all zero for an empty one.
using FileRoot = Digest;

// Lower-case hexadecimal, two digits a byte. The reverse takes either case.
std::string toHex(std::string_view raw);
// Fills `raw`. False unless `hex` has two digits for each byte of `raw`.
bool fillFromHex(std::string_view hex, std::span<std::uint8_t> raw);
template <typename Id>
std::optional<Id> fromHex(std::string_view hex) {
  Id id;
  return fillFromHex(hex, id.bytes) ? std::optional(id) : std::nullopt;
}
// The same for what a user typed: an error of code `usage` says what is wrong.
Result<FileRoot> parseFileRoot(std::string_view hex);

// A connection of this process, unique for its lifetime. Outgoing ones are numbered by the core
// that dials them (odd), incoming ones by the shell that accepts them (even). So neither has to ask
// the other.
enum class ConnectionId : std::uint64_t {};

// A peer's number in the order of joining, assigned by the metaserver: 1, 2, 3 …; unique in a
// network, kept over a re-attachment and a restart of the metaserver. 0: not assigned yet.
enum class JoinOrder : std::uint64_t {};
inline constexpr JoinOrder kNoOrder{0};
// The low bits of an order are counted up; those above are its prefix, which is that of one
// metaserver (metaserver/core/cluster/epoch.h).
inline constexpr unsigned kRunningBits = 24;

// A metaserver's number, unique in its cluster: drawn at its first start from 1 to 65,535, and
// again if another metaserver has it. 0: none.
enum class ServerNumber : std::uint16_t {};
inline constexpr ServerNumber kNoServer{0};

constexpr std::uint16_t number(ServerNumber server) {
  return static_cast<std::uint16_t>(server);
}

// A period with one master, named by that master: it raises the counter and adds its own number. So
// two sides of a cut never have the same epoch. Compared in this order.
struct Epoch {
  std::uint32_t counter = 0;  // at most limits::kEpochCounter
  ServerNumber number{};

  auto operator<=>(const Epoch&) const = default;
};

constexpr std::uint64_t number(JoinOrder order) {
  return static_cast<std::uint64_t>(order);
}
constexpr std::uint64_t number(ConnectionId id) {
  return static_cast<std::uint64_t>(id);
}

}  // namespace espalier

template <typename Tag>
struct std::hash<espalier::Name<Tag>> {
  std::size_t operator()(const espalier::Name<Tag>& name) const noexcept {
    return std::hash<std::string>()(name.text());
  }
};
template <std::size_t N, typename Tag>
struct std::hash<espalier::Bytes<N, Tag>> {
  std::size_t operator()(const espalier::Bytes<N, Tag>& value) const noexcept {
    return std::hash<std::string_view>()(value.view());
  }
};
