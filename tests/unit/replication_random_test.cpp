// One publication after the other, and three replicas that follow over connections which lose,
// repeat, reorder and truncate messages, while members come, go and change.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <memory>

#include "common/base/limits.h"
#include "tests/unit/directory_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

namespace {

using Rows = std::map<JoinOrder, SharedRow>;
using Absent = std::map<JoinOrder, wire::AbsentRow>;

// Independent of the digest that is tested.
std::size_t fingerprint(const Rows& rows, const Absent& absent) {
  std::string text;
  std::size_t all = rows.size() + 7919 * absent.size();
  for (const auto& [order, row] : absent) {
    text =
        fmt::format("{} {} {} {} {} {}", number(order), row.contact.id.text(),
                    row.contact.endpoint.text(), toHex(row.key.view()), row.isBefore, row.isFree);
    all = all * 1'000'003 + std::hash<std::string>()(text);
  }
  for (const auto& [order, shared] : rows) {
    const MemberRow& row = *shared;
    text = fmt::format("{} {} {} {} {} {} {} {} {}", number(order), row.contact.id.text(),
                       row.contact.endpoint.text(), toHex(row.key.view()), number(row.above),
                       row.reportedParent, static_cast<int>(row.home), row.generation,
                       row.neighbours.size());
    for (const auto& neighbour : row.neighbours) text += neighbour.text();
    all = all * 1'000'003 + std::hash<std::string>()(text);
  }
  return all;
}

struct Faults {
  double loss = 0;
  double repeat = 0;
  double reorder = 0;
  double truncate = 0;
};

using Message = std::variant<wire::DirectoryMessage, wire::Pull>;

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    publication_ = std::make_unique<Publication>(Epoch{1, ServerNumber{5}});
    for (auto& replica : replicas_) replica = std::make_unique<Replica>(random_);
    record();
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      if (chance(0.5)) change();
      if (chance(0.004)) beginFromScratch();
      if (chance(0.003)) changeMaster();
      for (auto& link : links_) {
        if (chance(0.004)) link.isCut = !link.isCut;
      }
      if (chance(0.002)) links_[2].isCut = true;
      step();
    }
  }

  void calm() {
    for (auto& link : links_) {
      link.faults = {};
      link.isCut = false;
    }
    for (int i = 0; i < 3000; ++i) step();
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
      const Replica& replica = *replicas_[i];
      INFO("replica ", i);
      CHECK(replica.state() == Replica::State::current);
      CHECK(replica.version() ==
            wire::DirectoryVersion{publication_->epoch(), publication_->sequence()});
      CHECK(replica.copy().rows() == source_);
      CHECK(replica.directory().absent() == absent_);
      CHECK(replica.isAwaiting() == isAwaiting_);
      CHECK(replica.directory().sum() == publication_->directory().sum());
      CHECK(replica.directory().newest() == publication_->directory().newest());
      CHECK(replica.deadline() == kNever);
    }
    // Without damaged messages nothing is ever refused: a snapshot under changes is exact.
    CHECK(replicas_[0]->refusedCount() == 0);
    CHECK(replicas_[1]->refusedCount() == 0);
  }

  std::uint64_t refused() const { return replicas_[2]->refusedCount(); }
  std::uint64_t snapshots() const { return snapshots_; }
  std::uint64_t pulls() const { return pulls_; }

 private:
  struct Flight {
    TimePoint at;
    Message message;
  };
  struct Link {
    Faults faults;
    bool isCut = false;
    TimePoint last{};  // of those that keep their order
    std::deque<Flight> flights;
  };

  bool chance(double probability) {
    return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
  }
  std::uint64_t below(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random_);
  }

  Duration within(std::chrono::milliseconds most) {
    return std::chrono::milliseconds(1 + below(static_cast<std::uint64_t>(most.count())));
  }

  // --- the members ---

  MemberRow randomRow(std::uint64_t order, PeerId id) {
    MemberRow made = chance(0.7) ? largeRow(order) : row(order);
    made.contact.id = std::move(id);
    made.neighbours.resize(std::min<std::size_t>(made.neighbours.size(), 40 + below(25)));
    made.generation = static_cast<std::uint32_t>(random_());
    made.home = ServerNumber{static_cast<std::uint16_t>(below(16))};
    if (!made.neighbours.empty()) made.reportedParent = static_cast<std::uint8_t>(below(3));
    return made;
  }
  Rows::iterator anyMember() {
    return std::next(source_.begin(), static_cast<std::ptrdiff_t>(below(source_.size())));
  }
  bool isTaken(const PeerId& id) const {
    return std::any_of(source_.begin(), source_.end(),
                       [&](const auto& one) { return one.second->contact.id == id; });
  }

  // As a registry does: who is gone first, in this page.
  void change() {
    MemberChanges changes;
    std::map<JoinOrder, bool> changed;
    for (std::uint64_t i = 0, moves = 1 + below(chance(0.05) ? 60 : 4); i < moves; ++i) {
      const bool isMany = source_.size() > 130;
      if (source_.empty() || (!isMany && chance(0.5))) {
        // A newcomer, or one that comes back with its order or only with its id.
        std::uint64_t order = ++newest_;
        if (chance(0.3) && source_.size() > 2) {
          const std::uint64_t earlier = 1 + below(newest_);
          if (!source_.contains(JoinOrder{earlier})) order = earlier;
        }
        auto id = named(fmt::format("p{}", below(300)));
        if (isTaken(id)) continue;
        source_.emplace(JoinOrder{order}, randomRow(order, std::move(id)));
        changed[JoinOrder{order}] = true;
      } else if (isMany || chance(0.5)) {
        const auto member = anyMember();
        changes.gone.push_back(member->first);
        changed.erase(member->first);
        source_.erase(member);
      } else {
        const auto member = anyMember();
        member->second = randomRow(number(member->first), member->second->contact.id);
        changed[member->first] = true;
      }
    }
    for (const auto& [order, isChanged] : changed) changes.rows.push_back(source_.at(order));
    publish(std::move(changes), changeAbsent());
    CHECK(fingerprint(model_, absentModel_) == fingerprint(source_, absent_));
  }

  // Their ids are not unique. Orders may be those of members.
  AbsentChanges changeAbsent() {
    AbsentChanges changes;
    std::map<JoinOrder, bool> changed;
    for (std::uint64_t i = below(chance(0.05) ? 400 : 3); i > 0; --i) {
      if (chance(0.05)) isAwaiting_ = !isAwaiting_;
      const JoinOrder order{1 + below(newest_)};
      changed[order] = true;
      if (chance(0.4)) {
        absent_.erase(order);
        continue;
      }
      const auto like = row(number(order), fmt::format("p{}", below(300)));
      absent_[order] = {like.contact, like.key, chance(0.5), chance(0.5)};
    }
    for (const auto& [order, isChanged] : changed) {
      const auto there = absent_.find(order);
      if (there == absent_.end()) {
        changes.gone.push_back(order);
      } else {
        changes.rows.push_back(there->second);
      }
    }
    return changes;
  }

  // The registry's changes were lost: its members come again, in pages.
  void beginFromScratch() {
    while (source_.size() > 20 && chance(0.8)) source_.erase(anyMember());
    MemberChanges page{true, {}, {}, true};
    for (const auto& [order, row] : source_) {
      page.rows.push_back(row);
      if (chance(0.8)) continue;
      publish(std::exchange(page, {false, {}, {}, true}));
    }
    page.more = false;
    publish(std::move(page));
    CHECK(fingerprint(model_, absentModel_) == fingerprint(source_, absent_));
  }

  void changeMaster() {
    Directory start = publication_->directory();
    // The next master begins with what it had.
    const Replica& heir = *replicas_[below(replicas_.size())];
    if (chance(0.5) && heir.version().sequence > 0) start = heir.directory();
    publication_ =
        std::make_unique<Publication>(Epoch{publication_->epoch().counter + 1,
                                            ServerNumber{static_cast<std::uint16_t>(below(9))}},
                                      std::move(start));
    model_ = publication_->directory().copy().rows();
    source_ = model_;
    absentModel_ = publication_->directory().absent();
    absent_ = absentModel_;
    publication_->setAwaiting(isAwaiting_);
    record();
  }

  void publish(MemberChanges changes, AbsentChanges absent = {}) {
    publication_->setAwaiting(isAwaiting_);
    for (auto& delta : publication_->publish(std::move(changes), std::move(absent))) {
      for (const auto order : delta.absentGone) absentModel_.erase(order);
      for (const auto& one : delta.absent) absentModel_.insert_or_assign(one.contact.order, one);
      for (const auto order : delta.gone) model_.erase(order);
      for (const auto& row : delta.rows) model_.insert_or_assign(row->contact.order, row);
      history_[key(delta.after.version)] = fingerprint(model_, absentModel_);
      for (auto& link : links_) send(link, wire::DirectoryMessage(delta));
    }
  }
  void record() {
    history_[key(publication_->position().of.version)] = fingerprint(model_, absentModel_);
  }
  static std::pair<std::uint32_t, std::uint64_t> key(const wire::DirectoryVersion& version) {
    return {version.epoch.counter, version.sequence};
  }

  // --- the network ---

  void send(Link& link, const Message& message) {
    if (link.isCut || chance(link.faults.loss)) return;
    const TimePoint at = now_ + within(30ms);
    link.last = std::max(link.last, at);
    const bool isLate = chance(link.faults.reorder);
    Flight flight{isLate ? now_ + within(300ms) : link.last, message};
    if (chance(link.faults.truncate)) truncate(flight.message);
    if (chance(link.faults.repeat)) {
      link.flights.push_back({now_ + within(200ms), flight.message});
    }
    link.flights.push_back(std::move(flight));
  }

  void truncate(Message& message) {
    auto* sent = std::get_if<wire::DirectoryMessage>(&message);
    if (!sent) return;
    const auto half = [&](auto& rows) {
      rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(below(rows.size() + 1)), rows.end());
    };
    if (auto* delta = std::get_if<wire::Delta>(sent)) {
      half(delta->rows);
      if (chance(0.5)) half(delta->gone);
      if (chance(0.5)) half(delta->absent);
    }
    if (auto* page = std::get_if<wire::SnapshotPage>(sent)) {
      half(page->rows);
      if (chance(0.5)) half(page->absent);
    }
  }

  void step() {
    now_ += 10ms;
    for (std::size_t i = 0; i < links_.size(); ++i) {
      if (now_.time_since_epoch() % 500ms == 0ms) {
        send(links_[i], wire::DirectoryMessage(publication_->position()));
      }
      deliver(i);
      Replica::Effects fx;
      replicas_[i]->tick(now_, fx);
      carryOut(i, fx);
    }
  }

  void deliver(std::size_t i) {
    auto& flights = links_[i].flights;
    for (;;) {
      const auto first = std::min_element(flights.begin(), flights.end(),
                                          [](const auto& a, const auto& b) { return a.at < b.at; });
      if (first == flights.end() || first->at > now_) return;
      Message message = std::move(first->message);
      flights.erase(first);
      if (const auto* pull = std::get_if<wire::Pull>(&message)) {
        for (const auto& answer : publication_->answer(*pull)) {
          const auto* page = std::get_if<wire::SnapshotPage>(&answer);
          if (page && page->after == kNoOrder) ++snapshots_;
          send(links_[i], answer);
        }
        continue;
      }
      Replica::Effects fx;
      replicas_[i]->received(std::get<wire::DirectoryMessage>(message), now_, fx);
      carryOut(i, fx);
      check(i);
    }
  }

  void carryOut(std::size_t i, const Replica::Effects& fx) {
    for (const auto& pull : fx.pulls) send(links_[i], pull);
    pulls_ += fx.pulls.size();
  }

  // What can be read is the whole directory at its version.
  void check(std::size_t i) {
    const auto version = replicas_[i]->version();
    if (std::exchange(checked_[i], version) == version) return;
    const auto known = history_.find(key(version));
    REQUIRE(known != history_.end());
    REQUIRE(fingerprint(replicas_[i]->copy().rows(), replicas_[i]->directory().absent()) ==
            known->second);
    REQUIRE(replicas_[i]->copy().rows().size() == replicas_[i]->directory().count());
  }

  Random random_;
  TimePoint now_{1h};
  std::unique_ptr<Publication> publication_;
  Rows source_;  // as the registry has it
  Rows model_;   // as the deltas make it
  Absent absent_;
  Absent absentModel_;
  bool isAwaiting_ = false;
  std::uint64_t newest_ = 0;
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::size_t> history_;
  std::array<std::unique_ptr<Replica>, 3> replicas_;
  std::array<wire::DirectoryVersion, 3> checked_;
  std::array<Link, 3> links_{{
      {{}, false, {}, {}},
      {{0.1, 0.1, 0.1, 0}, false, {}, {}},
      {{0.05, 0.05, 0.05, 0.05}, false, {}, {}},
  }};
  std::uint64_t snapshots_ = 0;
  std::uint64_t pulls_ = 0;
};

}  // namespace

TEST_CASE("whatever is lost, repeated, reordered or truncated, replicas have what the master had") {
  std::uint64_t refused = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t pulls = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    World world(seed);
    world.run(1500);
    world.calm();
    refused += world.refused();
    snapshots += world.snapshots();
    pulls += world.pulls();
  }
  // The schedules have what they are for.
  INFO(refused, " refused, ", snapshots, " snapshots, ", pulls, " pulls");
  CHECK(refused > 50);
  CHECK(snapshots > 100);
  CHECK(pulls > 1000);
}
