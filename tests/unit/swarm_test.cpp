// Several downloads of one file that serve each other, on a virtual clock. Each peer has a
// Download, and uploads at one rate to all askers, in the order of their requests. Some peers lie,
// some die, and connections break.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "peer/transfer/core/download.h"

using namespace espalier;
using namespace espalier::transfer;

namespace {

constexpr std::uint64_t kChunkBytes = 1 << 20;
constexpr double kStep = 0.05;
constexpr double kToldEvery = 0.5;  // the chunks that a peer has, to its askers
constexpr double kLongest = 400;
constexpr double kRedial = 1;
constexpr double kTrial = std::chrono::duration<double>(Download::kAhead).count();

TimePoint atSeconds(double seconds) {
  return TimePoint{} + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

// How a peer behaves.
struct Conduct {
  double lies = 0;  // so many of its chunks are others
  std::optional<double> dies;
};

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
    for (std::uint64_t c = 0; c < chunks; ++c) peers_[0]->data[c] = random_();
  }
  Conduct& conduct(std::uint32_t peer) { return peers_[peer]->conduct; }
  // So often in a second does a connection break.
  void breakConnections(double aSecond) { breaks_ = aSecond; }
  // Until then only the one that has the file is known.
  void findOthersAt(double time) { othersFoundAt_ = time; }

  // When the last one had all; nothing if that never came about.
  std::optional<double> run() {
    for (double now = 0; now < kLongest; now += kStep) {
      for (std::uint32_t i = 0; i < peers_.size(); ++i) {
        if (lives(i, now)) disturb(i, now);
      }
      for (std::uint32_t i = 1; i < peers_.size(); ++i) {
        if (lives(i, now)) ask(i, now);
      }
      for (std::uint32_t i = 0; i < peers_.size(); ++i) {
        if (lives(i, now)) send(i, now);
      }
      bool all = true;
      for (std::uint32_t i = 1; i < peers_.size(); ++i) {
        all = all && (peers_[i]->download.complete() || !lives(i, now));
      }
      if (all) return now;
    }
    return std::nullopt;
  }
  std::uint64_t wastedBytes() const {
    std::uint64_t bytes = 0;
    for (const auto& peer : peers_) bytes += peer->download.wastedBytes();
    return bytes;
  }
  // What this one has is what was there at first.
  bool isRight(std::uint32_t peer) const { return peers_[peer]->data == peers_[0]->data; }

 private:
  struct Upload {
    std::uint32_t to;
    ChunkIndex chunk;
    std::shared_ptr<std::optional<double>> trial;  // when it began, if it is one
  };
  struct Peer {
    Peer(std::uint64_t chunks, std::uint64_t seed)
        : download(chunks * kChunkBytes, kChunkBytes, true, seed) {}
    Download download;
    std::map<std::uint32_t, double> toldAt;  // when each source last told its chunks
    std::map<std::uint32_t, double> redialAt;
    std::set<std::uint32_t> liars;  // are not asked again
    std::deque<Upload> uploads;
    double sent = 0;  // of the first of them
    std::map<std::uint64_t, std::uint64_t> data;
    Conduct conduct;
  };

  bool lives(std::uint32_t peer, double now) const {
    const auto& dies = peers_[peer]->conduct.dies;
    return !dies || now < *dies;
  }
  bool chance(double probability) {
    return std::uniform_real_distribution<>(0, 1)(random_) < probability;
  }

  // Chunks do not arrive from sources that are gone or whose connection breaks.
  void disturb(std::uint32_t index, double now) {
    Peer& peer = *peers_[index];
    for (auto told = peer.toldAt.begin(); told != peer.toldAt.end();) {
      const std::uint32_t other = told->first;
      if (told->second > now || (lives(other, now) && !chance(breaks_ * kStep))) {
        ++told;
        continue;
      }
      leave(peer, index, other);
      told = peer.toldAt.erase(told);
      if (lives(other, now)) peer.redialAt[other] = now + kRedial;
    }
  }

  void leave(Peer& peer, std::uint32_t index, std::uint32_t other) {
    peer.download.leave(SourceId{other});
    std::erase_if(peers_[other]->uploads, [&](const Upload& each) { return each.to == index; });
  }

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
      if (other == index || !lives(other, now) || peer.liars.contains(other)) continue;
      if (other > 0 && now < othersFoundAt_) continue;
      if (const auto redial = peer.redialAt.find(other); redial != peer.redialAt.end()) {
        if (now < redial->second) continue;
        peer.redialAt.erase(redial);
      }
      const SourceId source{other};
      const auto told = peer.toldAt.find(other);
      if (told == peer.toldAt.end()) {
        peer.download.join(source, heldBy(other));
        peer.toldAt[other] = now;
      } else if (now - told->second >= kToldEvery) {
        peer.download.offer(source, heldBy(other));
        told->second = now;
      }
      while (const auto range = peer.download.next(source, atSeconds(now))) {
        const auto trial = range->trial ? std::make_shared<std::optional<double>>() : nullptr;
        for (std::uint32_t i = 0; i < range->count; ++i) {
          const ChunkIndex chunk{number(range->first) + i};
          REQUIRE(peers_[other]->download.map().isHeld(chunk));
          peers_[other]->uploads.push_back({index, chunk, trial});
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
      if (upload.trial && now > upload.trial->value_or(now) + kTrial) {
        peers_[upload.to]->download.release(SourceId{index}, {upload.chunk, 1});
        continue;
      }
      if (upload.trial && !*upload.trial) *upload.trial = now;
      peer.sent -= 1;
      deliver(index, upload, now);
    }
    if (peer.uploads.empty()) peer.sent = 0;
  }

  void deliver(std::uint32_t from, const Upload& upload, double now) {
    Peer& to = *peers_[upload.to];
    if (!lives(upload.to, now)) return;
    const std::uint64_t chunk = number(upload.chunk);
    std::uint64_t data = peers_[from]->data.at(chunk);
    if (chance(peers_[from]->conduct.lies)) data ^= 1;
    const bool right = data == peers_[0]->data.at(chunk);  // so its hash says
    const auto verdict = to.download.deliver(SourceId{from}, upload.chunk, right, atSeconds(now));
    if (verdict == Verdict::fresh) to.data[chunk] = data;
    if (!right) {
      CHECK(verdict == Verdict::wrong);
      to.liars.insert(from);
      to.toldAt.erase(from);
      leave(to, upload.to, from);
    } else {
      CHECK((verdict == Verdict::fresh || verdict == Verdict::duplicate));
    }
  }

  std::uint64_t chunks_;
  double rate_;
  double breaks_ = 0;
  double othersFoundAt_ = 0;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace

TEST_CASE("peers that fetch one file at once help each other") {
  constexpr std::uint64_t kChunks = 400;
  constexpr double kRate = 10;  // so one alone takes 40 s, and eight from one holder 320 s
  double foundAt = 0;
  SUBCASE("who know of each other") {}
  SUBCASE("who hear of each other later") {
    foundAt = 2;
  }
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Swarm swarm(kChunks, 8, kRate, seed);
    swarm.findOthersAt(foundAt);
    const auto seconds = swarm.run();
    REQUIRE(seconds.has_value());
    CAPTURE(seed);
    CHECK(*seconds < 1.8 * kChunks / kRate);
    CHECK(swarm.wastedBytes() <= 8 * kChunks * kChunkBytes / 50);
  }
}

TEST_CASE("when peers lie or die and connections break, all others get what was sent") {
  constexpr std::uint64_t kChunks = 200;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto pick = [&](double from, double to) {
      return std::uniform_real_distribution<>(from, to)(random);
    };
    constexpr std::uint32_t kOthers = 8;
    Swarm swarm(kChunks, kOthers, 10, seed);
    swarm.breakConnections(pick(0, 0.2));
    for (std::uint32_t peer = 1; peer <= kOthers; ++peer) {
      auto& conduct = swarm.conduct(peer);
      if (pick(0, 1) < 0.25) conduct.lies = pick(0, 1);
      if (pick(0, 1) < 0.25) conduct.dies = pick(0, 40);
    }
    REQUIRE(swarm.run().has_value());
    for (std::uint32_t peer = 1; peer <= kOthers; ++peer) {
      if (!swarm.conduct(peer).dies) CHECK(swarm.isRight(peer));
    }
  }
}
