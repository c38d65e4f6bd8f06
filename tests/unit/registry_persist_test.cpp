// The state of the registry is durable before what follows from it is sent.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "metaserver/core/executor.h"
#include "tests/unit/registry_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;

namespace {

// Notes the order in which effects are carried out.
struct NotingHost {
  bool isDiskFull = false;
  std::vector<std::string> noted;

  Result<void> persist(const Persist& persist) {
    if (isDiskFull) return Error{ErrorCode::io, "the disk is full"};
    const bool isBefore = persist.durability == Persist::Durability::beforeSends;
    noted.push_back(isBefore ? "persist before" : "persist behind");
    return {};
  }
  void send(Send&) { noted.push_back("send"); }
  void reading(const Reading&) {}
  void close(ConnectionId) { noted.push_back("close"); }
  void probe(Probe&) { noted.push_back("probe"); }
  void notice(const Notice&) { noted.push_back("notice"); }
};

}  // namespace

TEST_CASE("the state is durable before anything is sent, and each change is persisted") {
  Metaserver metaserver;
  NotingHost host;
  REQUIRE(carryOutEffects(metaserver.fx, host).ok());
  CHECK(host.noted == std::vector<std::string>{"persist before"});
  host.noted.clear();
  metaserver.admit(1);
  REQUIRE(carryOutEffects(metaserver.fx, host).ok());
  REQUIRE(host.noted.size() > 1);
  CHECK(host.noted[0] == "persist behind");
  CHECK(host.noted[1] == "send");
  host.noted.clear();
  metaserver.say(1, wire::RegistryHeartbeat());
  REQUIRE(carryOutEffects(metaserver.fx, host).ok());
  CHECK(host.noted == std::vector<std::string>{"send"});
}

TEST_CASE("a step whose persist fails sends nothing") {
  Effects fx;
  fx.persists.push_back({Persist::Durability::beforeSends});
  fx.sends.push_back({ConnectionId{1}, wire::RegistryHeartbeatReply{}});
  NotingHost host;
  host.isDiskFull = true;
  const auto done = carryOutEffects(fx, host);
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().message == "the disk is full");
  CHECK(host.noted.empty());
}
