// Which peers' addresses share the longest prefix with a newcomer's: a path-compressed binary trie
// (PATRICIA, Morrison 1968) over address and port, where each inner vertex knows the first peer
// below it by (port, id).
//
// IPv4 and IPv6 addresses are compared within their family; an IPv4-mapped IPv6 address counts as
// IPv4. A host name has no address: it shares no prefix with anything. A peer that shares nothing
// is still better than none.
//
// insert, erase and nearest cost O(bits); some 120 bytes a vertex, two a peer. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "topo/node_index.h"

namespace espalier::topo {

// An address literal as bits, with the port behind them.
struct AddressKey {
  static constexpr unsigned kAddressBits = 128;
  static constexpr unsigned kBits = kAddressBits + 16;

  enum class Family : std::uint8_t { ipv4, ipv6, name };
  Family family = Family::name;
  std::array<std::uint8_t, kBits / 8> bits{};

  static AddressKey of(const Endpoint& endpoint);
  bool operator==(const AddressKey&) const = default;
};

// How many leading bits two addresses share, at most kAddressBits; 0 across families and for names.
unsigned sharedAddressBits(const AddressKey& a, const AddressKey& b);

class AddressIndex {
 public:
  void insert(NodeIndex node, const PeerId& id, const Endpoint& endpoint);
  void erase(NodeIndex node, const PeerId& id, const Endpoint& endpoint);
  // The peer that shares the longest prefix with the newcomer; of several the one with the lowest
  // port, then the least id.
  std::optional<NodeIndex> nearest(const Endpoint& newcomer) const;
  std::size_t size() const { return size_; }

 private:
  struct Candidate {
    std::uint16_t port = 0;
    PeerId id;
    NodeIndex node = kNoNode;
    auto operator<=>(const Candidate&) const = default;
  };
  using Index = std::uint32_t;  // into vertices_
  static constexpr Index kNone = 0xffff'ffff;
  struct Vertex {
    AddressKey key;     // its first `bits` bits count
    unsigned bits = 0;  // kBits: a leaf
    std::array<Index, 2> child{kNone, kNone};
    Candidate best;
    std::vector<Candidate> peers;  // of a leaf: sorted, all of one endpoint
  };

  Index make(const AddressKey& key, unsigned bits);
  void release(Index index);
  void renewBest(Index index);
  std::vector<Index> walk(const AddressKey& key) const;

  std::array<Index, 3> tops_{kNone, kNone, kNone};  // by family
  std::vector<Vertex> vertices_;
  std::vector<Index> free_;
  std::size_t size_ = 0;
};

}  // namespace espalier::topo
