// The metaserver's core, an event at a time; the simulation drives it together with peers.
#include "metaserver/core/registry.h"

#include <doctest/doctest.h>

#include <map>

using namespace espalier;
using namespace espalier::metaserver;
using namespace std::chrono_literals;

namespace {

PeerId peer(const std::string& id) {
  return PeerId::parse(id).value();
}

// Peers of 127.0.0.1, each with a connection and a key of its own.
struct Members {
  explicit Members(Registry::Options options = {}) : registry(with(std::move(options)), now, fx) {}

  static Registry::Options with(Registry::Options options) {
    options.network.bytes[0] = 1;
    return options;
  }

  static wire::Join joinOf(const std::string& id) {
    wire::Join join;
    join.id = peer(id);
    join.key.bytes[0] = static_cast<std::uint8_t>(id.back());
    join.word = "P2P";
    return join;
  }

  ConnectionId connect() {
    const ConnectionId connection{++connections};
    registry.opened(connection, "127.0.0.1", now);
    return connection;
  }

  void join(const wire::Join& join) {
    at[join.id] = connect();
    say(join.id, join);
  }
  void join(const std::string& id) { join(joinOf(id)); }

  void say(const PeerId& id, const wire::RegistryRequest& request) {
    fx = {};
    registry.received(at.at(id), request, now, fx);
  }

  // Joins and links itself where it is told to, as a peer does.
  void settle(const std::string& id) {
    join(id);
    const auto place = admitted(id).place;
    if (place.kind != wire::Place::Kind::below) return;
    links[peer(id)].push_back(place.parent.id);
    links[place.parent.id].push_back(peer(id));
    parents[peer(id)] = place.parent.id;
    report(peer(id));
    report(place.parent.id);
  }
  void report(const PeerId& id) {
    const auto parent = parents.find(id);
    say(id, wire::Links{parent == parents.end() ? std::nullopt : std::optional(parent->second),
                        links[id]});
  }

  template <typename Reply>
  const Reply* told(const std::string& id) const {
    for (const auto& send : fx.sends) {
      if (send.to != at.at(peer(id))) continue;
      if (const auto* reply = std::get_if<Reply>(&send.reply)) return reply;
    }
    return nullptr;
  }
  wire::Admitted admitted(const std::string& id) const {
    const auto* reply = told<wire::Admitted>(id);
    REQUIRE(reply != nullptr);
    return *reply;
  }
  std::string parentOf(const std::string& id) {
    join(id);
    return admitted(id).place.parent.id.text();
  }

  void die(const std::string& id) {
    fx = {};
    registry.closed(at.at(peer(id)), now, fx);
  }
  void pass(Duration duration) {
    fx = {};
    for (const auto end = now + duration; now < end;) {
      now = std::min(std::max(registry.deadline(), now + 1ms), end);
      registry.tick(now, fx);
    }
  }
  std::string topo() const { return topo::format(registry.lines()); }

  TimePoint now{std::chrono::hours(1)};
  Effects fx;
  std::uint64_t connections = 0;
  std::map<PeerId, ConnectionId> at;
  std::map<PeerId, PeerId> parents;
  std::map<PeerId, std::vector<PeerId>> links;
  Registry registry;
};

}  // namespace

TEST_CASE("newcomers get ports that count up, and the free place nearest the root") {
  Members members;
  members.join("s1");
  CHECK(members.admitted("s1").place.kind == wire::Place::Kind::root);
  CHECK(members.admitted("s1").self.endpoint == Endpoint{"127.0.0.1", 5001});
  CHECK(members.parentOf("s2") == "s1");
  CHECK(members.admitted("s2").self.endpoint.port == 5002);
  CHECK(members.admitted("s2").members == 2);
  CHECK(members.parentOf("s3") == "s1");
  CHECK(members.parentOf("s4") == "s2");
  CHECK(members.parentOf("s5") == "s3");
}

TEST_CASE("the classic placement hands on to the oldest child, which makes one long branch") {
  Registry::Options options;
  options.placement = topo::Rule::classic;
  Members members(options);
  members.join("s1");
  CHECK(members.parentOf("s2") == "s1");
  CHECK(members.parentOf("s3") == "s1");
  CHECK(members.parentOf("s4") == "s2");
  CHECK(members.parentOf("s5") == "s4");
  CHECK(members.parentOf("s6") == "s5");
}

TEST_CASE("a wrong word is answered by the right one, and may be said again") {
  Members members;
  auto join = Members::joinOf("s1");
  join.word = "please";
  members.join(join);
  REQUIRE(members.told<wire::WordRefused>("s1") != nullptr);
  CHECK(members.told<wire::WordRefused>("s1")->word == "P2P");
  CHECK(members.registry.size() == 0);

  members.say(peer("s1"), Members::joinOf("s1"));
  CHECK(members.admitted("s1").self.order == JoinOrder{1});
}

TEST_CASE("an id is refused to another key; the same key takes its ghost's place") {
  Members members;
  members.join("s1");
  const auto ghost = members.at.at(peer("s1"));
  auto stranger = Members::joinOf("s1");
  stranger.key.bytes[1] = 1;
  members.join(stranger);
  REQUIRE(members.told<wire::Failure>("s1") != nullptr);
  CHECK(members.told<wire::Failure>("s1")->code == ErrorCode::refused);
  CHECK(members.registry.refusedCount() == 1);

  members.join("s1");
  CHECK(members.admitted("s1").place.kind == wire::Place::Kind::root);
  CHECK(members.fx.closes == std::vector{ghost});
  CHECK(members.registry.size() == 1);
}

TEST_CASE("a link stands in topo.txt once both ends have reported it") {
  Members members;
  members.join("s1");
  members.join("s2");
  CHECK(members.topo() == "s1:\ns2:\n");
  members.say(peer("s2"), wire::Links{peer("s1"), {peer("s1")}});
  CHECK(members.topo() == "s1:\ns2:\n");
  const auto version = members.registry.version();
  members.say(peer("s1"), wire::Links{std::nullopt, {peer("s2")}});
  CHECK(members.topo() == "s1:  s2\ns2:  s1\n");
  CHECK(members.registry.version() > version);
}

TEST_CASE("whose parent died is sent where the plan says, whether its death was noticed or not") {
  for (const bool noticed : {true, false}) {
    CAPTURE(noticed);
    Members members;
    for (const auto* id : {"s1", "s2", "s3", "s4"}) members.settle(id);
    CHECK(members.topo() == "s1:  s2 s3\ns2:  s1 s4\ns3:  s1\ns4:  s2\n");
    if (noticed) members.die("s2");
    members.say(peer("s4"), wire::Seek{peer("s2"), std::nullopt});
    REQUIRE(members.told<wire::Place>("s4") != nullptr);
    CHECK(members.told<wire::Place>("s4")->parent.id == peer("s1"));
  }
}

TEST_CASE("the oldest child of a root that died is the root, and its brother goes below it") {
  Members members;
  for (const auto* id : {"s1", "s2", "s3"}) members.settle(id);
  members.die("s1");
  members.say(peer("s3"), wire::Seek{peer("s1"), std::nullopt});
  REQUIRE(members.told<wire::Place>("s3") != nullptr);
  CHECK(members.told<wire::Place>("s3")->parent.id == peer("s2"));
  members.say(peer("s2"), wire::Seek{peer("s1"), std::nullopt});
  REQUIRE(members.told<wire::Place>("s2") != nullptr);
  CHECK(members.told<wire::Place>("s2")->kind == wire::Place::Kind::root);
}

TEST_CASE("a place that failed is not offered again at once") {
  Members members;
  for (const auto* id : {"s1", "s2", "s3"}) members.settle(id);
  CHECK(members.parentOf("s4") == "s2");
  members.say(peer("s4"), wire::Seek{std::nullopt, peer("s2")});
  REQUIRE(members.told<wire::Place>("s4") != nullptr);
  CHECK(members.told<wire::Place>("s4")->parent.id == peer("s3"));
}

TEST_CASE("a port that is taken on the peer's machine is replaced by the next, and stays skipped") {
  Members members;
  members.join("s1");
  members.say(peer("s1"), wire::PortTaken{5001});
  CHECK(members.admitted("s1").self.endpoint.port == 5002);
  members.say(peer("s1"), wire::PortTaken{5001});  // it has another one by now
  CHECK(members.fx.sends.empty());
  members.join("s2");
  CHECK(members.admitted("s2").self.endpoint.port == 5003);
}

TEST_CASE("ports wrap around at the end and skip those in use") {
  Registry::Options options;
  options.firstPort = 65534;
  Members members(options);
  for (const auto* id : {"s1", "s2"}) members.join(id);
  CHECK(members.admitted("s2").self.endpoint.port == 65535);
  members.join("s3");
  CHECK(members.told<wire::Failure>("s3") != nullptr);
  members.die("s1");
  members.join("s3");
  CHECK(members.admitted("s3").self.endpoint.port == 65534);
}

TEST_CASE("who falls silent is gone after three beats; who beats stays") {
  Members members;
  for (const auto* id : {"s1", "s2"}) members.settle(id);
  for (int i = 0; i < 5; ++i) {
    members.pass(2s);
    members.say(peer("s1"), wire::RegistryBeat());
    CHECK(members.told<wire::RegistryBeatReply>("s1") != nullptr);
  }
  CHECK(members.topo() == "s1:\n");
}

TEST_CASE("a process that was itself stopped judges nobody silent for that time") {
  Members members;
  for (const auto* id : {"s1", "s2"}) members.settle(id);
  members.now += 30s;
  members.fx = {};
  members.registry.tick(members.now, members.fx);
  CHECK(members.registry.size() == 2);
  members.pass(10s);
  CHECK(members.registry.size() == 0);
}

TEST_CASE("after a restart newcomers wait until those of before are back, or gone") {
  Members before;
  for (const auto* id : {"s1", "s2", "s3"}) before.settle(id);
  Registry::Options options;
  options.nextOrder = before.registry.options().nextOrder;
  options.before = before.registry.remembered();
  Members after(options);
  CHECK(after.fx.probes.size() == 3);
  const auto version = after.registry.version();

  after.join("s4");
  REQUIRE(after.told<wire::Wait>("s4") != nullptr);
  for (const auto* id : {"s2", "s1"}) {
    auto back = Members::joinOf(id);
    back.network = after.registry.options().network;
    back.order = id == std::string("s1") ? JoinOrder{1} : JoinOrder{2};
    back.listen.port = id == std::string("s1") ? 5001 : 5002;
    if (id == std::string("s2")) back.parent = peer("s1");
    back.neighbours = {id == std::string("s1") ? peer("s2") : peer("s1")};
    after.join(back);
    CHECK(after.admitted(id).self.order == back.order);
    CHECK(after.admitted(id).place.kind == wire::Place::Kind::keep);
    CHECK(after.registry.version() == version);  // topo.txt stays as it was
  }
  after.fx = {};
  after.registry.probed(peer("s3"), false, after.now, after.fx);

  CHECK_FALSE(after.registry.awaiting());
  CHECK(after.registry.version() > version);
  CHECK(after.admitted("s4").self.order == JoinOrder{4});
  CHECK(after.topo() == "s1:  s2\ns2:  s1\ns4:\n");
}

TEST_CASE("a restarted metaserver waits for six seconds at most") {
  Members before;
  before.settle("s1");
  Registry::Options options;
  options.before = before.registry.remembered();
  Members after(options);
  after.join("s2");
  CHECK(after.told<wire::Wait>("s2") != nullptr);
  after.pass(5s);
  CHECK(after.registry.awaiting());
  after.pass(2s);
  CHECK_FALSE(after.registry.awaiting());
  CHECK(after.registry.size() == 1);
}
