// The files of pushes in the simulation, and the messages of push connections.
//
// A chunk is a number from a seeded sequence. Hashes work as in reality: a file's list has the hash
// of each chunk, and the file's root is the hash of the list. So a taker checks what a real peer
// checks, and a test can compare what arrived with what was sent.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "common/base/ids.h"

namespace espalier::simulation {

using Chunk = std::uint64_t;
using ChunkHash = std::uint64_t;
using ChunkList = std::shared_ptr<const std::vector<ChunkHash>>;

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): no two chunks have one hash.
inline ChunkHash hashOf(Chunk chunk) {
  chunk = (chunk ^ (chunk >> 30)) * 0xbf58476d1ce4e5b9u;
  chunk = (chunk ^ (chunk >> 27)) * 0x94d049bb133111ebu;
  return chunk ^ (chunk >> 31);
}

inline FileRoot rootOf(const std::vector<ChunkHash>& list) {
  FileRoot root;
  std::uint64_t sum = list.size();
  for (const ChunkHash hash : list) sum = hashOf(sum + 31 * hash);
  for (auto& byte : root.bytes) byte = static_cast<std::uint8_t>(sum = hashOf(sum + 1));
  return root;
}

// The chunks of one file that a peer has.
struct Stored {
  ChunkList list;  // null: not known yet
  std::vector<std::optional<Chunk>> chunks;
  std::size_t held = 0;

  bool whole() const { return list && held == list->size(); }
  bool holds(std::size_t place) const { return place < chunks.size() && chunks[place]; }
  void add(std::size_t place, Chunk chunk) {
    if (chunks.size() <= place) chunks.resize(place + 1);
    held += chunks[place] ? 0 : 1;
    chunks[place] = chunk;
  }
};

// A taker's request: the list, if it lacks it, and each of these chunks as soon as the source has
// it.
struct AskForChunks {
  FileRoot root;
  bool list = false;
  std::vector<std::uint32_t> places;
};
struct ListIs {
  ChunkList list;
};
struct ChunkIs {
  std::size_t place = 0;
  Chunk chunk = 0;
};
// A keep-alive, sent each second. `bytes`: a part of a chunk was sent meanwhile.
struct SignOfLife {
  bool bytes = false;
};
struct NotPushedHere {};
struct Busy {};
using PushWord = std::variant<AskForChunks, ListIs, ChunkIs, SignOfLife, NotPushedHere, Busy>;

}  // namespace espalier::simulation
