// What a push's files are in the simulation, and what is said over its connections.
//
// A chunk is a number from a seeded sequence. It hashes as real ones do: a file's list has the hash
// of each of its chunks, and the file's root is the hash of that list. So whoever takes it checks
// what a peer checks, and what arrived can be compared with what was sent.
#pragma once

#include <cstdint>
#include <memory>
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

// One peer's file, from the first chunk on: chunks come in their order.
struct Stored {
  ChunkList list;  // null until it is known
  std::vector<Chunk> chunks;

  bool whole() const { return list && chunks.size() == list->size(); }
};

// From whoever takes: the list, if it lacks that, and each chunk from `first` on, once it is there.
struct AskForChunks {
  FileRoot root;
  bool list = false;
  std::size_t first = 0;
};
struct ListIs {
  ChunkList list;
};
struct ChunkIs {
  std::size_t place = 0;
  Chunk chunk = 0;
};
// Each second: nothing new, or bytes of a chunk that is on its way.
struct SignOfLife {
  bool bytes = false;
};
struct NotPushedHere {};
struct Busy {};
using PushWord = std::variant<AskForChunks, ListIs, ChunkIs, SignOfLife, NotPushedHere, Busy>;

}  // namespace espalier::simulation
