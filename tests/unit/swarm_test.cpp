// Several downloads of one file that give each other what they have, on a virtual clock: each is a
// schedule of its own, and uploads at one rate to whoever asks, in the order of asking.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "peer/core/download.h"

using namespace espalier;
using namespace espalier::transfer;

namespace {

constexpr std::uint64_t kChunkBytes = 1 << 20;
constexpr double kStep = 0.05;
constexpr double kToldEvery = 0.5;  // what a peer has, to those who ask it
constexpr double kLongest = 400;

TimePoint atSeconds(double seconds) {
  return TimePoint{} + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

class Swarm {
 public:
  // One peer has the file; `others` want it, all from the beginning.
  Swarm(std::uint64_t chunks, std::size_t others, double chunksPerSecond, std::uint64_t seed)
      : chunks_(chunks), rate_(chunksPerSecond), random_(seed) {
    for (std::size_t i = 0; i <= others; ++i) {
      auto peer = std::make_unique<Peer>(chunks, random_());
      if (i == 0) {
        for (std::uint64_t c = 0; c < chunks; ++c) peer->download.hold(ChunkIndex{c});
      }
      peers_.push_back(std::move(peer));
    }
  }

  // When the last one had all; nothing if that never came about.
  std::optional<double> run() {
    for (double now = 0; now < kLongest; now += kStep) {
      for (std::uint32_t i = 1; i < peers_.size(); ++i) ask(i, now);
      for (std::uint32_t i = 0; i < peers_.size(); ++i) send(i, now);
      const bool all = std::all_of(peers_.begin(), peers_.end(),
                                   [](const auto& peer) { return peer->download.complete(); });
      if (all) return now;
    }
    return std::nullopt;
  }
  std::uint64_t wastedBytes() const {
    std::uint64_t bytes = 0;
    for (const auto& peer : peers_) bytes += peer->download.wastedBytes();
    return bytes;
  }

 private:
  struct Upload {
    std::uint32_t to;
    ChunkIndex chunk;
  };
  struct Peer {
    Peer(std::uint64_t chunks, std::uint64_t seed)
        : download(chunks * kChunkBytes, kChunkBytes, Download::kFirstChunks, seed) {}
    Download download;
    std::map<std::uint32_t, double> toldAt;  // by whom, what it has
    std::deque<Upload> uploads;
    double sent = 0;  // of the first of them
  };

  ChunkSet heldBy(std::uint32_t peer) const {
    ChunkSet set(chunks_);
    for (std::uint64_t c = 0; c < chunks_; ++c) {
      if (peers_[peer]->download.map().isHeld(ChunkIndex{c})) set.insert(ChunkIndex{c});
    }
    return set;
  }

  void ask(std::uint32_t index, double now) {
    Peer& peer = *peers_[index];
    if (peer.download.complete()) return;
    for (std::uint32_t other = 0; other < peers_.size(); ++other) {
      if (other == index) continue;
      const SourceId source{other};
      const auto told = peer.toldAt.find(other);
      if (told == peer.toldAt.end()) {
        peer.download.join(source, heldBy(other), atSeconds(now));
        peer.toldAt[other] = now;
      } else if (now - told->second >= kToldEvery) {
        peer.download.offer(source, heldBy(other));
        told->second = now;
      }
      while (const auto range = peer.download.next(source, atSeconds(now))) {
        for (std::uint32_t i = 0; i < range->count; ++i) {
          const ChunkIndex chunk{number(range->first) + i};
          REQUIRE(peers_[other]->download.map().isHeld(chunk));
          peers_[other]->uploads.push_back({index, chunk});
        }
      }
    }
  }

  void send(std::uint32_t index, double now) {
    Peer& peer = *peers_[index];
    if (peer.uploads.empty()) return;
    peer.sent += kStep * rate_;
    while (peer.sent >= 1 && !peer.uploads.empty()) {
      const Upload upload = peer.uploads.front();
      peer.uploads.pop_front();
      peer.sent -= 1;
      const auto verdict =
          peers_[upload.to]->download.deliver(SourceId{index}, upload.chunk, true, atSeconds(now));
      CHECK((verdict == Verdict::fresh || verdict == Verdict::duplicate));
    }
    if (peer.uploads.empty()) peer.sent = 0;
  }

  std::uint64_t chunks_;
  double rate_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace

TEST_CASE("many who fetch one file at once help each other") {
  constexpr std::uint64_t kChunks = 400;
  constexpr double kRate = 10;  // so one alone takes 40 s, and eight from one holder 320 s
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Swarm swarm(kChunks, 8, kRate, seed);
    const auto seconds = swarm.run();
    REQUIRE(seconds.has_value());
    CAPTURE(seed);
    CHECK(*seconds < 1.7 * kChunks / kRate);
    CHECK(swarm.wastedBytes() <= 8 * kChunks * kChunkBytes / 50);
  }
}
