// The commands of a metaserver about the others, as text and as JSON.
#include "metaserver/shell/cluster_commands.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <string>
#include <vector>

#include "metaserver/shell/commands.h"
#include "metaserver/shell/running_here.h"
#include "tests/unit/fake_metaserver.h"

using namespace espalier;
using namespace espalier::command;
using namespace espalier::metaserver::shell;
using namespace espalier::test;

namespace {

struct Fixture {
  FakeMetaserver service;
  FakeCluster cluster;
  Dispatcher dispatcher{metaserverCommands(service, cluster), metaserverNames(service, cluster),
                        originalCommands()};
  std::string said;

  Outcome run(const std::string& line) {
    Context context;
    context.say = [this](const std::string& text) { said = text; };
    return dispatcher.runLine(line, context);
  }
  std::string text(const std::string& line) {
    const auto rendered = render(run(line), Format::text);
    return rendered.out + rendered.err;
  }
  std::string json(const std::string& line) { return render(run(line), Format::json).out; }
};

void useUtc() {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
}

}  // namespace

TEST_CASE("master says who is the master, and by which rule") {
  Fixture given;
  CHECK(given.text("master") == "m5000 is the master (epoch 3, oldest first)\n");
  CHECK(given.json("master") ==
        R"({"command":"master","self":"m5000","master":"m5000","epoch":3,"rule":"oldest",)"
        R"("engine":"builtin"})"
        "\n");
  given.cluster.info.rule = metaserver::cluster::ElectionRule::mostPeers;
  CHECK(given.text("-m") == "m5000 is the master (epoch 3, most peers first)\n");
  given.cluster.info.isAppointed = true;
  CHECK(given.text("-m") == "m5000 is the master (epoch 3, appointed by a user)\n");

  CHECK(given.text("master m5010") == "the master is m5010 on 127.0.0.1:5010\n");
  CHECK(given.cluster.info.epoch == 4);
  CHECK(given.run("master a:b").exitCode() == 64);

  given.cluster.info.master = {};
  CHECK(given.text("-m") == "no master: m5000 is alone\n");
  CHECK(given.run("-m").json()["master"].is_null());
  given.cluster.info.whyNone = "waiting for etcd at http://127.0.0.1:2379";
  CHECK(given.text("-m") == "no master: waiting for etcd at http://127.0.0.1:2379\n");
}

TEST_CASE("servers shows every metaserver of the cluster") {
  useUtc();
  Fixture given;
  CHECK(
      given.text("servers") ==
      "m5000  127.0.0.1:5000  master, this one  12 peers  since 2026-11-30 00:53:20  0.1.0  up to "
      "date\n"
      "m5010  127.0.0.1:5010  drains            1 peer    since 2026-11-30 00:53:20  0.2.0  1 "
      "change behind\n"
      "m5020  127.0.0.1:5020  dead              0 peers   since 2026-11-30 00:53:20  -\n");
  given.cluster.all.resize(1);
  CHECK(given.json("servers") ==
        R"({"command":"servers","servers":[{"name":"m5000","endpoint":"127.0.0.1:5000",)"
        R"("master":true,"peers":12,"started":"2026-11-30T00:53:20Z","behind":0,)"
        R"("version":"0.1.0","self":true,"drains":false,"dead":false}]})"
        "\n");
}

TEST_CASE("status says which metaserver it is of, who the master is, and which others there are") {
  Fixture given;
  const auto status = given.text("status");
  CHECK(status.find("name         m5000\n") != std::string::npos);
  CHECK(status.find("cluster      2 metaservers; m5000 is the master (epoch 3, oldest first)\n") !=
        std::string::npos);
  const auto json = given.run("status").json();
  CHECK(json["endpoint"] == "127.0.0.1:5000");
  CHECK(json["peers"] == 3);
  CHECK(json["self"] == "m5000");
  CHECK(json["master"] == "m5000");
  CHECK(json["epoch"] == 3);
  CHECK(json["rule"] == "oldest");
  CHECK(json["engine"] == "builtin");
  CHECK(json["metaservers"] == Json::array({"m5000", "m5010"}));  // without the dead one

  given.cluster.all.resize(1);
  given.cluster.info.master = {};
  CHECK(given.text("status").find("cluster      1 metaserver; no master: m5000 is alone\n") !=
        std::string::npos);
  CHECK(given.run("status").json()["master"].is_null());
}

TEST_CASE("uptime, links and their number") {
  useUtc();
  Fixture given;
  CHECK(given.text("-t") == "m5000 was started on 2026-11-30 00:53:20 and has run for 2 h 5 min\n");
  CHECK(given.json("uptime") ==
        R"({"command":"uptime","self":"m5000","started":"2026-11-30T00:53:20Z","uptime":7500.0})"
        "\n");
  CHECK(given.text("links") == "no links\n");
  given.cluster.linked = {{serverName("m5010"), {"127.0.0.1", 5010}, true, true},
                          {serverName("m5020"), {"::1", 5020}, false, false}};
  CHECK(given.text("-cl") == "m5010  127.0.0.1:5010  master\nm5020  [::1]:5020      silent\n");
  CHECK(given.text("-cn") == "2\n");
  CHECK(given.json("-cn") == "{\"command\":\"links\",\"count\":2}\n");
  CHECK(given.json("links") ==
        R"({"command":"links","count":2,"links":[{"name":"m5010","endpoint":"127.0.0.1:5010",)"
        R"("master":true,"up":true},{"name":"m5020","endpoint":"[::1]:5020","master":false,)"
        R"("up":false}]})"
        "\n");
}

TEST_CASE("link takes an address in every form, also that of the original") {
  Fixture given;
  for (const auto* line : {"link 127.0.0.1:5010", "link 127.0.0.1 5010", "-c 127.0.0.1 5010",
                           "-c 127.0.0.1-5010", "link 127.0.0.1-5010"}) {
    CAPTURE(line);
    CHECK(given.text(line) == "linked to m5010 on 127.0.0.1:5010\n");
  }
  CHECK(given.text("link ::1 5010") == "linked to m5010 on [::1]:5010\n");
  CHECK(given.json("-c 127.0.0.1:5010") ==
        "{\"command\":\"link\",\"result\":\"linked to m5010 on 127.0.0.1:5010\"}\n");
  for (const auto* line : {"link", "-c", "link x", "link x:0", "link x 0", "link x 1 2"}) {
    CAPTURE(line);
    CHECK(given.run(line).exitCode() == 64);
  }
}

TEST_CASE("drain, migrate and forget") {
  Fixture given;
  CHECK(given.text("drain") == "m5000 is alone: drain --force ends it\n");
  CHECK(given.run("drain").exitCode() == 77);
  CHECK(given.text("drain --force") == "m5000 ends\n");
  CHECK(given.text("migrate 127.0.0.1:5001") == "listening on 127.0.0.1:5001\n");
  CHECK(given.run("migrate 5001").exitCode() == 64);
  CHECK(given.text("forget m5020") == "m5020 is forgotten\n");
  CHECK(given.text("forget m5010") == "m5010 is not dead\n");
}

TEST_CASE("rooms lists members, entries, and how many a closed room waits for") {
  Fixture given;
  CHECK(given.text("rooms") == "fleece  2 members  opens at 3\nlobby   4 members  1 entry\n");
  CHECK(given.json("rooms") ==
        R"({"command":"rooms","rooms":[)"
        R"({"room":"fleece","members":2,"open":false,"opens_at":3,"last":17},)"
        R"({"room":"lobby","members":4,"open":true,"opens_at":null,"last":1}]})"
        "\n");
}

TEST_CASE("history shows what this metaserver keeps of a room, and what it leaves out") {
  useUtc();
  Fixture given;
  auto& said = given.cluster.said;
  wire::RoomEntry entry;
  entry.position = {{3, ServerNumber{1}}, 40};
  entry.number = 16;
  entry.atMs = 1'795'000'000'000;
  entry.author = *PeerId::parse("s4");
  entry.text = "hi\x1b[2J\u202e";
  said.entries = {entry};
  CHECK(given.json("history fleece") ==
        R"({"command":"history","room":"fleece","missing":[],"messages":[{"number":16,"epoch":3,)"
        R"("at":"2026-11-18T11:06:40Z","from":"s4","text":"hi\u001b[2J\u202e"}]})"
        "\n");
  CHECK(given.cluster.askedEntries == 20);
  CHECK(given.text("history #fleece 7") == "2026-11-18 11:06  s4: hi\\x1b[2J\\u{202e}\n");
  CHECK(given.cluster.askedEntries == 7);
  CHECK(given.run("history").json()["room"] == "lobby");

  said.more = 3;
  said.problem = "the master m5010 has all of it";
  CHECK(given.text("history fleece") ==
        "(3 are older than these and left out: ask for fewer)\n"
        "2026-11-18 11:06  s4: hi\\x1b[2J\\u{202e}\n(the master m5010 has all of it)\n");
  CHECK(given.run("history fleece").json()["more"] == 3);
  CHECK(given.run("history fleece").json()["problem"] == "the master m5010 has all of it");

  said = {};
  said.isClosed = true;
  CHECK(given.text("history fleece") == "nothing is shown before the chat opens\n");
  CHECK(given.json("history fleece") ==
        R"({"command":"history","room":"fleece","open":false,"missing":[],"messages":[]})"
        "\n");
  CHECK(given.run("history void").exitCode() == 1);
  CHECK(given.run("history fleece 1001").exitCode() == 64);
}

TEST_CASE("whatif kill of a metaserver: the next master, and where its peers would go") {
  Fixture given;
  given.cluster.plan = {
      true, false, serverName("m5010"), {{serverName("m5010"), 1}, {serverName("m7"), 11}}, 2};
  CHECK(given.text("whatif kill m5000") ==
        "m5010 would be the master\n1 peer would go to m5010\n11 peers would go to m7\n"
        "2 peers would find no metaserver with room\n");
  CHECK(given.json("whatif kill m5000") ==
        R"({"command":"whatif","kill":"m5000","metaserver":true,"master":"m5010","moves":)"
        R"([{"to":"m5010","peers":1},{"to":"m7","peers":11}],"homeless":2})"
        "\n");
  CHECK(given.said.empty());
  given.cluster.plan = {false, false, serverName("m7"), {}, 0};
  CHECK(given.text("whatif kill m5000") ==
        "m7 would stay the master\nno peer would have to go elsewhere\n");
  given.cluster.plan = {};
  CHECK(given.text("whatif kill m5000").starts_with("no metaserver would be the master"));
  given.cluster.plan = {false, true, {}, {}, 0};
  CHECK(given.text("whatif kill m5000") ==
        "m5000 is the only metaserver: until it is started again nobody could join\n");
  given.cluster.plan.homeless = 2;
  CHECK(given.text("whatif kill m5000")
            .ends_with("2 peers would go on without a metaserver, and come back then\n"));
}

TEST_CASE(
    "whatif kill of a name that a peer and a metaserver have is about the peer, and says so") {
  Fixture given;
  CHECK(given.text("whatif kill m5010").starts_with("no peer would have to attach again\n"));
  CHECK(given.said == "m5010 is a metaserver, too: whatif kill --server m5010");
  CHECK(given.run("whatif kill --server m5010").json()["metaserver"] == true);
  given.said.clear();
  CHECK(given.text("whatif kill s1").starts_with("no peer would have to attach again\n"));
  CHECK(given.said.empty());
  // The dead cannot die.
  CHECK(given.text("whatif kill m5020") == "m5020 is dead already\n");
  CHECK(given.text("whatif kill --server m5020") == "m5020 is dead already\n");
  CHECK(given.text("whatif kill nobody") ==
        "nobody is neither a peer of this network nor a metaserver of this cluster\n");
  CHECK(given.run("whatif kill nobody").exitCode() == 1);
  CHECK(given.text("whatif kill --server s1") == "s1 is no metaserver of this cluster\n");
  CHECK(given.run("whatif live s1").exitCode() == 64);
}

TEST_CASE("help and completion know the commands and the words of the original") {
  Fixture given;
  const auto help = given.text("-h");
  CHECK(help == given.text("help"));
  for (const auto& command : given.dispatcher.commands()) {
    CHECK(help.find(command.usage) != std::string::npos);
  }
  CHECK(given.text("help master").starts_with("master [NAME]\n"));
  using Words = std::vector<std::string>;
  CHECK(given.dispatcher.complete("master m50").candidates == Words{"m5000", "m5010", "m5020"});
  CHECK(given.dispatcher.complete("whatif kill ").candidates ==
        Words{"m5000", "m5010", "m5020", "s1"});
  CHECK(given.dispatcher.complete("-c").candidates == Words{"-c", "-cl", "-cn"});
  CHECK(given.dispatcher.complete("link ").candidates.empty());
}

TEST_CASE("-e finds the only metaserver that runs in a folder, else by its name") {
  const std::vector<RunningServer> two = {{"./.metaserver", "m5000"},
                                          {"./.metaserver-5010", "paris"}};
  CHECK(*chooseRunning({two[1]}, {}) == "./.metaserver-5010");
  CHECK(*chooseRunning(two, serverName("paris")) == "./.metaserver-5010");
  const auto several = chooseRunning(two, {});
  REQUIRE_FALSE(several.ok());
  CHECK(several.error().code == ErrorCode::usage);
  CHECK(several.error().message == "m5000 and paris run here: choose one by --name NAME");
  const auto other = chooseRunning(two, serverName("rome"));
  CHECK(other.error().code == ErrorCode::unavailable);
  CHECK(other.error().message == "no metaserver rome runs here: m5000 and paris do");
  CHECK(chooseRunning({}, {}).error().code == ErrorCode::unavailable);
  const auto silent = chooseRunning({{"./.metaserver-5010", ""}}, serverName("rome"));
  CHECK(silent.error().message ==
        "no metaserver rome runs here: the one on ./.metaserver-5010 does");
}

// --- stats

namespace {

wire::Statistics counted() {
  wire::Statistics sum;
  sum.since = std::chrono::milliseconds(1'796'000'000'999);
  sum.open = 1;
  sum.today = 7;
  sum.month = 31;
  sum.total = {40, 42, 1, 3, 13};
  return sum;
}

}  // namespace

TEST_CASE("stats shows what was counted, and since when") {
  useUtc();
  Fixture given;
  given.cluster.counted = counted();
  CHECK(given.text("stats") ==
        "here now    1 peer\n"
        "today       7 sessions\n"
        "this month  31 sessions\n"
        "in all      40 sessions\n"
        "approaches  42, of which 1 was lost\n"
        "rating      4.33 of 5, by 3 ratings\n"
        "counted     since 2026-11-30 00:53:20\n");
  CHECK(given.cluster.askedDays == 0);
  given.cluster.counted = {};
  CHECK(given.text("stats").find("approaches  0, of which 0 were lost\nrating      none\n") !=
        std::string::npos);
}

TEST_CASE("stats names the metaservers that are missing") {
  useUtc();
  Fixture given;
  given.cluster.counted = counted();
  given.cluster.counted.answered = given.cluster.counted.known = 3;
  CHECK(given.text("stats").ends_with("since 2026-11-30 00:53:20, of 3 metaservers\n"));
  given.cluster.counted.answered = 2;
  given.cluster.counted.missing = {serverName("m5020")};
  CHECK(given.text("stats").ends_with("20, of 2 of 3 metaservers (without m5020)\n"));
  CHECK(given.json("stats") ==
        R"({"command":"stats","since":"2026-11-30T00:53:20Z","metaservers":3,"answered":2,)"
        R"("missing":["m5020"],"open":1,"today":7,"month":31,"sessions":40,"approaches":42,)"
        R"("lost":1,"ratings":3,"rating":4.333333333333333})"
        "\n");
}

TEST_CASE("stats --days adds each day, and takes numbers from 1 to 366") {
  useUtc();
  Fixture given;
  given.cluster.counted = counted();
  given.cluster.counted.days = {{20'786, {9, 9, 0, 1, 4}}, {20'787, {6, 7, 1, 0, 0}}};
  CHECK(given.text("stats --days 2")
            .ends_with("date        sessions  approaches  lost  rating\n"
                       "2026-11-29         9           9     0  4.00 of 5, by 1 rating\n"
                       "2026-11-30         6           7     1  none\n"));
  CHECK(given.cluster.askedDays == 2);
  CHECK(given.json("stats --days 366")
            .ends_with(R"("days":[{"date":"2026-11-29","sessions":9,"approaches":9,"lost":0,)"
                       R"("ratings":1,"rating":4.0},{"date":"2026-11-30","sessions":6,)"
                       R"("approaches":7,"lost":1,"ratings":0,"rating":null}]})"
                       "\n"));
  for (const std::string wrong : {"0", "367", "-1", "x", "1x", ""}) {
    CAPTURE(wrong);
    CHECK(given.run("stats --days '" + wrong + "'").exitCode() == 64);
  }
}
