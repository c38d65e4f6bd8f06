// The parts of the page's server that do no I/O: who may ask, who was let in, which events a page
// gets.
#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/histogram.h"
#include "common/base/limits.h"
#include "common/command/options.h"
#include "common/web/admissions.h"
#include "common/web/event_ring.h"
#include "common/web/guard.h"
#include "common/web/picture.h"
#include "common/web/source.h"

using namespace espalier;
using namespace espalier::web;
using namespace std::chrono_literals;

namespace {

// As the page itself asks.
Asked own() {
  return {"GET", "127.0.0.1:5080", "", "same-origin", "cors", ""};
}

int statusOf(Place place, const Asked& asked, std::string_view name = "") {
  const auto refusal = check(place, asked, name);
  return refusal ? refusal->status : 200;
}

int statusOfHost(const std::string& host, std::string_view name = "") {
  Asked asked = own();
  asked.host = host;
  return statusOf(Place::probe, asked, name);
}

TimePoint at(Duration since) {
  return TimePoint(since);
}

}  // namespace

TEST_CASE("a request for a name of loopback is answered, whatever the port") {
  for (const auto* host : {"127.0.0.1", "127.0.0.1:5080", "127.3.2.1:80", "localhost",
                           "LocalHost:1", "[::1]:5080", "[::1]"}) {
    CAPTURE(host);
    CHECK(statusOfHost(host) == 200);
  }
}

TEST_CASE("a request for any other name is refused: somebody made that name lead here") {
  for (const auto* host :
       {"", "evil.example", "evil.example:5080", "127.0.0.1.evil.example", "127.0.0.1:5080.evil",
        "localhost.evil.example", "127.0.0", "127.0.0.1.1", "127.0.0.256", "0127.0.0.1", "10.0.0.1",
        "[::1", "[::2]", "127.0.0.1:", "127.0.0.1:x", "user@127.0.0.1"}) {
    CAPTURE(host);
    CHECK(statusOfHost(host) == 421);
  }
}

TEST_CASE("the refusal of a name tells which option allows one") {
  Asked asked = own();
  asked.host = "page.example";
  CHECK(check(Place::api, asked, "")->why.find("--web-host") != std::string::npos);
  CHECK(statusOfHost("page.example", "Page.Example") == 200);
  CHECK(statusOfHost("page.example:443", "page.example") == 200);
  CHECK(statusOfHost("other.example", "page.example") == 421);
}

TEST_CASE("what an origin of its own asks is answered, what another one asks is refused") {
  Asked asked = own();
  asked.origin = "http://127.0.0.1:5080";
  CHECK(statusOf(Place::api, asked) == 200);
  for (const auto* origin : {"http://evil.example", "null", "http://127.0.0.1:5081",
                             "http://127.0.0.1", "http://localhost:5080", "file://"}) {
    CAPTURE(origin);
    asked.origin = origin;
    CHECK(statusOf(Place::api, asked) == 403);
    CHECK(statusOf(Place::page, asked) == 403);
    CHECK(statusOf(Place::exchange, asked) == 403);
  }
}

TEST_CASE("another site may open the page, and nothing else") {
  Asked asked = own();
  for (const auto* site : {"cross-site", "same-site"}) {
    CAPTURE(site);
    asked.fetchSite = site;
    asked.fetchMode = "no-cors";
    CHECK(statusOf(Place::page, asked) == 403);
    CHECK(statusOf(Place::api, asked) == 403);
    CHECK(statusOf(Place::exchange, asked) == 403);
    asked.fetchMode = "navigate";
    CHECK(statusOf(Place::page, asked) == 200);
    CHECK(statusOf(Place::api, asked) == 403);
  }
  asked.fetchSite = "none";
  CHECK(statusOf(Place::page, asked) == 200);
  CHECK(statusOf(Place::api, asked) == 403);
}

TEST_CASE("a form of another page is refused by its type") {
  Asked asked = own();
  asked.method = "POST";
  for (const auto* type : {"", "text/plain", "application/x-www-form-urlencoded",
                           "multipart/form-data; boundary=x", "application/jsonp"}) {
    CAPTURE(type);
    asked.contentType = type;
    CHECK(statusOf(Place::api, asked) == 415);
    CHECK(statusOf(Place::exchange, asked) == 415);
  }
  asked.contentType = "Application/JSON; charset=utf-8";
  CHECK(statusOf(Place::api, asked) == 200);
}

TEST_CASE("the page listens on loopback and nowhere else") {
  CHECK((**parseWebAddress("yes", 5080) == Endpoint{"127.0.0.1", 5080}));
  CHECK((**parseWebAddress("localhost:0", 5080) == Endpoint{"127.0.0.1", 0}));
  CHECK((**parseWebAddress("[::1]:81", 5080) == Endpoint{"::1", 81}));
  CHECK_FALSE(*parseWebAddress("no", 5080));
  for (const auto* text : {"0.0.0.0:5080", "192.0.2.1:80", "[::]:80", "example.org:80"}) {
    CAPTURE(text);
    CHECK(parseWebAddress(text, 5080).error().code == ErrorCode::configuration);
  }
  for (const auto* text : {"", "5080", ":80", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:8o"}) {
    CAPTURE(text);
    CHECK(parseWebAddress(text, 5080).error().code == ErrorCode::usage);
  }
}

TEST_CASE("--web takes an address where one follows, and leaves other arguments alone") {
  struct Given {
    std::optional<Endpoint> web;
    std::string words;
    bool json = false;
  };
  const auto parse = [](std::vector<std::string> arguments) -> Result<Given> {
    Given given;
    command::Program program;
    program.name = "peer";
    program.options = {
        {"web", "[HOST:PORT]", "", "",
         command::storeParsed(given.web, [](auto text) { return parseWebAddress(text, 5081); }),
         false, false, false, "yes"},
        {"json", "", "", "", command::storeYes(given.json)}};
    program.positional = {"TOTAL", "", command::storeWord(command::storeText(given.words, 100))};
    const auto parsed =
        command::parseOptions(program, arguments, [](auto) { return std::nullopt; });
    if (!parsed) return parsed.error();
    return given;
  };
  CHECK_FALSE(parse({})->web);
  CHECK((*parse({"--web"})->web == Endpoint{"127.0.0.1", 5081}));
  CHECK((*parse({"--web", "127.0.0.1:0"})->web == Endpoint{"127.0.0.1", 0}));
  CHECK((*parse({"--web=127.0.0.1:7"})->web == Endpoint{"127.0.0.1", 7}));
  CHECK_FALSE(parse({"--web", "--web=no"})->web);
  const auto total = parse({"--web", "5"});
  CHECK((*total->web == Endpoint{"127.0.0.1", 5081}));
  CHECK(total->words == "5");
  CHECK(parse({"--web", "--json"})->json);
  CHECK(parse({"--web", "192.0.2.1:80"}).error().code == ErrorCode::configuration);
  CHECK(parse({"--web", "127.0.0.1:x"}).error().code == ErrorCode::usage);
}

TEST_CASE("a secret is exchanged once") {
  Admissions all;
  const auto secret = all.newSecret(at(0s));
  CHECK_FALSE(all.mayUse(secret));
  const auto token = all.exchange(secret, at(1s));
  REQUIRE(token);
  CHECK(all.mayUse(*token));
  CHECK_FALSE(all.exchange(secret, at(1s)));
  CHECK_FALSE(all.exchange("", at(1s)));
  CHECK_FALSE(all.mayUse(""));
  CHECK_FALSE(all.mayUse(token->substr(1)));
  CHECK_FALSE(all.mayUse(*token + "0"));
}

TEST_CASE("a secret that nobody has used in time is worth nothing") {
  Admissions all;
  const auto early = all.newSecret(at(0s));
  const auto late = all.newSecret(at(1s));
  CHECK_FALSE(all.exchange(early, at(0s) + limits::kWebSecretLife));
  CHECK(all.exchange(late, at(0s) + limits::kWebSecretLife));
}

TEST_CASE("the oldest of too many secrets and tokens go") {
  Admissions all;
  const auto first = all.newSecret(at(0s));
  for (std::size_t i = 1; i < limits::kWebSecrets; ++i) all.newSecret(at(0s));
  const auto last = all.newSecret(at(0s));
  CHECK_FALSE(all.exchange(first, at(1s)));
  const auto oldest = all.exchange(last, at(1s));
  REQUIRE(oldest);
  for (std::size_t i = 1; i < limits::kWebTokens; ++i) all.exchange(all.newSecret(at(1s)), at(1s));
  CHECK(all.mayUse(*oldest));
  all.exchange(all.newSecret(at(1s)), at(1s));
  CHECK_FALSE(all.mayUse(*oldest));
}

TEST_CASE("a page gets the events behind the one that it knows, each once") {
  EventRing ring(7);
  Position from = ring.last();
  CHECK(*ring.behind(from, 10) == "");
  ring.add("set", "1");
  ring.add("gone", "2");
  CHECK(*ring.behind(from, 1) == "id: 7.1\nevent: set\ndata: 1\n\n");
  CHECK(*ring.behind(from, 10) == "id: 7.2\nevent: gone\ndata: 2\n\n");
  CHECK(*ring.behind(from, 10) == "");
  CHECK((from == ring.last()));
}

TEST_CASE("a page that comes too late, from another run or from the future starts anew") {
  EventRing ring(7);
  Position old = ring.last();
  for (std::size_t i = 0; i < limits::kWebEvents; ++i) ring.add("set", "x");
  Position copy = old;
  CHECK(ring.behind(copy, 1));
  ring.add("set", "x");
  CHECK_FALSE(ring.behind(old, 1));
  Position other{8, ring.last().number};
  CHECK_FALSE(ring.behind(other, 1));
  Position future{7, ring.last().number + 1};
  CHECK_FALSE(ring.behind(future, 1));
}

TEST_CASE("events take a bounded number of bytes") {
  EventRing ring(1);
  Position first = ring.last();
  const std::string large(limits::kWebEventBytes / 4, 'x');
  for (int i = 0; i < 3; ++i) ring.add("set", large);
  Position copy = first;
  CHECK(ring.behind(copy, 1));
  for (int i = 0; i < 3; ++i) ring.add("set", large);
  CHECK_FALSE(ring.behind(first, 1));
}

TEST_CASE("an id of an event is two numbers with a dot, and nothing else") {
  CHECK((*Position::parse("12.34") == Position{12, 34}));
  CHECK(Position{12, 34}.text() == "12.34");
  for (const auto* text :
       {"", ".", "1.", ".1", "1", "1.2.3", "1.2 ", "-1.2", "1.x", "99999999999999999999.1"}) {
    CAPTURE(text);
    CHECK_FALSE(Position::parse(text));
  }
}

TEST_CASE("the changes between two pictures make the one of the other") {
  const Picture from = {{"peers", {{"s1", "1"}, {"s2", "2"}}}, {"old", {{"x", "0"}}}};
  const Picture to = {{"peers", {{"s2", "3"}, {"s4", "4"}}}, {"new", {{"y", "5"}}}};
  Picture made = from;
  std::vector<std::string> texts;
  eachChange(from, to, [&](const Change& change) {
    texts.push_back(kindOf(change) + jsonOf(change));
    if (change.value != nullptr) {
      made[change.group][change.key] = *change.value;
    } else {
      made[change.group].erase(change.key);
    }
  });
  std::erase_if(made, [](const auto& group) { return group.second.empty(); });
  CHECK((made == to));
  CHECK((texts == std::vector<std::string>{R"(gone{"in":"old","key":"x"})",
                                           R"(gone{"in":"peers","key":"s1"})",
                                           R"(set{"in":"new","key":"y","value":5})",
                                           R"(set{"in":"peers","key":"s2","value":3})",
                                           R"(set{"in":"peers","key":"s4","value":4})"}));
  eachChange(to, to, [](const Change&) { FAIL("nothing has changed"); });
}

TEST_CASE("names of peers cannot leave their place in the JSON, or be no UTF-8") {
  const Picture picture = {{"peers", {{"\"},\n\xff</script>", "1"}}}};
  CHECK(jsonOf(picture) == "{\"peers\":{\"\\\"},\\n\xef\xbf\xbd</script>\":1}}");
}

TEST_CASE("metrics are in the text format of Prometheus") {
  CHECK(metricsText({{"espalier_members", "Peers.", Metric::Kind::gauge, 3},
                     {"espalier_refused_total", "Refused.", Metric::Kind::counter, 0.5}}) ==
        "# HELP espalier_members Peers.\n# TYPE espalier_members gauge\nespalier_members 3\n"
        "# HELP espalier_refused_total Refused.\n# TYPE espalier_refused_total counter\n"
        "espalier_refused_total 0.5\n");
}

TEST_CASE(
    "a histogram is told by its bounds, each with all that took no longer, and by sum and count") {
  Histogram took;
  for (const auto one : {Duration(0ms), Duration(5ms), Duration(40ms), Duration(2min)})
    took.add(one);
  took.add(-1s);  // a clock that went back
  CHECK(took.upTo(0) == 3);
  CHECK(took.count() == 5);
  const auto text =
      metricsText({{"espalier_heal_seconds", "Heals.", Metric::Kind::histogram, 0, took}});
  CAPTURE(text);
  CHECK(
      text.starts_with("# HELP espalier_heal_seconds Heals.\n"
                       "# TYPE espalier_heal_seconds histogram\n"
                       "espalier_heal_seconds_bucket{le=\"0.005\"} 3\n"
                       "espalier_heal_seconds_bucket{le=\"0.01\"} 3\n"));
  CHECK(text.find("_bucket{le=\"0.05\"} 4\n") != std::string::npos);
  CHECK(
      text.ends_with("_bucket{le=\"60\"} 4\n"
                     "espalier_heal_seconds_bucket{le=\"+Inf\"} 5\n"
                     "espalier_heal_seconds_sum 120.045\n"
                     "espalier_heal_seconds_count 5\n"));
}
