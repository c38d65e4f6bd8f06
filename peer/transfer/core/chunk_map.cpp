#include "peer/transfer/core/chunk_map.h"

#include <algorithm>
#include <cassert>

namespace espalier::transfer {

ChunkSet ChunkSet::all(std::uint64_t chunks) {
  ChunkSet set(chunks);
  std::fill(set.words_.begin(), set.words_.end(), ~std::uint64_t{0});
  set.size_ = chunks;
  return set;
}

ChunkSet ChunkSet::fromBits(std::uint64_t chunks, std::string_view bits) {
  ChunkSet set(chunks);
  const auto known = std::min<std::uint64_t>(chunks, bits.size() * 8);
  for (std::uint64_t index = 0; index < known; ++index) {
    if ((static_cast<unsigned char>(bits[index / 8]) >> index % 8 & 1) != 0) {
      set.insert(ChunkIndex{index});
    }
  }
  return set;
}

bool ChunkSet::contains(ChunkIndex chunk) const {
  const auto index = number(chunk);
  return index < chunks_ && (words_[index / 64] >> index % 64 & 1) != 0;
}

void ChunkSet::insert(ChunkIndex chunk) {
  assert(number(chunk) < chunks_);
  if (contains(chunk)) return;
  words_[number(chunk) / 64] |= std::uint64_t{1} << number(chunk) % 64;
  ++size_;
}

ChunkMap::ChunkMap(std::uint64_t chunks) : states_(chunks, State::missing) {}

void ChunkMap::hold(ChunkIndex chunk) {
  assert(number(chunk) < states_.size());
  if (at(chunk) != State::missing) return;
  returned_.erase(chunk);
  at(chunk) = State::held;
  ++held_;
}

std::optional<ChunkIndex> ChunkMap::assign(SourceId source, const ChunkSet& offered) {
  if (isBarred(source)) return std::nullopt;
  for (const auto chunk : returned_) {
    if (!offered.contains(chunk)) continue;
    ask(source, chunk);
    return chunk;
  }
  while (next_ < states_.size() && states_[next_] != State::missing) ++next_;
  for (auto index = next_; index < states_.size(); ++index) {
    const ChunkIndex chunk{index};
    if (at(chunk) != State::missing || !offered.contains(chunk)) continue;
    ask(source, chunk);
    return chunk;
  }
  return std::nullopt;
}

std::optional<ChunkIndex> ChunkMap::assignRarest(SourceId source, const ChunkSet& offered,
                                                 const std::vector<std::uint16_t>& copies,
                                                 ChunkIndex from) {
  if (isBarred(source)) return std::nullopt;
  std::optional<ChunkIndex> rarest;
  for (std::uint64_t step = 0; step < states_.size(); ++step) {
    const ChunkIndex chunk{(number(from) + step) % states_.size()};
    if (at(chunk) != State::missing || !offered.contains(chunk)) continue;
    if (rarest && copies[number(chunk)] >= copies[number(*rarest)]) continue;
    rarest = chunk;
    if (copies[number(chunk)] == 0) break;
  }
  if (rarest) ask(source, *rarest);
  return rarest;
}

bool ChunkMap::assignThis(SourceId source, ChunkIndex chunk, const ChunkSet& offered) {
  return offered.contains(chunk) && assignThis(source, chunk);
}

bool ChunkMap::assignThis(SourceId source, ChunkIndex chunk) {
  if (isBarred(source) || !isMissing(chunk)) return false;
  ask(source, chunk);
  return true;
}

bool ChunkMap::assignAgain(SourceId source, ChunkIndex chunk) {
  if (isBarred(source) || number(chunk) >= states_.size() || at(chunk) != State::asked) {
    return false;
  }
  if (askedOf(source).contains(chunk)) return false;
  ask(source, chunk);
  return true;
}

Verdict ChunkMap::deliver(SourceId source, ChunkIndex chunk, bool hashRight) {
  const auto asked = asked_.find(source);
  if (asked == asked_.end() || asked->second.erase(chunk) == 0) return Verdict::unasked;
  if (!hashRight) {
    forget(source, chunk);
    bar(source);
    return Verdict::wrong;
  }
  if (at(chunk) == State::held) return Verdict::duplicate;
  askers_.erase(chunk);
  at(chunk) = State::held;
  ++held_;
  return Verdict::fresh;
}

bool ChunkMap::obtain(ChunkIndex chunk) {
  assert(number(chunk) < states_.size());
  if (at(chunk) == State::held) return false;
  if (const auto askers = askers_.find(chunk); askers != askers_.end()) {
    for (const auto source : askers->second) asked_[source].erase(chunk);
    askers_.erase(askers);
  }
  returned_.erase(chunk);
  at(chunk) = State::held;
  ++held_;
  return true;
}

void ChunkMap::release(SourceId source) {
  const auto asked = asked_.find(source);
  if (asked == asked_.end()) return;
  for (const auto& [chunk, request] : asked->second) forget(source, chunk);
  asked_.erase(asked);
}

void ChunkMap::release(SourceId source, ChunkIndex chunk) {
  const auto asked = asked_.find(source);
  if (asked != asked_.end() && asked->second.erase(chunk) > 0) forget(source, chunk);
}

void ChunkMap::bar(SourceId source) {
  release(source);
  barred_.insert(source);
}

bool ChunkMap::isHeld(ChunkIndex chunk) const {
  return number(chunk) < states_.size() && at(chunk) == State::held;
}

bool ChunkMap::isMissing(ChunkIndex chunk) const {
  return number(chunk) < states_.size() && at(chunk) == State::missing;
}

const ChunkMap::Asked& ChunkMap::askedOf(SourceId source) const {
  static const Asked nothing;
  const auto asked = asked_.find(source);
  return asked == asked_.end() ? nothing : asked->second;
}

void ChunkMap::ask(SourceId source, ChunkIndex chunk) {
  returned_.erase(chunk);
  at(chunk) = State::asked;
  askers_[chunk].push_back(source);
  asked_[source].emplace(chunk, requests_++);
}

// The source will not answer for it. Does not touch asked_.
void ChunkMap::forget(SourceId source, ChunkIndex chunk) {
  const auto askers = askers_.find(chunk);
  if (askers == askers_.end()) return;  // another source delivered it
  std::erase(askers->second, source);
  if (!askers->second.empty()) return;
  askers_.erase(askers);
  at(chunk) = State::missing;
  returned_.insert(chunk);
}

void ChunkMap::check() const {
  std::uint64_t held = 0;
  for (std::uint64_t index = 0; index < states_.size(); ++index) {
    const ChunkIndex chunk{index};
    held += at(chunk) == State::held;
    assert((at(chunk) == State::asked) == askers_.contains(chunk));
    assert(at(chunk) == State::missing || !returned_.contains(chunk));
    assert(at(chunk) != State::missing || index >= next_ || returned_.contains(chunk));
  }
  assert(held == held_);
  for (const auto& [chunk, askers] : askers_) {
    assert(!askers.empty());
    for (const auto source : askers) assert(askedOf(source).contains(chunk));
  }
  for (const auto& [source, asked] : asked_) {
    for (const auto& [chunk, request] : asked) assert(at(chunk) != State::missing);
    assert(asked.empty() || !isBarred(source));
  }
}

}  // namespace espalier::transfer
