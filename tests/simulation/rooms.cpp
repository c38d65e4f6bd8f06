// Seeded schedules of rooms (tests/support/room_network.h): simulation_rooms [--first SEED]
// [--count N] [--trace] [--stop-at-first] [--plain | --cuts] [--list FILE]
//
//   --plain  no cuts, and one metaserver fails after the other: nothing has another number later,
//            and all are shown the same order
//   --cuts   cuts, and several metaservers fail at once
//   --list   each line of the file is a run with options of its own; `#` begins a comment
// Without --plain and --cuts, each is half of the seeds. Prints each seed that fails, with
// the command that replays it, and `cases: N passed, M failed`.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/simulation/run_list.h"
#include "tests/support/room_network.h"

using namespace espalier;
using namespace std::chrono_literals;
using simulation::Words;
using test::RoomNetwork;

namespace {

enum class Cuts { some, never, always };

struct Totals {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t shown = 0;
  std::uint64_t apart = 0;
  std::uint64_t missing = 0;
};

class Schedule {
 public:
  Schedule(std::uint64_t seed, Cuts cuts, bool isTraced)
      : random_(seed), settings_(settingsOf(seed, cuts, isTraced)), network_(settings_) {}

  RoomNetwork& play() {
    network_.run(std::chrono::seconds(settings_.hasCuts ? below(5) : 6));
    const auto steps = 20 + below(120);
    for (std::uint64_t i = 0; i < steps && network_.failure().empty(); ++i) {
      const auto what = below(100);
      if (what < 62) {
        talk();
      } else if (what < 74) {
        walk();
      } else if (what < 88) {
        trouble();
      } else {
        network_.run(std::chrono::milliseconds(below(4000)));
      }
      if (oneIn(2)) network_.run(std::chrono::milliseconds(below(below(4) == 0 ? 1500 : 60)));
    }
    network_.rest();
    network_.checkAtRest();
    return network_;
  }

  std::string text() const {
    return fmt::format("{} metaservers, {} peers{}", settings_.servers, settings_.peers,
                       settings_.hasCuts ? ", cuts" : "");
  }

 private:
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool oneIn(std::uint64_t n) { return below(n) == 0; }

  RoomNetwork::Settings settingsOf(std::uint64_t seed, Cuts cuts, bool isTraced) {
    RoomNetwork::Settings settings;
    settings.seed = seed * 7919 + 1;
    settings.isTraced = isTraced;
    settings.servers = 1 + below(5);
    settings.peers = 2 + below(oneIn(4) ? 19 : 6);
    settings.hasCuts = cuts == Cuts::always || (cuts == Cuts::some && oneIn(2));
    if (oneIn(3)) settings.messagesMost = 3 + below(12);
    if (oneIn(4)) settings.lobbyOpensAt = static_cast<std::uint32_t>(1 + below(settings.peers));
    const auto rooms = below(4);
    for (std::uint64_t i = 0; i < rooms; ++i) {
      const auto opensAt = oneIn(2) ? 1 + below(settings.peers) : 0;
      settings.rooms.emplace_back(fmt::format("r{}", i + 1), static_cast<std::uint32_t>(opensAt));
    }
    return settings;
  }

  std::string someRoom() {
    if (settings_.rooms.empty() || oneIn(3)) return "lobby";
    return settings_.rooms[below(settings_.rooms.size())].first;
  }
  std::size_t somePeer() { return below(settings_.peers); }

  void talk() {
    const auto peer = somePeer();
    const auto room = someRoom();
    const auto count = oneIn(5) ? 1 + below(15) : 1;
    for (std::uint64_t i = 0; i < count; ++i) network_.say(peer, room);
  }
  void walk() {
    const auto peer = somePeer();
    switch (below(6)) {
      case 0:
        return network_.move(peer);
      case 1:
        return network_.isPeerUp(peer) ? network_.endPeer(peer) : network_.startPeer(peer);
      case 2:
        if (!settings_.rooms.empty())
          network_.part(peer, someRoom() == "lobby" ? "r1" : someRoom());
        return;
      default:
        if (settings_.rooms.empty()) return;
        const auto& [name, opensAt] = settings_.rooms[below(settings_.rooms.size())];
        network_.join(peer, name, opensAt);
    }
  }
  void trouble() {
    const auto server = below(settings_.servers);
    if (!network_.isUp(server)) return network_.start(server);
    if (settings_.hasCuts && oneIn(2) && settings_.servers > 1) return cut();
    // The disk of one of several, when all is on all others.
    if (oneIn(6) && settings_.servers > 1 && network_.isCalm()) {
      network_.kill(server);
      return network_.start(server, true);
    }
    // Without cuts: one after the other, so that some disk with everything is always reached.
    if (!settings_.hasCuts && !network_.isCalm()) {
      for (std::size_t one = 0; one < settings_.servers; ++one) {
        if (!network_.isUp(one)) return network_.start(one);
      }
      return;
    }
    network_.kill(server);
    if (oneIn(3)) network_.start(server);
  }
  void cut() {
    switch (below(4)) {
      case 0:
        for (std::size_t a = 0; a < settings_.servers; ++a) {
          for (std::size_t b = 0; b < settings_.servers; ++b) network_.cut(a, b, false);
        }
        return;
      case 1:
        return network_.cut(below(settings_.servers), below(settings_.servers), true);
      default:
        const auto sides = random_();
        for (std::size_t a = 0; a < settings_.servers; ++a) {
          for (std::size_t b = 0; b < settings_.servers; ++b) {
            network_.cut(a, b, ((sides >> a) & 1) != ((sides >> b) & 1));
          }
        }
    }
  }

  Random random_;
  RoomNetwork::Settings settings_;
  RoomNetwork network_;
};

struct Run {
  std::uint64_t first = 1;
  std::uint64_t count = 100;
  bool isTraced = false;
  bool stopsAtFirst = false;
  Cuts cuts = Cuts::some;
  std::string kind;
  std::string list;  // a file with runs, which replaces this run
};

std::optional<Run> parse(const Words& words) {
  Run run;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto value = [&] { return i + 1 < words.size() ? words[++i] : std::string(); };
    const auto number = [&] { return std::strtoull(value().c_str(), nullptr, 10); };
    if (words[i] == "--first") {
      run.first = number();
    } else if (words[i] == "--count") {
      run.count = number();
    } else if (words[i] == "--trace") {
      run.isTraced = true;
    } else if (words[i] == "--stop-at-first") {
      run.stopsAtFirst = true;
    } else if (words[i] == "--plain" || words[i] == "--cuts") {
      run.cuts = words[i] == "--plain" ? Cuts::never : Cuts::always;
      run.kind = " " + words[i];
    } else if (words[i] == "--list") {
      run.list = value();
    } else {
      std::fprintf(stderr, "unknown: %s\n", words[i].c_str());
      return std::nullopt;
    }
  }
  return run;
}

void play(const Run& run, const char* program, Totals& totals) {
  for (auto seed = run.first; seed < run.first + run.count; ++seed) {
    Schedule schedule(seed, run.cuts, run.isTraced);
    const auto& network = schedule.play();
    totals.acknowledged += network.acknowledgedCount();
    totals.shown += network.shownCount();
    totals.missing += network.missingCount();
    if (network.failure().empty()) {
      ++totals.passed;
      totals.apart += network.apartCount();
      continue;
    }
    ++totals.failed;
    std::printf("%s\n", fmt::format("seed {} ({}): {}\n  replay: {}{} --first {} --count 1", seed,
                                    schedule.text(), network.failure(), program, run.kind, seed)
                            .c_str());
    if (run.stopsAtFirst) break;
  }
}

// False if the list has a syntax error, or no runs.
bool playList(const std::string& path, const char* program, Totals& totals) {
  const auto runs = simulation::readRuns(path);
  for (const Words& words : runs) {
    const auto run = parse(words);
    if (!run || !run->list.empty()) return false;
    play(*run, program, totals);
  }
  return !runs.empty();
}

}  // namespace

int main(int argc, char** argv) {
  const auto run = parse(Words(argv + 1, argv + argc));
  if (!run) return 64;
  Totals totals;
  if (run->list.empty()) {
    play(*run, argv[0], totals);
  } else if (!playList(run->list, argv[0], totals)) {
    std::fprintf(stderr, "%s is not a list of runs\n", run->list.c_str());
    return 64;
  }
  std::printf("%llu acknowledged, %llu shown, %llu apart, %llu missing\n",
              static_cast<unsigned long long>(totals.acknowledged),
              static_cast<unsigned long long>(totals.shown),
              static_cast<unsigned long long>(totals.apart),
              static_cast<unsigned long long>(totals.missing));
  std::printf("cases: %llu passed, %llu failed\n", static_cast<unsigned long long>(totals.passed),
              static_cast<unsigned long long>(totals.failed));
  return totals.failed == 0 ? 0 : 1;
}
