// Identifiers of peers, instances, connections, queries and files: each a type of its own, so that
// the compiler keeps them apart. All are values.
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

#include "common/base/result.h"

namespace espalier {

// The name that a user gave a peer: 1 to 64 bytes of UTF-8 without white space, control and
// invisible characters, ':' or '/', and without a dot at the beginning. The same rule holds for
// options, prompts, files and the network. A default-constructed PeerId is empty and names no peer.
class PeerId {
 public:
  PeerId() = default;
  static Result<PeerId> parse(std::string_view text);

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const PeerId&) const = default;

 private:
  explicit PeerId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

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
// Names a search at every peer that relays it: random.
using QueryId = Bytes<16, struct QueryIdTag>;
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

constexpr std::uint64_t number(JoinOrder order) {
  return static_cast<std::uint64_t>(order);
}
constexpr std::uint64_t number(ConnectionId id) {
  return static_cast<std::uint64_t>(id);
}

}  // namespace espalier

template <>
struct std::hash<espalier::PeerId> {
  std::size_t operator()(const espalier::PeerId& id) const noexcept {
    return std::hash<std::string>()(id.text());
  }
};
template <std::size_t N, typename Tag>
struct std::hash<espalier::Bytes<N, Tag>> {
  std::size_t operator()(const espalier::Bytes<N, Tag>& value) const noexcept {
    return std::hash<std::string_view>()(value.view());
  }
};
