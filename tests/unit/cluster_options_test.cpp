// The options of a metaserver for a cluster, and the command lines of the originals.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "common/base/limits.h"
#include "tests/unit/parsed_options.h"

using namespace espalier;
using namespace espalier::metaserver::shell;
using namespace espalier::test;

namespace {

Words textsOf(const Result<MetaserverOptions>& options) {
  REQUIRE_MESSAGE(options.ok(), (options.ok() ? "" : options.error().message));
  Words texts;
  for (const auto& at : options->cluster) texts.push_back(at.text());
  return texts;
}

std::string refused(const Words& words, const Variables& variables = {},
                    ErrorCode code = ErrorCode::usage) {
  const auto options = metaserverOf(words, variables);
  REQUIRE_FALSE(options.ok());
  CHECK(options.error().code == code);
  return options.error().message;
}

}  // namespace

TEST_CASE("a metaserver without options is in no cluster, and could be in one") {
  const auto options = metaserverOf({});
  REQUIRE(options.ok());
  CHECK(options->name.text() == "m5000");
  CHECK(options->cluster.empty());
  CHECK(options->election == metaserver::cluster::ElectionChoice{});
  CHECK(options->coordination.isBuiltIn());
  CHECK_FALSE(options->entry);
  CHECK(options->balance == "least-connections");
  CHECK(options->maxPeers == 100'000);
  CHECK(options->instances == 0);
  CHECK(options->migrateEvery == std::chrono::milliseconds{0});
  CHECK(options->clusterSecretFile.empty());
  CHECK_FALSE(options->serverPort);
  CHECK_FALSE(options->hasFilesByPort());
}

TEST_CASE("the metaservers of a cluster are a list, from every source, each of them once") {
  const Words two{"127.0.0.1:5000", "[::1]:5010"};
  CHECK(textsOf(metaserverOf({"--cluster", "127.0.0.1:5000", "--cluster=[::1]:5010"})) == two);
  CHECK(textsOf(metaserverOf({"--cluster", "127.0.0.1:5000,[::1]:5010,127.0.0.1:5000"})) == two);
  CHECK(textsOf(metaserverOf({}, {{"ESPALIER_CLUSTER", "127.0.0.1:5000,[::1]:5010"}})) == two);
  const ConfigFile file("cluster = 127.0.0.1:5000\ncluster = [::1]:5010\n");
  CHECK(textsOf(metaserverOf({"--config", file.path()})) == two);
  // One source wins as a whole.
  CHECK(textsOf(metaserverOf({"--cluster", "a:1"}, {{"ESPALIER_CLUSTER", "b:2"}})) == Words{"a:1"});

  Words most;
  std::string list = "m0:1";
  for (unsigned i = 0; i < limits::kMetaservers; ++i) {
    most.insert(most.end(), {"--cluster", "m" + std::to_string(i) + ":1"});
    if (i > 0) list += ",m" + std::to_string(i) + ":1";
  }
  CHECK(textsOf(metaserverOf(most)).size() == limits::kMetaservers);
  most.insert(most.end(), {"--cluster", "m:1"});
  CHECK(refused(most) == "--cluster: more than 16 metaservers");
  const ConfigFile tooMany("cluster = " + list + "\ncluster = m:1\n");
  CHECK(refused({"--config", tooMany.path()}, {}, ErrorCode::configuration) ==
        tooMany.path() + ":2: cluster: more than 16 metaservers");
  CHECK(refused({"1", "2", "m:1", "--cluster", list}) == "more than 16 metaservers");

  CHECK(refused({"--cluster", "a:1,"}) == "--cluster: \"\" is no HOST:PORT: the host is missing");
  CHECK(refused({"--cluster", "a:0"}) ==
        "--cluster: \"a:0\" is no HOST:PORT: a metaserver's port is 1 to 65535");
  CHECK(refused({}, {{"ESPALIER_CLUSTER", "a"}}, ErrorCode::configuration) ==
        "ESPALIER_CLUSTER: \"a\" is no HOST:PORT: the port is missing");
}

TEST_CASE("files and name follow from the port where several may run in one folder") {
  const auto plain = metaserverOf({"--listen", "127.0.0.1:5010"});
  REQUIRE(plain.ok());
  CHECK(plain->state == "./.metaserver");
  CHECK(plain->name.text() == "m5010");
  for (const Words& words : {Words{"--listen", "127.0.0.1:5010", "--cluster", "127.0.0.1:5000"},
                             Words{"--listen", "127.0.0.1:5010", "--instances", "3"}, Words{"5010"},
                             Words{"127.0.0.1", "5010"}}) {
    CAPTURE(words.front());
    const auto options = metaserverOf(words);
    REQUIRE(options.ok());
    CHECK(options->state == "./.metaserver-5010");
    CHECK(options->topoFile == "./topo-5010.txt");
    CHECK(options->countFile == "./NumberOfServers-5010.txt");
    CHECK(options->name.text() == "m5010");
  }
  auto given =
      metaserverOf({"5010", "--name", "paris", "--topo", "t", "--count-file", "c", "--state", "s"});
  REQUIRE(given.ok());
  CHECK(given->name.text() == "paris");
  CHECK(given->topoFile + given->countFile + given->state == "tcs");

  auto anyPort = metaserverOf({"--listen", "127.0.0.1:0", "--cluster", "a:1", "--topo", "t"});
  REQUIRE(anyPort.ok());
  anyPort->choosePort(40'000);
  CHECK(anyPort->state == "./.metaserver-40000");
  CHECK(anyPort->topoFile == "t");
  CHECK(anyPort->name.text() == "m40000");
  CHECK(refused({"--name", "a b"}) ==
        "--name: \"a b\" is no metaserver name: it has a space or a control character");
}

TEST_CASE("the originals' command lines are understood") {
  const auto one = metaserverOf({"5020"});
  REQUIRE(one.ok());
  CHECK(one->listen.text() == "127.0.0.1:5020");
  CHECK_FALSE(one->serverPort);
  const auto two = metaserverOf({"5020", "5021"});
  REQUIRE(two.ok());
  CHECK(two->serverPort == 5021);
  CHECK(two->cluster.empty());
  CHECK_FALSE(metaserverOf({"5020", "5020"})->serverPort);
  for (const auto* other : {"127.0.0.1-5001", "127.0.0.1:5001"}) {
    const auto three = metaserverOf({"5020", "5021", other});
    CHECK(textsOf(three) == Words{"127.0.0.1:5001", "127.0.0.1:5000"});
    CHECK(three->serverPort == 5021);
    CHECK(three->listen.text() == "127.0.0.1:5020");
  }
  CHECK(textsOf(metaserverOf({"5020", "5021", "::1-5001"})) == Words{"[::1]:5001", "[::1]:5000"});
  CHECK(textsOf(metaserverOf({"5020", "5021", "a-b:5001", "--cluster", "c:1"})) ==
        Words{"c:1", "a-b:5001", "a-b:5000"});
  CHECK(metaserverOf({"192.0.2.1", "5020"})->listen.text() == "192.0.2.1:5020");
  CHECK(metaserverOf({"::1", "5020"})->listen.text() == "[::1]:5020");
  CHECK(metaserverOf({"[::1]", "5020"})->listen.text() == "[::1]:5020");
  CHECK(metaserverOf({"localhost", "5020"})->listen.text() == "localhost:5020");
  // The command line wins over the environment; its host stays where only a port is given.
  const Variables variables{{"ESPALIER_LISTEN", "0.0.0.0:7000"}};
  CHECK(metaserverOf({"5020"}, variables)->listen.text() == "0.0.0.0:5020");
  CHECK(metaserverOf({"192.0.2.1", "5020"}, variables)->listen.text() == "192.0.2.1:5020");
}

TEST_CASE("a chat that opens when so many have come, also in the form of the third original") {
  CHECK(metaserverOf({})->chatOpensAt == 0);
  CHECK(metaserverOf({"-2"})->chatOpensAt == 2);
  CHECK(metaserverOf({"-20", "--listen", "127.0.0.1:6000"})->chatOpensAt == 20);
  CHECK(metaserverOf({"--chat-opens-at", "3"})->chatOpensAt == 3);
  CHECK(refused({"-99999999"}).find("--chat-opens-at") != std::string::npos);
  CHECK_FALSE(metaserverOf({"--listen", "127.0.0.1:6000", "-2"}).ok());

  CHECK(metaserverOf({})->roomRate == 5);
  CHECK(metaserverOf({"--room-rate", "100"})->roomRate == 100);
  (void)refused({"--room-rate", "0"});
}

TEST_CASE("what is none of the originals' command lines is refused with one sentence") {
  CHECK(refused({"0"}) == "CLIENT_PORT: \"0\" is no number from 1 to 65535");
  CHECK(refused({"5020", "65536"}) == "SERVER_PORT: \"65536\" is no number from 1 to 65535");
  CHECK(refused({"5020", "127.0.0.1:5000"}) ==
        "SERVER_PORT: \"127.0.0.1:5000\" is no number from 1 to 65535");
  CHECK(refused({"5020", "5021", "5001"}) ==
        "\"5001\" is no HOST:PORT: the host is neither an IP address nor a DNS name");
  const std::string forms =
      " is none of the forms: metaserver CLIENT_PORT [SERVER_PORT [HOST:PORT]], or metaserver IP "
      "PORT";
  CHECK(refused({"127.0.0.1"}) == "\"127.0.0.1\"" + forms);
  CHECK(refused({"127.0.0.1", "5000", "5001"}) == "\"127.0.0.1 5000 5001\"" + forms);
  CHECK(refused({"127.0.0.1", "0"}) == "\"127.0.0.1 0\"" + forms);
  CHECK(refused({"status"}) == "\"status\"" + forms);
  CHECK(refused({"1", "2", "a:3", "4"}) ==
        "unexpected argument \"4\": metaserver takes at most 3, see --help");
  CHECK(refused({"5020", "--listen", "0.0.0.0:5020"}) ==
        "--listen, and a port as an argument: only one of them says where peers reach it");
}

TEST_CASE("election and coordination are parsed, or refused with what they can be") {
  using metaserver::cluster::ElectionRule;
  CHECK(metaserverOf({"--election", "address"})->election.rule == ElectionRule::address);
  CHECK(metaserverOf({"--election", "priority:7"})->election.priority == 7);
  CHECK(metaserverOf({}, {{"ESPALIER_ELECTION", "most-peers"}})->election.rule ==
        ElectionRule::mostPeers);
  CHECK(refused({"--election", "youngest"})
            .starts_with("--election: \"youngest\" is no election rule: "));

  CHECK(metaserverOf({"--coordination", "builtin"})->coordination.isBuiltIn());
  const auto etcd = metaserverOf(
      {"--coordination", "etcd:http://127.0.0.1:2379,https://[::1]:4001/,http://e.example"});
  REQUIRE(etcd.ok());
  CHECK(etcd->coordination.engine() == "etcd");
  CHECK(etcd->coordination.etcd ==
        Words{"http://127.0.0.1:2379", "https://[::1]:4001/", "http://e.example"});
  CHECK(metaserverOf({"--coordination", "etcd:https://u:p@a:1,https://u:p@a:1/"})
            ->coordination.etcd.size() == 1);

  CHECK(metaserverOf({"--coordination", "etcd:https://a:1", "--etcd-ca-file", "ca.pem"}).ok());
  for (const char* engine : {"builtin", "etcd:http://a:1"}) {
    CHECK(refused({"--coordination", engine, "--etcd-ca-file", "ca.pem"}) ==
          "--etcd-ca-file: no URL of --coordination is https://…");
  }

  CHECK(metaserverOf({})->etcdPrefix == "/espalier/");
  for (const char* prefix : {"/a/", "/office/paris-2/", "/A.b_c/"}) {
    CAPTURE(prefix);
    const auto chosen =
        metaserverOf({"--coordination", "etcd:http://a:1", "--etcd-prefix", prefix});
    REQUIRE(chosen.ok());
    CHECK(chosen->etcdPrefix == prefix);
    CHECK(refused({"--etcd-prefix", prefix}) == "--etcd-prefix: --coordination is builtin");
  }
  const std::string longest = "/" + std::string(limits::kEtcdPrefixBytes - 2, 'a') + "/";
  CHECK(metaserverOf({"--coordination", "etcd:http://a:1", "--etcd-prefix", longest}).ok());
  for (const std::string& prefix :
       {std::string("/"), std::string("//"), std::string("a/"), std::string("/a"),
        std::string("/a//b/"), std::string("/a b/"), std::string("/\xff/"), "/a" + longest}) {
    CAPTURE(prefix);
    CHECK(refused({"--coordination", "etcd:http://a:1", "--etcd-prefix", prefix})
              .find(" is no prefix of keys: ") != std::string::npos);
  }

  const auto why = [](const std::string& value) { return refused({"--coordination", value}); };
  CHECK(why("zookeeper") == "--coordination: \"zookeeper\" is neither builtin nor etcd:URL");
  CHECK(why("etcd") == "--coordination: \"etcd\" is neither builtin nor etcd:URL");
  for (const auto* url : {"", "127.0.0.1:2379", "http://a:1/v3", "http://u@a:1", "http://a:0"}) {
    CAPTURE(url);
    CHECK(why(std::string("etcd:") + url).starts_with("--coordination: "));
  }
  // A password is not repeated.
  CHECK(why("etcd:http://u:secret@a:0").find("secret") == std::string::npos);
  std::string many = "etcd:http://e:1";
  for (unsigned i = 2; i <= limits::kEtcdUrls; ++i) many += ",http://e:" + std::to_string(i);
  CHECK(metaserverOf({"--coordination", many}).ok());
  CHECK(why(many + ",http://e:99") == "--coordination: more than 16 URLs of etcd");
}

TEST_CASE("entries, balance, instances and migration have bounds") {
  const auto options = metaserverOf({"--entry", "--balance", "nearest", "--max-peers", "5",
                                     "--migrate-every", "30s", "--cluster-secret-file", "s"});
  REQUIRE(options.ok());
  CHECK(options->entry);
  CHECK(options->balance == "nearest");
  CHECK(options->maxPeers == 5);
  CHECK(options->migrateEvery == std::chrono::seconds(30));
  CHECK(options->clusterSecretFile == "s");
  const auto several = metaserverOf({"--instances", "15"});
  REQUIRE(several.ok());
  CHECK(several->instances == 15);
  CHECK(several->entry);

  CHECK(refused({"--balance", "round"}) ==
        "--balance: \"round\" is none of least-connections, round-robin and nearest: did you mean "
        "round-robin?");
  CHECK(refused({"--max-peers", "0"}) == "--max-peers: \"0\" is no number from 1 to 100000");
  CHECK(refused({"--instances", "16"}) == "--instances: \"16\" is no number from 1 to 15");
  CHECK(refused({"--listen", "a:65530", "--instances", "6"}) ==
        "--instances: there are no 6 ports behind a:65530");
  CHECK(metaserverOf({"--listen", "a:65530", "--instances", "5"}).ok());
  CHECK(refused({"--listen", "a:0", "--instances", "1"}) ==
        "--instances: there are no 1 ports behind a:0");
}

TEST_CASE("durations have a unit and bounds") {
  const auto duration = [](const std::string& text) {
    const auto options = metaserverOf({"--migrate-every", text});
    return options ? options->migrateEvery.count() : -1;
  };
  CHECK(duration("1000ms") == 1000);
  CHECK(duration("5min") == 300'000);
  CHECK(duration("2h") == 7'200'000);
  CHECK(duration("8784h") == 31'622'400'000);
  for (const auto* text : {"", "30", "s", "-1s", "1.5s", "1 s", "1d", "999ms", "0s", "8785h",
                           "99999999999999999999s", "18446744073709551615h"}) {
    CAPTURE(text);
    CHECK(duration(text) == -1);
  }
  CHECK(refused({"--migrate-every", "30"}) ==
        "--migrate-every: \"30\" is no duration: 500ms, 30s, 5min or 2h");
  CHECK(refused({"--migrate-every", "1ms"}).starts_with("--migrate-every: \"1ms\" is not from "));
  CHECK(rc::check([] {
    const auto seconds = *rc::gen::inRange(1, 1'000'000);
    RC_ASSERT(metaserverOf({"--migrate-every", std::to_string(seconds) + "s"})->migrateEvery ==
              std::chrono::seconds(seconds));
  }));
}

TEST_CASE("help has every option of a cluster, with examples") {
  MetaserverOptions options;
  const auto parsed = parseMetaserverOptions({"--help"}, environmentOf({}), options);
  REQUIRE(parsed.ok());
  for (const auto* name :
       {"--cluster HOST:PORT", "--name NAME", "--election RULE", "--coordination ENGINE", "--entry",
        "--balance RULE", "--max-peers N", "--instances N", "--migrate-every DURATION",
        "--cluster-secret-file FILE", "[CLIENT_PORT [SERVER_PORT [HOST:PORT]] | IP PORT]"}) {
    CAPTURE(name);
    CHECK(parsed->text->find(name) != std::string::npos);
  }
  std::size_t widest = 0;
  std::string_view rest = *parsed->text;
  while (!rest.empty()) {
    widest = std::max(widest, rest.find('\n'));
    rest.remove_prefix(rest.find('\n') + 1);
  }
  CHECK(widest <= 120);
}
