// The metaservers that were seen within the last day, and the file in which they are kept.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "common/base/limits.h"
#include "metaserver/shell/seen_servers.h"

using namespace espalier;
using namespace espalier::metaserver::shell;
using namespace std::chrono_literals;

namespace {

SeenServer server(const std::string& name, unsigned port, std::chrono::seconds seen) {
  return {seen, 5ms, {"127.0.0.1", static_cast<std::uint16_t>(port)}, *ServerName::parse(name)};
}

std::string namesOf(const SeenServers& servers) {
  std::string names;
  for (const auto& one : servers.all()) names += one.name.text() + " ";
  return names;
}

}  // namespace

TEST_CASE("what was seen is written and read back as it was") {
  SeenServers servers;
  servers.see(server("m1-of-Paris", 5010, 600s));
  servers.see(server("m0", 5000, 1200s));
  const auto text = servers.takeText(false);
  REQUIRE(text);
  CHECK(*text ==
        "espalier-metaservers 1\n1200 5 127.0.0.1:5000 m0\n600 5 127.0.0.1:5010 m1-of-Paris\n");
  CHECK_FALSE(servers.takeText(false));
  CHECK(servers.takeText(true) == text);

  SeenServers again;
  REQUIRE(again.parse("metaservers", *text).ok());
  CHECK(again.all() == servers.all());
  CHECK_FALSE(again.takeText(false));
}

TEST_CASE("a metaserver that is seen again within a minute changes nothing") {
  SeenServers servers;
  servers.see(server("m0", 5000, 600s));
  (void)servers.takeText(false);
  servers.see(server("m0", 5000, 659s));
  CHECK_FALSE(servers.takeText(false));
  servers.see(server("m0", 5000, 660s));
  CHECK(servers.takeText(false));
  servers.see(server("m0", 5001, 660s));  // it has moved
  CHECK(servers.takeText(false));
  CHECK(servers.all().size() == 1);
}

TEST_CASE("a metaserver displaces others of its name and of its address") {
  SeenServers servers;
  servers.see(server("m0", 5000, 600s));
  servers.see(server("m1", 5010, 600s));
  servers.see(server("m2", 5000, 660s));
  CHECK(namesOf(servers) == "m1 m2 ");
  servers.see(server("m1", 5000, 720s));
  CHECK(namesOf(servers) == "m1 ");
}

TEST_CASE("who was not seen for a day, or is to be forgotten, is removed") {
  SeenServers servers;
  servers.see(server("m0", 5000, 600s));
  servers.see(server("m1", 5010, 1200s));
  servers.age(600s + 24h);
  CHECK(namesOf(servers) == "m0 m1 ");
  servers.age(601s + 24h);
  CHECK(namesOf(servers) == "m1 ");
  const auto forgotten = servers.forget(*ServerName::parse("m1"));
  REQUIRE(forgotten);
  CHECK(forgotten->address.port == 5010);
  CHECK_FALSE(servers.forget(*ServerName::parse("m1")));
  CHECK(servers.all().empty());
}

TEST_CASE("so many are kept as addresses are dialled, and the oldest makes room") {
  SeenServers servers;
  const auto most = static_cast<unsigned>(limits::kServerAddresses);
  for (unsigned i = 0; i <= most; ++i) {
    servers.see(server(fmt::format("m{}", i), 5000 + i, std::chrono::minutes(i)));
  }
  CHECK(servers.all().size() == most);
  CHECK_FALSE(servers.forget(*ServerName::parse("m0")));
  CHECK(servers.forget(*ServerName::parse("m1")));
}

TEST_CASE("damaged lines are left out, and a newer version is refused") {
  SeenServers servers;
  REQUIRE(servers
              .parse("f",
                     "espalier-metaservers 1\n600 5 127.0.0.1:5000 m0\n600 5 127.0.0.1:0 m1\n"
                     "-1 5 127.0.0.1:5002 m2\nx 5 127.0.0.1:5003 m3\n600 5 nonsense m4\n"
                     "600 5 127.0.0.1:5005 \n\n600 5 127.0.0.1:5006 m6")
              .ok());
  CHECK(namesOf(servers) == "m0 m6 ");
  REQUIRE(SeenServers().parse("f", "something else").ok());
  const auto newer = SeenServers().parse("f", "espalier-metaservers 2\n");
  REQUIRE_FALSE(newer.ok());
  CHECK(newer.error().code == ErrorCode::configuration);
}
