// Pushes at one peer and in small networks: offers, the ledger's way over links, sources, and what
// hostile neighbours say.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "common/base/limits.h"
#include "common/wire/link_codec.h"
#include "peer/core/push.h"

using namespace espalier;
using namespace espalier::peer;
using namespace std::chrono_literals;
using wire::PushEnd;
using wire::PushEntry;
using wire::PushState;

namespace {

PeerId id(unsigned number) {
  return *PeerId::parse("s" + std::to_string(number));
}

wire::Contact contact(unsigned number) {
  return {id(number), JoinOrder{number}, {"127.0.0.1", static_cast<std::uint16_t>(5000 + number)}};
}

const PushPolicy kAll{PushPolicy::From::all, {}, 1'000'000};

std::vector<wire::PushFile> oneFile(std::uint64_t bytes = 1000) {
  return {{"news.bin", bytes, *FileRoot::fromRaw(std::string(32, 'r'))}};
}

// Peers s1 … sN whose links deliver at once when pump() is called, on one clock.
class Network {
 public:
  struct Node {
    std::unique_ptr<Random> random;
    std::unique_ptr<Pushes> pushes;
    std::map<ConnectionId, std::pair<unsigned, ConnectionId>> links;  // to whom, their end
    std::vector<PushJob> jobs;
    std::vector<std::string> notices;
    std::size_t sent = 0;
    std::vector<TimePoint> ledgersSent;
  };

  explicit Network(unsigned count, const PushPolicy& policy = kAll) {
    nodes_.resize(count + 1);
    for (unsigned i = 1; i <= count; ++i) restart(i, policy);
  }

  void restart(unsigned number, const PushPolicy& policy = kAll) {
    while (!at(number).links.empty()) {
      cut(number, at(number).links.begin()->second.first);
    }
    at(number).jobs.clear();
    at(number).random = std::make_unique<Random>(number);
    at(number).pushes = std::make_unique<Pushes>(contact(number), policy, *at(number).random);
  }

  void link(unsigned a, unsigned b) {
    const ConnectionId ends[] = {ConnectionId{++connections_}, ConnectionId{++connections_}};
    at(a).links[ends[0]] = {b, ends[1]};
    at(b).links[ends[1]] = {a, ends[0]};
    step(a, [&](PushEffects& fx) { at(a).pushes->linkUp(ends[0], contact(b), now, fx); });
    step(b, [&](PushEffects& fx) { at(b).pushes->linkUp(ends[1], contact(a), now, fx); });
  }

  void cut(unsigned a, unsigned b) {
    for (const auto& [one, other] : {std::pair(a, b), std::pair(b, a)}) {
      auto& links = at(one).links;
      const auto end = std::find_if(links.begin(), links.end(),
                                    [&](const auto& each) { return each.second.first == other; });
      REQUIRE(end != links.end());
      const ConnectionId connection = end->first;
      links.erase(end);
      if (!at(one).pushes) continue;
      step(one, [&](PushEffects& fx) { at(one).pushes->linkDown(connection, now, fx); });
    }
  }

  template <typename Event>
  void step(unsigned number, Event&& event) {
    PushEffects fx;
    event(fx);
    auto& node = at(number);
    for (auto& job : fx.jobs) node.jobs.push_back(std::move(job));
    for (auto& notice : fx.notices) node.notices.push_back(std::move(notice));
    for (auto& [connection, message] : fx.sends) {
      const auto link = node.links.find(connection);
      if (link == node.links.end()) continue;
      ++node.sent;
      if (std::holds_alternative<wire::PushLedger>(message)) node.ledgersSent.push_back(now);
      // Over the wire, as in life.
      const auto bytes =
          std::visit([](const auto& m) { return wire::encode(wire::LinkMessage(m)); }, message);
      CHECK(bytes.size() <= limits::kFrameBytes);
      coming_.push_back({link->second.first, link->second.second, message});
    }
  }

  // Delivers, and lets time pass.
  void run(Duration length) {
    const TimePoint until = now + length;
    while (true) {
      while (!coming_.empty()) {
        const auto [to, connection, message] = coming_.front();
        coming_.pop_front();
        if (!at(to).links.contains(connection)) continue;
        step(to, [&, c = connection](PushEffects& fx) {
          at(to).pushes->received(c, message, now, fx);
        });
      }
      TimePoint next = until;
      for (unsigned i = 1; i < nodes_.size(); ++i) {
        next = std::min(next, at(i).pushes->deadline());
      }
      now = std::max(now, next);
      if (now >= until) return;
      for (unsigned i = 1; i < nodes_.size(); ++i) {
        if (at(i).pushes->deadline() > now) continue;
        step(i, [&](PushEffects& fx) { at(i).pushes->tick(now, fx); });
      }
    }
  }

  PushId push(unsigned sender, std::vector<PeerId> to = {}) {
    std::optional<PushId> id;
    step(sender, [&](PushEffects& fx) {
      id = *at(sender).pushes->start(oneFile(), std::move(to), now, fx);
    });
    return *id;
  }

  void receive(unsigned to, unsigned from, const wire::PushMessage& message) {
    for (const auto& [connection, link] : at(to).links) {
      if (link.first != from) continue;
      const auto c = connection;
      return step(to, [&](PushEffects& fx) { at(to).pushes->received(c, message, now, fx); });
    }
    FAIL("no such link");
  }

  void complete(unsigned number, const PushId& push) {
    step(number, [&](PushEffects& fx) { at(number).pushes->completed(push, now, fx); });
  }

  std::optional<PeerId> sourceOf(unsigned number) {
    std::optional<PeerId> source;
    for (const auto& job : at(number).jobs) {
      if (const auto* from = std::get_if<PushTakeFrom>(&job)) source = from->source.id;
    }
    return source;
  }

  template <typename Job>
  std::size_t jobs(unsigned number) {
    return static_cast<std::size_t>(
        std::count_if(at(number).jobs.begin(), at(number).jobs.end(),
                      [](const auto& job) { return std::holds_alternative<Job>(job); }));
  }

  PushState stateOf(unsigned of, const PushId& push, unsigned as) {
    const auto view = at(as).pushes->view(push);
    REQUIRE(view);
    const auto* entry = view->ledger.find(id(of));
    REQUIRE(entry != nullptr);
    return entry->state;
  }

  Node& at(unsigned number) { return nodes_[number]; }
  TimePoint now{1000s};

 private:
  struct Message {
    unsigned to;
    ConnectionId connection;
    wire::PushMessage message;
  };
  std::vector<Node> nodes_;
  std::deque<Message> coming_;
  std::uint64_t connections_ = 0;
};

// s1 - s2 - … - sN
Network line(unsigned count) {
  Network network(count);
  for (unsigned i = 1; i < count; ++i) network.link(i, i + 1);
  return network;
}

wire::PushLedger ledgerOf(const PushId& push, std::vector<PushEntry> entries) {
  return {push, PushEnd::open, std::move(entries)};
}

PushEntry entryOf(unsigned number, PushState state, std::uint32_t version = 1) {
  PushEntry entry;
  entry.version = version;
  entry.state = state;
  entry.peer = contact(number);
  entry.via = id(1);
  return entry;
}

}  // namespace

TEST_CASE(
    "an offer reaches everybody, each takes from the one before, and all ledgers become the same") {
  auto network = line(5);
  const auto push = network.push(3);
  network.run(3s);
  CHECK(network.sourceOf(2) == id(3));
  CHECK(network.sourceOf(1) == id(2));
  // Depth first from s3: s2, s1, then s4, s5.
  CHECK(network.sourceOf(4) == id(1));
  CHECK(network.sourceOf(5) == id(4));
  for (const unsigned taker : {1u, 2u, 4u, 5u}) {
    CHECK(network.jobs<PushReceive>(taker) == 1);
    network.complete(taker, push);
  }
  network.run(3s);
  for (unsigned as = 1; as <= 5; ++as) {
    CHECK(network.at(as).pushes->view(push)->ledger == network.at(3).pushes->view(push)->ledger);
    CHECK(network.at(as).pushes->view(push)->ledger.count(PushState::verified) == 5);
  }
}

TEST_CASE("a chain through two arms of the tree forms at once, and nobody changes over") {
  // s1 with s2, s4, … s16 behind it, and s3, s5, … s17: as `shallowest` places them.
  Network network(17, {PushPolicy::From::all, {}, 1u << 30});
  for (unsigned i = 2; i <= 17; ++i) network.link(i == 2 ? 1 : i - 2, i);
  network.step(1, [&](PushEffects& fx) {
    (void)network.at(1).pushes->start(oneFile(100u << 20), {}, network.now, fx);
  });
  network.run(250ms);
  CHECK(network.sourceOf(3) == id(16));
  for (unsigned i = 4; i <= 17; ++i) CHECK(network.sourceOf(i) == id(i - 2));
  network.run(limits::kPushSettling);
  for (unsigned i = 2; i <= 17; ++i) CHECK(network.jobs<PushTakeFrom>(i) == 1);
}

TEST_CASE("who takes nothing declines with a reason, and passes the offer on") {
  auto network = line(3);
  network.restart(2, PushPolicy{});
  network.link(1, 2);
  network.link(2, 3);
  const auto push = network.push(1);
  network.run(3s);
  CHECK(network.stateOf(2, push, 1) == PushState::declined);
  CHECK(network.jobs<PushReceive>(2) == 0);
  CHECK(network.at(1).pushes->view(push)->ledger.find(id(2))->reason == "takes no pushes");
  CHECK(network.sourceOf(3) == id(1));
}

TEST_CASE("a push larger than the limit is declined, one of exactly the limit is taken") {
  for (const std::uint64_t limit : {999u, 1000u}) {
    Network network(2, {PushPolicy::From::some, {id(1)}, limit});
    network.link(1, 2);
    const auto push = network.push(1);
    network.run(1s);
    CHECK(network.stateOf(2, push, 1) ==
          (limit == 999 ? PushState::declined : PushState::accepted));
  }
}

TEST_CASE("who is not meant passes the offer on and has no place in the ledger") {
  auto network = line(4);
  const auto push = network.push(1, {id(3)});
  network.run(3s);
  CHECK(network.jobs<PushReceive>(2) == 0);
  CHECK(network.sourceOf(3) == id(1));
  CHECK(network.at(1).pushes->view(push)->ledger.size() == 2);
}

TEST_CASE("changes go over a link four times a second at most, but for a burst, whatever happens") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.at(2).ledgersSent.clear();
  for (std::uint32_t i = 1; i <= 2000; ++i) {
    network.receive(2, 1, ledgerOf(push, {entryOf(9, PushState::verified, i)}));
    network.run(10ms);
  }
  const auto& sent = network.at(2).ledgersSent;
  REQUIRE(sent.size() > limits::kLedgerFlushes);
  for (std::size_t i = limits::kLedgerFlushes; i < sent.size(); ++i) {
    CHECK(sent[i] - sent[i - limits::kLedgerFlushes] >= limits::kLedgerWindow);
  }
}

TEST_CASE("a source that breaks off is replaced by the one before it, a liar never asked again") {
  auto network = line(4);
  const auto push = network.push(1);
  network.run(6s);
  REQUIRE(network.sourceOf(4) == id(3));
  network.step(4, [&](PushEffects& fx) {
    network.at(4).pushes->sourceFailed(push, id(3), PushTrouble::lied, network.now, fx);
  });
  CHECK(network.sourceOf(4) == id(2));
  for (const unsigned failing : {2u, 1u, 2u, 1u, 2u}) {
    network.step(4, [&](PushEffects& fx) {
      network.at(4).pushes->sourceFailed(push, id(failing), PushTrouble::unreachable, network.now,
                                         fx);
    });
    network.run(limits::kPushSourceRest);
    CHECK(network.sourceOf(4) != id(3));
  }
}

TEST_CASE("when nobody gives anything any more, taking has failed, and room for others is there") {
  auto network = line(2);
  const auto push = network.push(1);
  network.run(1s);
  network.cut(1, 2);
  const TimePoint begun = network.now;
  while (network.jobs<PushDrop>(2) == 0 && network.now < begun + 2 * limits::kPushKept) {
    if (network.sourceOf(2)) {
      network.step(2, [&](PushEffects& fx) {
        network.at(2).pushes->sourceFailed(push, id(1), PushTrouble::unreachable, network.now, fx);
      });
    }
    network.run(limits::kPushSourceRest);
  }
  CHECK(network.now - begun >= limits::kPushKept - 1s);
  CHECK(network.now - begun < limits::kPushKept + 2 * limits::kPushSourceRest);
  CHECK(network.stateOf(2, push, 2) == PushState::failed);
  network.run(limits::kPushKept + 10s);
  CHECK(network.at(2).pushes->size() == 0);
}

TEST_CASE("a source that lasts has given something, so taking goes on after it") {
  auto network = line(2);
  const auto push = network.push(1);
  for (int i = 0; i < 30; ++i) {
    network.run(limits::kPushPatience + 20s);
    network.step(2, [&](PushEffects& fx) {
      network.at(2).pushes->sourceFailed(push, id(1), PushTrouble::unreachable, network.now, fx);
    });
  }
  CHECK(network.stateOf(2, push, 2) == PushState::accepted);
}

TEST_CASE("sources that fail have their turns after all others, so that none is passed over") {
  auto network = line(5);
  const auto push = network.push(1);
  network.run(6s);
  std::vector<std::string> asked;
  for (int i = 0; i < 8; ++i) {
    const auto source = network.sourceOf(5);
    asked.push_back(source->text());
    network.step(5, [&](PushEffects& fx) {
      network.at(5).pushes->sourceFailed(push, *source, PushTrouble::useless, network.now, fx);
    });
    network.run(limits::kPushPatience);  // longer than a source rests
  }
  CHECK(asked == std::vector<std::string>{"s4", "s3", "s2", "s1", "s4", "s3", "s2", "s1"});
}

TEST_CASE("a push that somebody still takes is kept, however long that is") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(1s);
  network.complete(2, push);
  network.run(10 * limits::kPushKept);
  CHECK(network.at(1).pushes->view(push));
  CHECK(network.at(2).pushes->view(push));
  network.complete(3, push);
  network.run(1s);
  CHECK(network.stateOf(3, push, 1) == PushState::verified);
  network.run(limits::kPushKept);
  CHECK(network.at(1).pushes->size() == 0);
}

TEST_CASE("who offers a push that is over hears so") {
  auto network = line(2);
  const auto push = network.push(1);
  network.run(2s);
  const auto offer = network.at(1).pushes->view(push)->offer;
  network.receive(2, 1, wire::PushLedger{push, PushEnd::cancelled, {}});
  network.run(2s);
  const auto before = network.at(2).ledgersSent.size();
  network.receive(2, 1, offer);
  network.run(1s);
  CHECK(network.at(2).ledgersSent.size() == before + 1);
}

TEST_CASE("the word of an older source does not disturb the new one") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(6s);
  network.step(3, [&](PushEffects& fx) {
    network.at(3).pushes->sourceFailed(push, id(2), PushTrouble::unreachable, network.now, fx);
  });
  REQUIRE(network.sourceOf(3) == id(1));
  const auto before = network.at(3).jobs.size();
  network.step(3, [&](PushEffects& fx) {
    network.at(3).pushes->sourceFailed(push, id(2), PushTrouble::unreachable, network.now, fx);
  });
  CHECK(network.at(3).jobs.size() == before);
}

TEST_CASE(
    "a peer whose link is lost is told lost, and takes that back when it is linked elsewhere") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.cut(2, 3);
  network.run(limits::kPushGone + 2s);
  CHECK(network.stateOf(3, push, 1) == PushState::lost);
  network.link(1, 3);
  network.run(2s);
  CHECK(network.stateOf(3, push, 1) == PushState::accepted);
  CHECK(network.stateOf(3, push, 2) == PushState::accepted);
}

TEST_CASE("a link that heals elsewhere in time is not lost") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.cut(2, 3);
  network.link(1, 3);
  network.run(limits::kPushGone / 2);
  network.link(2, 3);  // not a tree, but two links tell it apart from a lost one
  network.run(limits::kPushGone * 2);
  CHECK(network.at(1).pushes->view(push)->ledger.find(id(3))->version == 1);
}

TEST_CASE("a peer that was started again takes the push up, as one who came late") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.complete(2, push);
  network.run(1s);
  network.restart(2);
  network.link(1, 2);
  network.link(2, 3);
  network.run(3s);
  CHECK(network.jobs<PushReceive>(2) == 1);
  const auto view = network.at(3).pushes->view(push);
  REQUIRE(view);
  const auto* entry = view->ledger.find(id(2));
  REQUIRE(entry);
  CHECK(entry->state == PushState::accepted);
  CHECK(entry->version == 2);
  CHECK(entry->late);
}

TEST_CASE("a peer that joins during a push gets it, one that joins behind its end does not") {
  Network network(4);
  network.link(1, 2);
  const auto push = network.push(1);
  network.run(2s);
  network.link(2, 3);
  network.run(2s);
  CHECK(network.jobs<PushReceive>(3) == 1);
  CHECK(network.sourceOf(3) == id(2));
  network.step(1, [&](PushEffects& fx) {
    network.at(1).pushes->finish(push, PushEnd::closed, network.now, fx);
  });
  network.run(2s);
  network.link(3, 4);
  network.run(2s);
  CHECK(network.jobs<PushReceive>(4) == 0);
  CHECK(network.at(4).pushes->size() == 0);
}

TEST_CASE("a sender that comes back without a memory reads the ledger from its neighbour") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.complete(2, push);
  network.run(1s);
  network.restart(1);
  network.link(1, 2);
  network.run(2s);
  CHECK(network.jobs<PushReceive>(1) == 0);
  CHECK(network.at(1).pushes->view(push)->ledger == network.at(2).pushes->view(push)->ledger);
  CHECK(network.stateOf(1, push, 1) == PushState::verified);
}

TEST_CASE("who cancels ends it for all who do not have everything") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.complete(2, push);
  network.step(1, [&](PushEffects& fx) {
    network.at(1).pushes->finish(push, PushEnd::cancelled, network.now, fx);
  });
  network.run(2s);
  CHECK(network.stateOf(2, push, 1) == PushState::verified);
  CHECK(network.stateOf(3, push, 1) == PushState::failed);
  CHECK(network.jobs<PushDrop>(3) == 1);
  CHECK(network.jobs<PushDrop>(2) == 0);
}

TEST_CASE("nobody can end a push for its sender") {
  auto network = line(2);
  const auto push = network.push(1);
  network.run(1s);
  network.receive(1, 2, wire::PushLedger{push, PushEnd::cancelled, {}});
  CHECK(network.at(1).pushes->view(push)->offer.end == PushEnd::open);
}

TEST_CASE("what others claim of a peer it contradicts, and entries do not go back") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.receive(3, 2, ledgerOf(push, {entryOf(3, PushState::verified, 9)}));
  network.run(2s);
  CHECK(network.stateOf(3, push, 1) == PushState::accepted);
  CHECK(network.at(1).pushes->view(push)->ledger.find(id(3))->version == 10);
  network.complete(2, push);
  network.run(1s);
  network.receive(1, 2, ledgerOf(push, {entryOf(2, PushState::accepted)}));
  CHECK(network.stateOf(2, push, 1) == PushState::verified);
}

TEST_CASE(
    "versions that nobody can have, and peers that are not meant, are left out and told once") {
  auto network = line(2);
  const auto push = network.push(1, {id(2)});
  network.run(1s);
  const auto size = network.at(1).pushes->view(push)->ledger.size();
  for (int i = 0; i < 3; ++i) {
    network.receive(1, 2, ledgerOf(push, {entryOf(7, PushState::verified)}));
    network.receive(1, 2,
                    ledgerOf(push, {entryOf(2, PushState::verified, limits::kLedgerVersion)}));
  }
  CHECK(network.at(1).pushes->view(push)->ledger.size() == size);
  CHECK(network.stateOf(2, push, 1) == PushState::accepted);
  CHECK(network.at(1).notices.size() == 2);
}

TEST_CASE("a flood of offers fills the table and no more, and the pushes that are taken stay") {
  auto network = line(2);
  const auto push = network.push(1);
  network.run(1s);
  Random random(7);
  for (std::size_t i = 0; i < 10 * limits::kPushes; ++i) {
    wire::PushOffer offer{
        randomFrom<PushId>(random), contact(9), id(9), false, PushEnd::open, oneFile(), {}};
    network.receive(2, 1, offer);
    REQUIRE(network.at(2).pushes->size() <= limits::kPushes);
  }
  CHECK(network.at(2).pushes->view(push));
  CHECK(network.at(2).notices.size() == 1);
}

TEST_CASE("offers that are not taken make room for others") {
  Network network(2, PushPolicy{});
  network.link(1, 2);
  Random random(7);
  for (std::size_t i = 0; i < 10 * limits::kPushes; ++i) {
    wire::PushOffer offer{
        randomFrom<PushId>(random), contact(9), id(9), false, PushEnd::open, oneFile(), {}};
    network.receive(2, 1, offer);
  }
  CHECK(network.at(2).pushes->size() == limits::kPushes);
  CHECK(network.at(2).notices.empty());
}

TEST_CASE(
    "a ledger of very many peers goes in frames that fit, all of it to a link that comes up") {
  Network network(3);
  network.link(1, 2);
  const auto push = network.push(1);
  network.run(1s);
  wire::PushLedger many{push, PushEnd::open, {}};
  for (unsigned i = 10; i < 5000; ++i) many.entries.push_back(entryOf(i, PushState::accepted));
  network.receive(1, 2, many);
  network.link(1, 3);
  network.run(5s);
  CHECK(network.at(3).pushes->view(push)->ledger.size() ==
        network.at(1).pushes->view(push)->ledger.size());
}

TEST_CASE("a push is forgotten some time after its last change, and not taken up again") {
  auto network = line(2);
  const auto push = network.push(1);
  network.run(1s);
  network.complete(2, push);
  network.run(limits::kPushKept + 10s);
  CHECK(network.at(2).pushes->size() == 0);
  CHECK(network.jobs<PushDrop>(2) == 1);
  network.receive(2, 1,
                  wire::PushOffer{push, contact(1), id(1), false, PushEnd::open, oneFile(), {}});
  CHECK(network.at(2).pushes->size() == 0);
}

TEST_CASE("what cannot be offered is refused") {
  auto network = line(1);
  PushEffects fx;
  auto& pushes = *network.at(1).pushes;
  CHECK_FALSE(pushes.start({}, {}, network.now, fx).ok());
  std::vector<wire::PushFile> files(limits::kPushFiles, oneFile()[0]);
  CHECK_FALSE(pushes.start(files, {}, network.now, fx).ok());
  CHECK(fx.sends.empty());
}
