// The copy of the master's directory at another metaserver.
#include "metaserver/core/cluster/replica.h"

#include <doctest/doctest.h>

#include <functional>

#include "common/base/limits.h"
#include "tests/unit/directory_fixture.h"
#include "tests/unit/registry_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;
using State = Replica::State;

namespace {

struct Follower {
  Random random{1};
  Replica replica{random};
  Replica::Effects fx;
  TimePoint now{1h};

  // The pull that the message caused, if one.
  std::optional<wire::Pull> give(wire::DirectoryMessage message) {
    fx = {};
    replica.received(std::move(message), now, fx);
    REQUIRE(fx.pulls.size() <= 1);
    return fx.pulls.empty() ? std::nullopt : std::optional(fx.pulls[0]);
  }
  std::optional<wire::Pull> pass(Duration time) {
    now += time;
    fx = {};
    replica.tick(now, fx);
    REQUIRE(fx.pulls.size() <= 1);
    return fx.pulls.empty() ? std::nullopt : std::optional(fx.pulls[0]);
  }
  // Hands in the answers until the replica pulls no more. How many pulls that took.
  int follow(const Publication& publication) {
    auto pull = give(publication.position());
    int pulls = 0;
    for (; pull; ++pulls) {
      REQUIRE(pulls < 100);
      const wire::Pull asked = *std::exchange(pull, std::nullopt);
      for (auto& message : publication.answer(asked)) {
        if (const auto next = give(std::move(message))) pull = next;
      }
    }
    return pulls;
  }
  Ids ids() const { return idsOf(replica.copy()); }
};

Publication publicationOf(std::uint64_t members) {
  Publication publication(kFirstEpoch);
  MemberChanges all;
  for (std::uint64_t order = 1; order <= members; ++order) all.rows.push_back(row(order));
  publication.publish(all);
  return publication;
}

Publication largePublicationOf(std::uint64_t members) {
  Publication publication(kFirstEpoch);
  MemberChanges all;
  for (std::uint64_t order = 1; order <= members; ++order) all.rows.push_back(largeRow(order));
  publication.publish(all);
  return publication;
}

// Puts a changed row in its place.
template <typename Change>
void change(SharedRow& row, Change how) {
  MemberRow changed = *row;
  how(changed);
  row = std::move(changed);
}

// The only delta of a change.
wire::Delta deltaOf(Publication& publication, MemberChanges changes) {
  auto deltas = publication.publish(std::move(changes));
  REQUIRE(deltas.size() == 1);
  return deltas[0];
}

}  // namespace

TEST_CASE("a replica is empty, and asks for nothing, until a master is heard") {
  Follower follower;
  CHECK(follower.replica.state() == State::empty);
  CHECK(follower.replica.deadline() == kNever);
  CHECK_FALSE(follower.pass(1h));
}

TEST_CASE("a replica pulls a snapshot, and is current when the last page has come") {
  const auto publication = publicationOf(3);
  Follower follower;
  const auto pull = follower.give(publication.position());
  REQUIRE(pull);
  CHECK(*pull == wire::Pull{wire::DirectoryVersion{kFirstEpoch, 0}, kNoOrder, 1});
  const auto answer = publication.answer(*pull);
  REQUIRE(answer.size() == 2);
  follower.give(answer[0]);
  CHECK(follower.replica.state() == State::current);
  CHECK(follower.replica.version() == wire::DirectoryVersion{kFirstEpoch, 1});
  CHECK(follower.ids() == Ids{"s1", "s2", "s3"});
  CHECK_FALSE(follower.give(answer[1]));
  CHECK(follower.replica.deadline() == kNever);
}

TEST_CASE("a snapshot of several answers is pulled answer by answer") {
  const auto publication = largePublicationOf(200);
  Follower follower;
  CHECK(follower.follow(publication) == 3);
  CHECK(follower.replica.state() == State::current);
  CHECK(follower.replica.directory().sum() == publication.directory().sum());
  CHECK(follower.replica.refusedCount() == 0);
}

TEST_CASE("deltas are applied as they come, and nothing is pulled") {
  auto publication = publicationOf(2);
  Follower follower;
  follower.follow(publication);
  CHECK_FALSE(follower.give(deltaOf(publication, put({row(3)}))));
  CHECK_FALSE(follower.give(deltaOf(publication, gone({1}))));
  CHECK(follower.ids() == Ids{"s2", "s3"});
  CHECK_FALSE(follower.give(publication.position()));
}

TEST_CASE("changes during a snapshot are applied within what it covers") {
  auto publication = largePublicationOf(25);
  Follower follower;
  const auto pull = follower.give(publication.position());
  const auto answer = publication.answer(*pull);
  REQUIRE(answer.size() == 4);
  follower.give(answer[0]);  // up to order 10
  CHECK(follower.replica.state() == State::filling);
  CHECK(follower.replica.copy().rows().empty());
  // The rest of the answer is lost. Meanwhile members within and beyond the page come and go.
  follower.give(deltaOf(publication, gone({2, 20})));
  follower.give(deltaOf(publication, put({row(5), row(22), row(30)})));
  follower.give(deltaOf(publication, put({row(31, "s2"), row(20, "back")})));
  const auto again = follower.pass(limits::kPullTimeout + limits::kPullAgainLeast);
  const auto later = again ? again : follower.pass(limits::kPullAgainLeast);
  REQUIRE(later);
  CHECK(later->covered == JoinOrder{10});
  CHECK(later->have == wire::DirectoryVersion{kFirstEpoch, publication.sequence()});
  for (auto& message : publication.answer(*later)) follower.give(std::move(message));
  CHECK(follower.replica.state() == State::current);
  CHECK(follower.replica.copy().rows() == publication.directory().copy().rows());
  CHECK(follower.replica.refusedCount() == 0);
}

TEST_CASE("a page of another version than the replica's is ignored, and the rest pulled again") {
  auto publication = largePublicationOf(25);
  Follower follower;
  const auto pull = follower.give(publication.position());
  const auto answer = publication.answer(*pull);
  follower.give(answer[0]);
  follower.give(deltaOf(publication, gone({15})));  // it overtakes the second page, which has 15
  follower.give(answer[1]);
  follower.give(answer[2]);
  CHECK(follower.replica.state() == State::filling);
  const auto again = follower.give(answer[3]);
  REQUIRE(again);
  CHECK(again->covered == JoinOrder{10});
  for (auto& message : publication.answer(*again)) follower.give(std::move(message));
  CHECK(follower.replica.copy().rows() == publication.directory().copy().rows());
}

TEST_CASE("a gap is pulled at once, and only once while the answer is under way") {
  auto publication = publicationOf(2);
  Follower follower;
  follower.follow(publication);
  deltaOf(publication, put({row(3)}));  // lost
  const auto pull = follower.give(deltaOf(publication, put({row(4)})));
  REQUIRE(pull);
  CHECK(pull->have == wire::DirectoryVersion{kFirstEpoch, 1});
  CHECK(pull->covered == wire::kAllOrders);
  CHECK(follower.ids() == Ids{"s1", "s2"});
  CHECK_FALSE(follower.give(deltaOf(publication, put({row(5)}))));
  for (auto& message : publication.answer(*pull)) CHECK_FALSE(follower.give(std::move(message)));
  CHECK(follower.ids() == Ids{"s1", "s2", "s3", "s4", "s5"});
}

TEST_CASE("the loss of the latest delta is noticed by the next position") {
  auto publication = publicationOf(2);
  Follower follower;
  follower.follow(publication);
  deltaOf(publication, put({row(3)}));  // lost
  CHECK(follower.replica.state() == State::current);
  CHECK_FALSE(follower.replica.lacks());
  CHECK(follower.follow(publication) == 1);
  CHECK(follower.ids() == Ids{"s1", "s2", "s3"});
}

TEST_CASE("a repeated delta changes nothing") {
  auto publication = publicationOf(2);
  Follower follower;
  follower.follow(publication);
  const auto delta = deltaOf(publication, gone({1}));
  follower.give(delta);
  CHECK_FALSE(follower.give(delta));
  CHECK(follower.ids() == Ids{"s2"});
  CHECK(follower.replica.refusedCount() == 0);
}

TEST_CASE("a pull without an answer is repeated with a backoff that has a bound") {
  const auto publication = publicationOf(2);
  Follower follower;
  REQUIRE(follower.give(publication.position()));
  TimePoint last = follower.now;
  Duration longest{};
  for (int pulls = 1; pulls < 12;) {
    follower.now = follower.replica.deadline();
    if (!follower.pass(0s)) continue;
    const Duration pause = follower.now - std::exchange(last, follower.now);
    CHECK(pause >= limits::kPullTimeout + limits::kPullAgainLeast / 2);
    CHECK(pause <= limits::kPullTimeout + limits::kPullAgainMost);
    longest = std::max(longest, pause);
    ++pulls;
  }
  CHECK(longest >= limits::kPullTimeout + limits::kPullAgainMost / 2);
}

TEST_CASE("a damaged delta is refused, changes nothing, and is pulled again after a pause") {
  auto publication = publicationOf(2);
  Follower follower;
  follower.follow(publication);
  const auto good = deltaOf(publication, put({row(3), row(4)}));
  using Damage = std::function<void(wire::Delta&)>;
  for (const Damage& damage : {
           Damage([](auto& delta) { delta.rows.pop_back(); }),
           Damage(
               [](auto& delta) { change(delta.rows[0], [](auto& row) { row.generation = 1; }); }),
           Damage([](auto& delta) { delta.rows[1] = row(3, "x"); }),
           Damage([](auto& delta) { delta.rows[1] = row(4, "s1"); }),
           Damage([](auto& delta) {
             change(delta.rows[1], [](auto& row) { row.contact.endpoint.port = 0; });
           }),
           Damage([](auto& delta) { delta.gone = {JoinOrder{9}}; }),
           Damage([](auto& delta) { ++delta.after.count; }),
           Damage([](auto& delta) { ++delta.after.digest.high; }),
           Damage([](auto& delta) { delta.after.newest = wire::kAllOrders; }),
       }) {
    Follower other;
    other.follow(publicationOf(2));
    auto bad = good;
    damage(bad);
    CHECK_FALSE(other.give(bad));
    CHECK(other.replica.refusedCount() == 1);
    CHECK(other.fx.notices.size() == 1);
    CHECK(other.ids() == Ids{"s1", "s2"});
    CHECK_FALSE(other.pass(limits::kPullAgainLeast / 2 - 1ms));
    const auto pull = other.pass(limits::kPullAgainLeast);
    REQUIRE(pull);
    CHECK(pull->have == wire::DirectoryVersion{kFirstEpoch, 1});
    CHECK(pull->covered == wire::kAllOrders);
    for (auto& message : publication.answer(*pull)) other.give(std::move(message));
    CHECK(other.ids() == Ids{"s1", "s2", "s3", "s4"});
    CHECK(other.replica.refusedCount() == 1);
  }
}

TEST_CASE("what is refused twice in a row makes the replica pull a snapshot") {
  auto publication = publicationOf(2);
  Follower follower;
  follower.follow(publication);
  auto bad = deltaOf(publication, put({row(3)}));
  ++bad.after.digest.low;
  follower.give(bad);
  REQUIRE(follower.pass(limits::kPullAgainLeast));
  follower.give(bad);
  CHECK(follower.replica.state() == State::empty);
  CHECK(follower.ids() == Ids{"s1", "s2"});
  const auto pull = follower.pass(limits::kPullAgainMost);
  REQUIRE(pull);
  CHECK(pull->covered == kNoOrder);
  for (auto& message : publication.answer(*pull)) follower.give(std::move(message));
  CHECK(follower.replica.state() == State::current);
  CHECK(follower.ids() == Ids{"s1", "s2", "s3"});
}

TEST_CASE("refused messages in a storm cause one notice and one pull a pause") {
  auto publication = publicationOf(2);
  Follower follower;
  follower.follow(publication);
  auto bad = deltaOf(publication, put({row(3)}));
  bad.rows.clear();
  std::size_t notices = 0;
  for (int i = 0; i < 100; ++i) {
    CHECK_FALSE(follower.give(bad));
    notices += follower.fx.notices.size();
  }
  CHECK(notices == 1);
  CHECK(follower.replica.refusedCount() == 100);
}

TEST_CASE("a damaged page is refused and pulled again, without what came before it") {
  const auto publication = largePublicationOf(25);
  using Damage = std::function<void(wire::SnapshotPage&)>;
  for (const Damage& damage : {
           Damage([](auto& page) { std::swap(page.rows[0], page.rows[1]); }),
           Damage([](auto& page) { page.rows[1] = page.rows[0]; }),
           Damage([](auto& page) {
             change(page.rows[1], [](auto& row) { row.contact.id = named("s1"); });
           }),
           Damage([](auto& page) {
             change(page.rows[0], [](auto& row) { row.contact.order = JoinOrder{10}; });
           }),
           Damage([](auto& page) { page.upTo = JoinOrder{19}; }),
           Damage([](auto& page) { page.upTo = page.after; }),
           Damage([](auto& page) {
             change(page.rows[3], [](auto& row) { row.contact.endpoint.port = 0; });
           }),
       }) {
    Follower follower;
    const auto pull = follower.give(publication.position());
    auto answer = publication.answer(*pull);
    follower.give(answer[0]);
    damage(std::get<wire::SnapshotPage>(answer[1]));
    follower.give(answer[1]);
    CHECK(follower.replica.refusedCount() == 1);
    follower.give(answer[2]);
    const auto again = follower.pass(limits::kPullAgainLeast);
    REQUIRE(again);
    CHECK(again->covered == JoinOrder{10});
    for (auto& message : publication.answer(*again)) follower.give(std::move(message));
    CHECK(follower.replica.state() == State::current);
    CHECK(follower.replica.copy().rows() == publication.directory().copy().rows());
  }
}

TEST_CASE("a snapshot with a wrong count or digest is never shown, and is pulled as a whole") {
  const auto publication = largePublicationOf(25);
  using Damage = std::function<void(wire::SnapshotPage&)>;
  for (const Damage& damage : {
           Damage([](auto& page) { page.rows.pop_back(); }),
           Damage([](auto& page) { ++page.of.count; }),
           Damage([](auto& page) { ++page.of.digest.low; }),
           Damage([](auto& page) { page.of.newest = wire::kAllOrders; }),
       }) {
    Follower follower;
    const auto pull = follower.give(publication.position());
    auto answer = publication.answer(*pull);
    damage(std::get<wire::SnapshotPage>(answer[2]));
    for (auto& message : answer) follower.give(std::move(message));
    CHECK(follower.replica.refusedCount() == 1);
    CHECK(follower.ids().empty());
    CHECK(follower.replica.state() == State::empty);
    const auto again = follower.pass(limits::kPullAgainLeast);
    REQUIRE(again);
    CHECK(again->covered == kNoOrder);
    for (auto& message : publication.answer(*again)) follower.give(std::move(message));
    CHECK(follower.replica.state() == State::current);
  }
}

TEST_CASE("a position that contradicts what the replica has makes it pull a snapshot") {
  const auto publication = publicationOf(2);
  Follower follower;
  follower.follow(publication);
  auto other = publication.position();
  ++other.of.digest.low;
  follower.give(other);
  CHECK(follower.replica.refusedCount() == 1);
  CHECK(follower.ids() == Ids{"s1", "s2"});
  const auto pull = follower.pass(limits::kPullAgainLeast);
  REQUIRE(pull);
  CHECK(pull->covered == kNoOrder);
}

TEST_CASE("with a new epoch the old directory is read until the new one is whole") {
  const auto old = publicationOf(2);
  auto next = Publication(kSecondEpoch);
  MemberChanges all;
  for (std::uint64_t order = 1; order <= 25; ++order) all.rows.push_back(largeRow(order));
  next.publish(all);
  Follower follower;
  follower.follow(old);
  const auto pull = follower.give(next.position());
  REQUIRE(pull);
  CHECK(pull->have == wire::DirectoryVersion{kSecondEpoch, 0});
  const auto answer = next.answer(*pull);
  follower.give(answer[0]);
  CHECK(follower.replica.state() == State::filling);
  CHECK(follower.replica.version() == wire::DirectoryVersion{kFirstEpoch, 1});
  CHECK(follower.ids() == Ids{"s1", "s2"});
  follower.give(answer[1]);
  follower.give(answer[2]);
  CHECK(follower.replica.version() == wire::DirectoryVersion{kSecondEpoch, 3});
  CHECK(follower.ids().size() == 25);
}

TEST_CASE("messages of an older epoch are refused, whatever they say") {
  auto old = publicationOf(2);
  Follower follower;
  follower.follow(old);
  Publication next(kSecondEpoch, old.directory());
  CHECK(follower.follow(next) == 1);
  CHECK_FALSE(follower.give(deltaOf(old, gone({1}))));
  CHECK_FALSE(follower.give(old.position()));
  CHECK(follower.ids() == Ids{"s1", "s2"});
  CHECK(follower.replica.version() == wire::DirectoryVersion{kSecondEpoch, 0});
  CHECK(follower.replica.epoch() == kSecondEpoch);
}

TEST_CASE("pages of an earlier answer do not make a snapshot begin again") {
  const auto publication = largePublicationOf(200);
  Follower follower;
  const auto pull = follower.give(publication.position());
  const auto answer = publication.answer(*pull);
  std::optional<wire::Pull> next;
  for (const auto& message : answer) {
    if (const auto one = follower.give(message)) next = one;
  }
  REQUIRE(next);
  CHECK(next->covered == JoinOrder{80});
  follower.give(answer[0]);
  follower.give(answer[1]);
  for (auto& message : publication.answer(*next)) {
    if (const auto one = follower.give(std::move(message))) next = one;
  }
  CHECK(next->covered == JoinOrder{160});
}

TEST_CASE("a page that contradicts what was filled makes the replica begin again") {
  auto publication = largePublicationOf(25);
  Follower follower;
  const auto pull = follower.give(publication.position());
  const auto answer = publication.answer(*pull);
  follower.give(answer[0]);
  auto damaged = deltaOf(publication, gone({2}));
  damaged.gone.clear();  // not noticed yet: a part of a directory has no digest
  follower.give(damaged);
  follower.give(deltaOf(publication, put({row(30, "s2")})));
  auto again = follower.give(answer[3]);
  REQUIRE(again);
  for (int refused = 1; refused <= 2; ++refused) {
    CHECK(again->covered == JoinOrder{10 * static_cast<std::uint64_t>(refused)});
    for (auto& message : publication.answer(*again)) follower.give(std::move(message));
    CHECK(follower.replica.refusedCount() == static_cast<std::uint64_t>(refused));
    follower.give(deltaOf(publication, put({row(40 + static_cast<std::uint64_t>(refused))})));
    again = follower.pass(limits::kPullAgainMost);
    REQUIRE(again);
  }
  CHECK(again->covered == kNoOrder);
  for (auto& message : publication.answer(*again)) follower.give(std::move(message));
  CHECK(follower.replica.copy().rows() == publication.directory().copy().rows());
}

TEST_CASE("an answer of which nothing fits is followed by a pause, even while deltas come") {
  auto publication = largePublicationOf(25);
  Follower follower;
  const auto pull = follower.give(publication.position());
  const auto answer = publication.answer(*pull);
  follower.give(answer[0]);
  auto again = follower.give(answer[3]);
  REQUIRE(again);
  const auto late = publication.answer(*again);
  follower.give(deltaOf(publication, put({row(5)})));
  for (const auto& message : late) CHECK_FALSE(follower.give(message));
  CHECK(follower.replica.deadline() >= follower.now + limits::kPullAgainLeast / 2);
  CHECK(follower.pass(limits::kPullAgainLeast));
}

TEST_CASE("a replica answers as the registry does") {
  Metaserver metaserver;
  Publication publication(kFirstEpoch);
  Follower follower;
  const auto update = [&] {
    for (bool more = true; more;) {
      auto changes = metaserver.registry.takeChanges(3);
      more = changes.more;
      for (auto& delta : publication.publish(std::move(changes))) follower.give(std::move(delta));
    }
  };
  const auto isSame = [&] {
    bool more = false;
    bool moreThere = false;
    const auto entries = metaserver.registry.entries(JoinOrder{4}, 1500, moreThere);
    const auto lines = follower.replica.copy().lines();
    std::string topo;
    for (const auto& line : lines) {
      topo += line.id.text() + ":";
      for (const auto& neighbour : line.neighbours) topo += " " + neighbour.text();
      topo += "\n";
    }
    return follower.replica.copy().entries(JoinOrder{4}, 1500, more) == entries && more &&
           moreThere && topo == metaserver.topo() &&
           follower.replica.directory().count() == metaserver.registry.members().count &&
           follower.replica.directory().newest() == metaserver.registry.members().newest;
  };
  follower.follow(publication);
  for (int number = 1; number <= 20; ++number) metaserver.joinAndReport(number);
  update();
  CHECK(isSame());
  metaserver.say(1, wire::Quit());
  metaserver.say(7, wire::Quit());
  update();
  CHECK(isSame());
  CHECK(follower.replica.copy().find(named("s7")) == nullptr);
  CHECK(follower.replica.copy().find(named("s8"))->contact.order == JoinOrder{8});
}

TEST_CASE("a sequence that a damaged message made up is forgotten with the next answer") {
  auto publication = publicationOf(2);
  Follower follower;
  follower.follow(publication);
  auto bad = deltaOf(publication, put({row(3)}));
  bad.after.version.sequence = 1'000'000;
  const auto pull = follower.give(bad);
  REQUIRE(pull);
  for (auto& message : publication.answer(*pull)) CHECK_FALSE(follower.give(std::move(message)));
  CHECK_FALSE(follower.replica.lacks());
  CHECK(follower.replica.deadline() == kNever);
}

TEST_CASE("a metaserver that was the master follows the next one with what it had") {
  auto publication = publicationOf(2);
  Random random{1};
  Replica replica(random, publication.directory(), wire::DirectoryVersion{kFirstEpoch, 1});
  Replica::Effects fx;
  CHECK(replica.state() == State::current);
  replica.received(deltaOf(publication, put({row(3)})), TimePoint{1h}, fx);
  CHECK(idsOf(replica.copy()) == Ids{"s1", "s2", "s3"});
  CHECK(fx.pulls.empty());
}

TEST_CASE("a replica counts its members, and knows the newest order also of who has left") {
  auto publication = publicationOf(3);
  publication.publish(gone({3}));
  Follower follower;
  follower.follow(publication);
  const Directory& directory = follower.replica.directory();
  CHECK(directory.count() == 2);
  CHECK(directory.newest() == JoinOrder{3});
  follower.give(deltaOf(publication, put({row(9)})));
  follower.give(deltaOf(publication, gone({9})));
  CHECK(directory.count() == 2);
  CHECK(directory.newest() == JoinOrder{9});
}
