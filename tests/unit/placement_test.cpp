// The referrals of members, and the consequences of reports and deaths.
#include "metaserver/core/placement.h"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>
#include <utility>

#include "common/base/limits.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace std::chrono_literals;

namespace {

PeerId peer(int number) {
  return PeerId::parse("s" + std::to_string(number)).value();
}

struct Given {
  explicit Given(unsigned maxLinks = 3) : seen(maxLinks), placement(seen, topo::Rule::shallowest) {}
  ~Given() {
    const auto sound = placement.check();
    CHECK_MESSAGE(sound.ok(), (sound.ok() ? "" : sound.error().message));
  }

  // Adds a newcomer; returns its referral.
  std::string join(int number) {
    const auto order = JoinOrder{static_cast<std::uint64_t>(number)};
    const auto node = seen.add({peer(number), order, {"127.0.0.1", 5000}});
    placement.report(node, std::nullopt, {}, now);
    return text(placement.referralFor(node, {}, now));
  }
  topo::NodeIndex at(int number) const { return *seen.tree().find(peer(number)); }
  // What only the child reports.
  void claim(int number, std::optional<int> parent) {
    parents[number] = parent;
    say(number);
  }
  // What both ends report.
  void report(int number, std::optional<int> parent) {
    const auto before = std::exchange(parents[number], parent);
    if (before && seen.tree().find(peer(*before))) say(*before);
    say(number);
    if (parent) say(*parent);
  }
  void say(int number) {
    std::vector<PeerId> neighbours;
    if (parents[number]) neighbours.push_back(peer(*parents[number]));
    for (const auto& [child, parent] : parents) {
      if (parent == number) neighbours.push_back(peer(child));
    }
    const auto& parent = parents[number];
    placement.report(at(number), parent ? std::optional(peer(*parent)) : std::nullopt, neighbours,
                     now);
  }
  std::string seek(int number, const wire::Seek& seek = {}) {
    return text(placement.referralFor(at(number), seek, now));
  }
  std::string parentOf(int number) const {
    const auto parent = seen.tree().parent(at(number));
    return parent ? seen.tree().member(*parent).id.text() : "nobody";
  }
  static std::string text(const wire::Referral& referral) {
    return referral.kind == wire::Referral::Kind::below ? referral.parent.id.text() : "root";
  }

  TimePoint now{1h};
  std::map<int, std::optional<int>> parents;
  SeenTree seen;
  Placement placement;
};

}  // namespace

TEST_CASE("a newcomer's slot is reserved until it reports its parent") {
  Given given;
  CHECK(given.join(1) == "root");
  CHECK(given.join(2) == "s1");
  CHECK(given.seen.isReserved(given.at(2)));
  given.report(2, 1);
  CHECK_FALSE(given.seen.isReserved(given.at(2)));
  CHECK(given.seen.reservedCount() == 0);
}

TEST_CASE("a reservation expires, and a renewed one does not expire with the first") {
  Given given;
  given.join(1);
  given.join(2);
  given.now += 9s;
  given.placement.tick(given.now);
  CHECK(given.parentOf(2) == "s1");

  CHECK(given.seek(2, {std::nullopt, peer(1)}) == "s1");  // there is no other: reserved again
  given.now += 5s;
  given.placement.tick(given.now);
  CHECK(given.parentOf(2) == "s1");

  given.now += limits::kReferralRetry + 5s;
  given.placement.tick(given.now);
  CHECK(given.seen.reservedCount() == 1);  // it has no parent: it got a referral again
}

TEST_CASE("a slot that failed is not offered again while there are others") {
  Given given;
  given.join(1);
  given.join(2);
  given.join(3);
  CHECK(given.seek(3, {std::nullopt, peer(1)}) == "s2");
  CHECK(given.seek(3, {std::nullopt, peer(2)}) ==
        "s1");  // every slot failed it: from the beginning
}

TEST_CASE("every slot is offered once, however many have failed before") {
  constexpr int kOthers = 30;
  Given given(64);
  for (int number = 1; number <= kOthers; ++number) {
    given.join(number);
    if (number > 1) given.report(number, 1);
  }
  std::string last = given.join(100);
  std::set<std::string> offered{last};
  for (int i = 1; i < kOthers; ++i) {
    last = given.seek(100, {std::nullopt, PeerId::parse(last).value()});
    CHECK_MESSAGE(offered.insert(last).second, last);
  }
  CHECK(offered.size() == kOthers);
  CHECK(given.seek(100, {std::nullopt, PeerId::parse(last).value()}) == "s1");  // again
}

TEST_CASE("two members that report a cycle take no link of others away") {
  Given given;
  for (int number = 1; number <= 4; ++number) given.join(number);
  for (int number = 2; number <= 4; ++number) given.report(number, number - 1);
  given.report(2, 4);
  CHECK(given.parentOf(3) == "s2");
  CHECK(given.parentOf(4) == "s3");
  given.placement.tick(given.now);
  CHECK(given.parentOf(3) == "s2");
  CHECK(given.parentOf(2) == "nobody");
  given.report(3, 1);  // it had moved, and the others were honest
  given.placement.tick(given.now);
  CHECK(given.parentOf(3) == "s1");
  CHECK(given.parentOf(2) == "s4");
}

TEST_CASE("what only the child reports is no link, and the parent's report makes it one") {
  Given given;
  given.join(1);
  given.join(2);
  given.join(3);
  given.claim(3, 2);
  CHECK(given.parentOf(3) == "s1");
  CHECK(given.seen.isReserved(given.at(3)));
  given.say(2);
  CHECK(given.parentOf(3) == "s2");
  CHECK_FALSE(given.seen.isReserved(given.at(3)));
}

TEST_CASE("what peers report overrides a reservation at a full parent") {
  Given given(2);
  given.join(1);
  given.join(2);
  given.join(3);
  given.report(2, 1);
  CHECK(given.parentOf(3) == "s1");
  given.join(4);
  given.report(4, 1);
  CHECK(given.parentOf(4) == "s1");
  CHECK(given.parentOf(3) == "nobody");
  CHECK_FALSE(given.seen.isReserved(given.at(3)));
}

TEST_CASE("peers that have swapped their positions are no cycle, in either order of reports") {
  Given given;
  given.join(1);
  given.join(2);
  given.join(3);
  given.report(2, 1);
  given.report(3, 2);
  given.report(2, 3);
  CHECK(given.parentOf(2) == "s1");  // s3 still names s2 its parent
  CHECK(given.parentOf(3) == "s2");
  given.report(3, 1);
  CHECK(given.parentOf(3) == "s1");
  CHECK(given.parentOf(2) == "s3");
}

TEST_CASE("a peer that reports no parent keeps its link until its parent's death is noticed") {
  Given given;
  given.join(1);
  given.join(2);
  given.join(3);
  given.report(2, 1);
  given.report(3, 2);
  given.report(3, std::nullopt);
  CHECK(given.parentOf(3) == "s2");
  CHECK(given.seek(3, {peer(2), std::nullopt}) == "s1");  // as the plan for that death says
  CHECK(given.parentOf(3) == "s2");
  const auto told = given.placement.remove(given.at(2), given.now);
  CHECK(given.parentOf(3) == "s1");
  REQUIRE(told.size() == 1);
  CHECK(Given::text(told[0].referral) == "s1");
}

TEST_CASE("an orphan that still reports its lost parent gets no referral unasked") {
  Given given;
  given.join(1);
  given.join(2);
  given.join(3);
  given.report(2, 1);
  given.report(3, 2);
  CHECK(given.placement.remove(given.at(2), given.now).empty());
  CHECK(given.parentOf(3) == "s1");
  CHECK(given.seen.isReserved(given.at(3)));
}

TEST_CASE("a peer that has been without a parent for long gets a referral, but not at once") {
  Given given;
  given.join(1);
  given.join(2);
  given.report(2, 1);
  given.report(2, std::nullopt);
  given.seen.release(given.at(2));
  CHECK(given.placement.tick(given.now).empty());
  given.now += 3s;
  const auto told = given.placement.tick(given.now);
  REQUIRE(told.size() == 1);
  CHECK(told[0].node == given.at(2));
  CHECK(Given::text(told[0].referral) == "s1");
}
