// Downloads from several sources, each call by itself, and simulated on a virtual clock.
#include "peer/transfer/core/download.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "common/base/limits.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace std::chrono_literals;

namespace {

constexpr SourceId kAlice{1};
constexpr SourceId kBob{2};
constexpr SourceId kCarol{3};

TimePoint at(Duration since) {
  return TimePoint{} + since;
}

ChunkIndex chunk(std::uint64_t index) {
  return ChunkIndex{index};
}

// Sources on a virtual clock: each sends what it was asked for, one chunk after the other at its
// rate, or lies, stalls, dies, or joins late. What arrives is what the schedule made of it.
struct SimulatedSource {
  double chunksPerSecond = 1;
  double latency = 0;  // seconds, there and back
  double joins = 0;
  std::optional<double> stops;     // stalls or dies
  bool dies = false;               // the asker sees its end at once, else only by the time-out
  std::optional<double> trickles;  // from then on a chunk in nearly two seconds
  double liesWith = 0;             // probability, a chunk
  std::optional<ChunkSet> part;

  bool joined = false;
  bool gone = false;
  double freeAt = 0;
  std::vector<std::pair<double, std::uint64_t>> sending;  // done at, chunk
  std::optional<std::pair<double, ChunkRange>> cut;       // of its trial, and when it is reported
};

struct Outcome {
  double seconds = 0;
  bool complete = false;
  std::uint64_t wastedBytes = 0;
  std::uint64_t askedOfLiars = 0;  // after they had lied
};

constexpr std::uint64_t kChunkBytes = 1 << 20;
constexpr double kStallSeconds = 15;
constexpr double kStep = 0.01;
constexpr double kTrial = std::chrono::duration<double>(Download::kAhead).count();
constexpr double kLongest = 20000;

TimePoint atSeconds(double seconds) {
  return TimePoint{} + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

class Simulation {
 public:
  Simulation(std::uint64_t chunks, std::vector<SimulatedSource> sources, std::uint64_t seed)
      : download_(chunks * kChunkBytes, kChunkBytes, sources.size() == 1 || sources[1].joins > 0),
        sources_(std::move(sources)),
        random_(seed) {}

  Outcome run() {
    Outcome outcome;
    double now = 0;
    while (!download_.complete() && now < kLongest && anybodyLeft()) {
      for (std::uint32_t i = 0; i < sources_.size(); ++i) step(i, now, outcome);
      download_.map().check();
      now += kStep;
    }
    outcome.seconds = now;
    outcome.complete = download_.complete();
    outcome.wastedBytes = download_.wastedBytes();
    return outcome;
  }

 private:
  bool anybodyLeft() const {
    return std::any_of(sources_.begin(), sources_.end(), [](const auto& s) { return !s.gone; });
  }
  void leave(std::uint32_t index) {
    sources_[index].gone = true;
    download_.leave(SourceId{index});
  }

  void step(std::uint32_t index, double now, Outcome& outcome) {
    SimulatedSource& source = sources_[index];
    const SourceId id{index};
    if (source.gone || now < source.joins) return;
    if (!source.joined) {
      source.joined = true;
      source.freeAt = now;
      download_.join(id, source.part.value_or(ChunkSet::all(download_.map().chunks())));
    }
    const bool stopped = source.stops && now >= *source.stops;
    if (stopped && (source.dies || now >= *source.stops + kStallSeconds)) return leave(index);
    std::size_t arrived = 0;
    while (!stopped && arrived < source.sending.size() && source.sending[arrived].first <= now) {
      const bool right = std::uniform_real_distribution<>()(random_) >= source.liesWith;
      const ChunkIndex delivered{source.sending[arrived++].second};
      const Verdict verdict = download_.deliver(id, delivered, right, atSeconds(now));
      REQUIRE(verdict != Verdict::unasked);
      REQUIRE((verdict == Verdict::wrong) == !right);
      if (verdict == Verdict::wrong) {
        outcome.askedOfLiars += download_.next(id, atSeconds(now)).has_value();
        return leave(index);
      }
    }
    source.sending.erase(source.sending.begin(),
                         source.sending.begin() + static_cast<std::ptrdiff_t>(arrived));
    if (!stopped && source.cut && source.cut->first <= now) {
      download_.release(id, source.cut->second);
      source.cut.reset();
    }
    while (const auto range = download_.next(id, atSeconds(now))) {
      REQUIRE(range->count >= 1);
      source.freeAt = std::max(source.freeAt, now + source.latency / 2);
      const double begins = source.freeAt;
      for (std::uint32_t i = 0; i < range->count; ++i) {
        const ChunkIndex chunk{number(range->first) + i};
        if (range->trial && i > 0 && source.freeAt > begins + kTrial) {
          source.cut = {source.freeAt + source.latency / 2, {chunk, range->count - i}};
          break;
        }
        source.freeAt +=
            source.trickles && source.freeAt >= *source.trickles ? 1.9 : 1 / source.chunksPerSecond;
        source.sending.emplace_back(source.freeAt + source.latency / 2, number(chunk));
      }
      REQUIRE(download_.map().askedOf(id).size() <= limits::kAskedPerSource);
    }
  }

  Download download_;
  std::vector<SimulatedSource> sources_;
  std::mt19937_64 random_;
};

SimulatedSource good(double chunksPerSecond, double latency = 0) {
  SimulatedSource source;
  source.chunksPerSecond = chunksPerSecond;
  source.latency = latency;
  return source;
}

}  // namespace

TEST_CASE("a file of no chunks is complete before a source joins") {
  const Download download(0, kChunkBytes, false);
  CHECK(download.complete());
  CHECK(download.heldBytes() == 0);
}

TEST_CASE("a short last chunk counts with its real size") {
  Download download(2 * kChunkBytes + 5, kChunkBytes, false);
  CHECK(download.bytesOf(chunk(2)) == 5);
  download.hold(chunk(2));
  CHECK(download.heldBytes() == 5);
  download.hold(chunk(0));
  CHECK(download.heldBytes() == kChunkBytes + 5);
}

TEST_CASE("neighbouring chunks are asked for with one request") {
  Download download(10 * kChunkBytes, kChunkBytes, false);
  download.joinWithAll(kAlice);
  const auto first = download.next(kAlice, at(0s));
  REQUIRE(first);
  CHECK(first->first == chunk(0));
  CHECK(first->count == 4);
  CHECK(download.next(kAlice, at(0s)) == std::nullopt);
}

TEST_CASE("only the only source is put to a trial") {
  constexpr std::uint32_t kTried = Download::kTrialBytes / kChunkBytes;
  Download download(1000 * kChunkBytes, kChunkBytes, true);
  download.joinWithAll(kAlice);
  CHECK(download.next(kAlice, at(0s)) == ChunkRange{chunk(0), kTried, true});
  download.joinWithAll(kBob);
  CHECK(download.next(kBob, at(0s)) == ChunkRange{chunk(kTried), 4, false});

  // Ten chunks a second, so six of them in half a second: the rest comes back.
  CHECK(download.deliver(kAlice, chunk(0), true, at(100ms)) == Verdict::fresh);
  CHECK(download.next(kAlice, at(100ms)) == std::nullopt);
  CHECK(download.deliver(kAlice, chunk(1), true, at(200ms)) == Verdict::fresh);
  CHECK(download.deliver(kAlice, chunk(2), true, at(300ms)) == Verdict::fresh);
  CHECK(download.next(kAlice, at(400ms)) == ChunkRange{chunk(kTried + 4), 3, false});
  download.release(kAlice, {chunk(6), kTried - 6});
  CHECK(download.map().askedOf(kAlice).size() == 3 + 3);
  for (std::uint32_t i = 0; i < 4; ++i) {
    CHECK(download.deliver(kBob, chunk(kTried + i), true, at(400ms)) == Verdict::fresh);
  }
  CHECK(download.next(kBob, at(400ms)) == ChunkRange{chunk(6), 2, false});
  download.map().check();
}

TEST_CASE("the end game takes over the chunks that were to come last") {
  Download download(8 * kChunkBytes, kChunkBytes, false);
  download.joinWithAll(kBob);
  REQUIRE(download.next(kBob, at(0s)) == ChunkRange{chunk(0), 4});
  download.joinWithAll(kAlice);
  REQUIRE(download.next(kAlice, at(0s)) == ChunkRange{chunk(4), 4});
  download.leave(kBob);
  REQUIRE(download.deliver(kAlice, chunk(4), true, at(100ms)) == Verdict::fresh);
  REQUIRE(download.deliver(kAlice, chunk(5), true, at(200ms)) == Verdict::fresh);
  while (download.next(kAlice, at(200ms))) {
  }
  REQUIRE(download.map().missing() == 0);
  download.joinWithAll(kCarol);
  const auto taken = download.next(kCarol, at(1200ms));
  REQUIRE(taken);
  CHECK(number(taken->first) + taken->count == 4);
  CHECK(taken->count < 4);
}

TEST_CASE("the end game takes over from one source at a time, where it wins with its own latency") {
  Download download(12 * kChunkBytes, kChunkBytes, false);
  for (const auto source : {kAlice, kBob, kCarol}) {
    download.joinWithAll(source);
    REQUIRE(download.next(source, at(0s)));
  }
  REQUIRE(download.deliver(kCarol, chunk(8), true, at(200ms)) == Verdict::fresh);
  for (const int index : {9, 10, 11}) {
    const auto arrived = at(std::chrono::milliseconds(200 + (index - 8) * 10));
    REQUIRE(download.deliver(kCarol, chunk(index), true, arrived) == Verdict::fresh);
  }
  // Bob is silent, and Carol sends 50 a second, but answers after 200 ms.
  CHECK(download.next(kCarol, at(250ms)) == std::nullopt);
  REQUIRE(download.deliver(kAlice, chunk(0), true, at(250ms)) == Verdict::fresh);
  REQUIRE(download.deliver(kAlice, chunk(1), true, at(500ms)) == Verdict::fresh);
  CHECK(download.next(kCarol, at(600ms)) == ChunkRange{chunk(4), 4});
}

TEST_CASE("equal sources share the work and end together, with little wasted") {
  const auto outcome = Simulation(1000, {good(12), good(12), good(12), good(12)}, 1).run();
  REQUIRE(outcome.complete);
  CHECK(outcome.seconds < 1000.0 / 48 * 1.05);
  CHECK(outcome.wastedBytes <= 1000 * kChunkBytes / 50);
}

TEST_CASE("a slow source costs next to nothing over the fast ones alone") {
  const auto outcome = Simulation(1000, {good(12), good(12), good(0.2)}, 2).run();
  REQUIRE(outcome.complete);
  CHECK(outcome.seconds < 1000.0 / 24 * 1.05);
  CHECK(outcome.wastedBytes <= 1000 * kChunkBytes / 50);
}

TEST_CASE("a stalled, a lying, a dying source cost at most five percent") {
  auto bad = good(12);
  SUBCASE("stalled from the beginning") {
    bad.stops = 0;
  }
  SUBCASE("stalls in the middle") {
    bad.stops = 20;
  }
  SUBCASE("stalls near the end") {
    bad.stops = 26;
  }
  SUBCASE("lies at once") {
    bad.liesWith = 1;
  }
  SUBCASE("lies now and then") {
    bad.liesWith = 0.02;
  }
  SUBCASE("dies") {
    bad.stops = 20;
    bad.dies = true;
  }
  const auto outcome = Simulation(1000, {good(12), good(12), bad}, 3).run();
  REQUIRE(outcome.complete);
  CHECK(outcome.seconds < 1000.0 / 24 * 1.05);
  CHECK(outcome.askedOfLiars == 0);
}

TEST_CASE("a source that is far away and fast is kept busy") {
  for (const double rate : {10.0, 100.0, 1000.0}) {
    CAPTURE(rate);
    const double latency = 0.1;
    const auto one = Simulation(4096, {good(rate, latency)}, 1).run();
    REQUIRE(one.complete);
    CHECK(one.seconds < 4096 / rate * 1.01 + latency + 0.05);
    // Nothing is known of several, so they are asked for little at first.
    const auto two = Simulation(4096, {good(rate, latency), good(rate, latency)}, 1).run();
    REQUIRE(two.complete);
    CHECK(two.seconds < 4096 / rate / 2 * 1.05 + latency * 5);
    CHECK(two.wastedBytes <= 4096 * kChunkBytes / 50);
  }
}

TEST_CASE(
    "a source that is found later takes chunks over from a slow one that was asked for many") {
  for (const double rate : {0.5, 2.0, 5.0}) {
    CAPTURE(rate);
    auto found = good(100, 0.1);
    found.joins = 1;
    const auto outcome = Simulation(200, {good(rate), found}, 1).run();
    REQUIRE(outcome.complete);
    CHECK(outcome.seconds < 1 + 2 + 1);
    CHECK(outcome.wastedBytes <= 200 * kChunkBytes / 50);
  }
}

TEST_CASE("a slow source that is found later costs a fast one next to nothing") {
  std::vector<SimulatedSource> sources{good(100, 0.1)};
  for (int i = 0; i < 7; ++i) {
    sources.push_back(good(1, 0.1));
    sources.back().joins = 1;
  }
  const auto outcome = Simulation(1000, sources, 1).run();
  REQUIRE(outcome.complete);
  CHECK(outcome.seconds < 1000 / 100.0 * 1.05 + 0.1);
  CHECK(outcome.wastedBytes <= 1000 * kChunkBytes / 50);
}

TEST_CASE(
    "a far and fast source that stalls with much asked of it costs its share, and little more") {
  auto bad = good(1000, 0.1);
  bad.stops = 1;
  SUBCASE("stalls") {}
  SUBCASE("dies") {
    bad.dies = true;
  }
  const auto outcome = Simulation(4096, {good(1000, 0.1), good(1000, 0.1), bad}, 1).run();
  REQUIRE(outcome.complete);
  CHECK(outcome.seconds < 4096 / 2000.0 + 1);
  CHECK(outcome.wastedBytes <= 4096 * kChunkBytes / 50);
}

TEST_CASE("two sources that trickle do not keep their chunks from a good one") {
  for (int tenths = 10; tenths <= 20; ++tenths) {
    CAPTURE(tenths);
    std::vector<SimulatedSource> sources{good(1000), good(1000), good(1000)};
    sources[0].trickles = 1;
    sources[1].trickles = tenths / 10.0;
    const auto outcome = Simulation(4096, sources, 1).run();
    REQUIRE(outcome.complete);
    CHECK(outcome.seconds < 4096 / 1000.0 + 6);
  }
}

TEST_CASE("several sources that stall at the same time do not add up") {
  auto stalled = good(12);
  stalled.stops = 15;
  const auto outcome = Simulation(1000, {good(12), stalled, good(12), stalled, stalled}, 4).run();
  REQUIRE(outcome.complete);
  CHECK(outcome.seconds < 15 + (1000 - 15 * 60) / 24.0 + 3);
}

TEST_CASE("whatever sources do, a download completes exactly if an honest one stays") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto pick = [&](double from, double to) {
      return std::uniform_real_distribution<>(from, to)(random);
    };
    const auto chunks = static_cast<std::uint64_t>(pick(1, 150));
    std::vector<SimulatedSource> sources;
    const int count = static_cast<int>(pick(1, 8));
    for (int i = 0; i < count; ++i) {
      auto source = good(pick(0.5, 60));
      source.joins = pick(0, 1) < 0.3 ? pick(0, 5) : 0;
      if (pick(0, 1) < 0.4) source.stops = source.joins + pick(0, 5);
      source.dies = pick(0, 1) < 0.5;
      if (pick(0, 1) < 0.3) source.liesWith = pick(0, 0.3);
      if (pick(0, 1) < 0.3) {
        source.part.emplace(chunks);
        for (std::uint64_t c = 0; c < chunks; ++c) {
          if (pick(0, 1) < 0.5) source.part->insert(chunk(c));
        }
      }
      sources.push_back(source);
    }
    const bool honest = std::any_of(sources.begin(), sources.end(), [](const auto& s) {
      return !s.stops && s.liesWith == 0 && !s.part;
    });
    if (!honest) {
      // Those with parts never leave by themselves: bound the run by letting them die.
      for (auto& source : sources) {
        if (!source.stops) source.stops = 60;
      }
    }
    const auto outcome = Simulation(chunks, sources, seed).run();
    if (honest) CHECK(outcome.complete);
    CHECK(outcome.askedOfLiars == 0);
  }
}
