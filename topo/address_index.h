// Finds the peer whose address shares the longest prefix with a newcomer's, for the placement
// `nearest`: a path-compressed binary trie (PATRICIA, Morrison 1968) over address and port. Each
// inner vertex knows the first peer below it by (port, id).
//
// The figure it is for: at most 2 µs to attach a newcomer to a network of a million peers
// (bench/attach). Comparing a newcomer with every peer costs O(n).
//
// IPv4 and IPv6 addresses are compared within their family; an IPv4-mapped IPv6 address counts as
// IPv4. A host name has no address and shares no prefix with anything. A peer that shares nothing
// is still better than none.
//
// insert, erase and nearest cost O(bits); 40 bytes a vertex, two a peer. Not thread-safe. Owned by
// Forest.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "common/base/endpoint.h"
#include "topo/node_index.h"

namespace espalier::topo {

// An address literal as bits, highest first, with the port behind them.
struct AddressKey {
  static constexpr unsigned kAddressBits = 128;
  static constexpr unsigned kBits = kAddressBits + 16;

  enum class Family : std::uint8_t { ipv4, ipv6, name };
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::uint16_t port = 0;
  Family family = Family::name;

  static AddressKey of(const Endpoint& endpoint);
  bool operator==(const AddressKey&) const = default;
};

// How many leading bits two addresses share, at most kAddressBits; 0 across families and for names.
unsigned sharedAddressBits(const AddressKey& a, const AddressKey& b);

class AddressIndex {
 public:
  // Whether one peer's id is less than the other's; asked only where their ports are the same.
  using IsLess = std::function<bool(NodeIndex, NodeIndex)>;

  void insert(NodeIndex node, const Endpoint& endpoint, const IsLess& isLess);
  // The peer must be in it, with that endpoint.
  void erase(NodeIndex node, const Endpoint& endpoint, const IsLess& isLess);
  // The peer that shares the longest prefix with the newcomer; of several the one with the lowest
  // port, then the least id.
  std::optional<NodeIndex> nearest(const Endpoint& newcomer, const IsLess& isLess) const;
  std::size_t size() const { return size_; }

 private:
  using Index = std::uint32_t;  // into vertices_
  static constexpr Index kNone = 0xffff'ffff;
  struct Vertex {
    AddressKey key;              // its first `bits` bits count
    std::uint8_t bits = 0;       // kBits: a leaf
    std::uint16_t bestPort = 0;  // of the first peer at or below it
    NodeIndex best = kNoNode;
    std::array<Index, 2> child{kNone, kNone};  // a leaf's first: the next peer of that endpoint
  };
  struct Path {
    std::array<Index, AddressKey::kBits + 1> steps;
    std::size_t size = 0;
    Index back() const { return steps[size - 1]; }
  };

  bool isLeaf(Index index) const { return vertices_[index].bits == AddressKey::kBits; }
  Index make(const AddressKey& key, unsigned bits, NodeIndex best);
  Path walk(const AddressKey& key) const;
  // Where the vertex that stands at `position` of the path is kept: a child of the one before.
  Index& slotOf(const Path& path, std::size_t position);
  bool isBefore(Index a, Index b, const IsLess& isLess) const;
  void insertIntoLeaf(Path& path, Index peer, const IsLess& isLess);
  void eraseFork(Path& path);

  std::array<Index, 3> tops_{kNone, kNone, kNone};  // by family
  std::vector<Vertex> vertices_;
  std::vector<Index> free_;
  std::size_t size_ = 0;
};

}  // namespace espalier::topo
