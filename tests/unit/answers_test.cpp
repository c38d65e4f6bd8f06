// Whether the answers of commands are complete: missing peers, further hits, the meaning of a name.
#include <doctest/doctest.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "tests/unit/given_command.h"

using namespace espalier;
using namespace espalier::test;

namespace {

using command::Json;

// s1 has `count` files below many/, of which a search names the first 200.
void giveMany(FakePeerService& service, std::size_t count) {
  ShareReport list;
  list.peer = id("s1");
  service.files.clear();
  for (std::size_t i = 0; i < count; ++i) {
    const auto name = "many/" + std::to_string(1000 + i) + ".txt";
    FileRoot root = rootOf(1);
    root.bytes[0] = static_cast<std::uint8_t>(i / 256);
    root.bytes[1] = static_cast<std::uint8_t>(i % 256);
    list.files.push_back({name, i, root});
    if (i < limits::kHitsPerPeer) {
      service.files.push_back({name, i, root, {{id("s1"), {"127.0.0.1", 5001}}}});
    }
  }
  list.files.push_back({"other.txt", 1, rootOf(2)});
  service.moreOf = {{id("s1"), count - limits::kHitsPerPeer}};
  service.lists.insert_or_assign(id("s1"), list);
}

std::vector<std::string> fetchedNames(const FakePeerService& service) {
  std::vector<std::string> names;
  for (const auto& each : service.fetched) names.push_back(each.file.name);
  return names;
}

}  // namespace

TEST_CASE("get of a glob also fetches files for which the search had no room") {
  Given given;
  giveMany(given.service, 300);
  const auto came = given.run("get 'many/*.txt'");
  CHECK(came.outcome.exitCode() == 0);
  CHECK(came.data["files"].size() == 300);
  CHECK_FALSE(came.data.contains("missing"));
  CHECK(given.run("get many/").data["files"].size() == 300);
}

TEST_CASE("get is partly done where a list that is needed cannot be had, and says whose") {
  Given given;
  giveMany(given.service, 300);
  given.service.lists.insert_or_assign(id("s1"), Error{ErrorCode::timeout, "no byte came"});
  const auto came = given.run("get 'many/*.txt'");
  CHECK(came.outcome.exitCode() == 3);
  CHECK(came.data["files"].size() == 200);
  CHECK(came.err.find("100 more at s1: no byte came") != std::string::npos);
  CHECK(came.data["error"]["code"] == 3);
  CHECK(came.data["missing"] == Json::array({"100 more at s1: no byte came"}));
}

TEST_CASE("a get does not wait for ever for holders that cannot be asked for their lists") {
  Given given;
  giveMany(given.service, 300);
  for (int i = 0; i < 100; ++i) {
    const auto liar = id("x" + std::to_string(100 + i));
    given.service.moreOf[liar] = 1;
    given.service.lists.insert_or_assign(liar, Error{ErrorCode::timeout, "out of reach"});
  }
  const auto came = given.run("get 'many/*.txt'");
  CHECK(came.outcome.exitCode() == 3);
  CHECK(came.data["files"].size() == 300);
  CHECK(came.data["missing"].size() == 17);
  CHECK(came.data["missing"].back() == "more at 84 other peers");
}

TEST_CASE("get is partly done if a peer did not answer, and names that peer") {
  Given given;
  given.service.files = {file("a.log", 1, 1, {"s1"})};
  given.service.members = 9;
  given.service.missing = {{id("s7"), false, 3}};
  for (const auto* name : {"'*.log'", "a.log"}) {
    CAPTURE(name);
    const auto came = given.run(std::string("get ") + name);
    CHECK(came.outcome.exitCode() == 3);
    CHECK(came.data["files"].size() == 1);
    CHECK(came.data["missing"] == Json::array({"s7 and 3 below it"}));
    CHECK(came.data["errors"][0]["code"] == 75);
    CHECK(came.err.find("no answer from s7 and 3 below it") != std::string::npos);
  }
  const auto none = given.run("get '*.txt'");
  CHECK(none.outcome.exitCode() == 75);
  CHECK(none.data["missing"] == Json::array({"s7 and 3 below it"}));
  // Nothing was saved, and that was not for lack of answers.
  given.service.fetchErrors["a.log"] = existsAndDiffers("./s2/a.log");
  CHECK(given.run("get '*.log'").outcome.exitCode() == 1);
}

TEST_CASE("a get of a root is complete once the root was found, although peers did not answer") {
  Given given;
  given.service.members = 9;
  given.service.missing = {{id("s7"), false, 3}};
  const auto came = given.run("get " + toHex(rootOf(3).view()));
  CHECK(came.outcome.exitCode() == 0);
  CHECK(given.run("get " + toHex(rootOf(9).view())).outcome.exitCode() == 75);
}

TEST_CASE("a peer that still indexes may have more of what a glob matches") {
  Given given;
  given.service.files = {file("a.log", 1, 1, {"s1"})};
  given.service.indexing = {id("s4")};
  CHECK(given.run("get a.log").outcome.exitCode() == 0);
  const auto came = given.run("get '*.log'");
  CHECK(came.outcome.exitCode() == 3);
  CHECK(came.err.find("s4 is still indexing") != std::string::npos);
  CHECK(came.data["missing"] == Json::array({"s4: still indexing"}));
  CHECK(given.run("find nothing").outcome.exitCode() == 75);
  given.service.indexing = {id("s2")};  // this peer itself
  CHECK(given.run("get '*.log'").outcome.exitCode() == 0);
}

TEST_CASE("an own older copy is no candidate, an only copy is") {
  Given given;
  given.service.files = {file("report.txt", 5, 1, {"s2"}), file("report.txt", 7, 2, {"s1"})};
  CHECK(given.run("get report.txt --force").outcome.exitCode() == 0);
  CHECK(given.service.fetched.back().file.root == rootOf(2));
  CHECK(given.service.fetched.back().force);
  CHECK(given.run("get 'report.*'").outcome.exitCode() == 0);
  CHECK(given.service.fetched.back().file.root == rootOf(2));
  CHECK(given.run("get " + toHex(rootOf(1).view())).outcome.exitCode() == 0);
  CHECK(given.service.fetched.back().file.root == rootOf(1));
  // What others have, too, is still one of several.
  given.service.files = {file("report.txt", 5, 1, {"s2", "s3"}), file("report.txt", 7, 2, {"s1"})};
  CHECK(given.run("get report.txt").data["candidates"].size() == 2);
  given.service.files = {file("report.txt", 5, 1, {"s2"})};
  CHECK(given.run("get report.txt").outcome.exitCode() == 0);
}

TEST_CASE("find takes a name that is exactly so, before it is a glob or a root") {
  Given given;
  const std::string hex = toHex(rootOf(9).view());
  given.service.files = {file("[live] song (2020).mp3", 1, 1, {"s1"}),
                         file("l song (2020).mp3", 1, 2, {"s1"}), file(hex, 1, 3, {"s1"}),
                         file("x/" + hex + ".bin", 1, 4, {"s1"}), file("y", 1, 9, {"s3"})};
  const auto found = [&](const std::string& pattern) {
    std::vector<std::string> names;
    const auto data = given.run("find '" + pattern + "'").data;
    for (const auto& hit : data["hits"]) names.push_back(hit["name"]);
    return names;
  };
  using Names = std::vector<std::string>;
  CHECK(found("[live] song (2020).mp3") == Names{"[live] song (2020).mp3"});
  CHECK(found("[live]* song (2020).mp3") == Names{"l song (2020).mp3"});
  CHECK(found(hex) == Names{hex});
  given.service.files.erase(given.service.files.begin() + 2);
  CHECK(found(hex) == Names{"y"});
  given.service.files.pop_back();
  CHECK(found(hex) == Names{"x/" + hex + ".bin"});
  CHECK(found("SONG") == Names{"[live] song (2020).mp3", "l song (2020).mp3"});
}

TEST_CASE("a name is also found as composed differently, unless it is there as it was typed") {
  Given given;
  const std::string nfd = "ło\u0301dz\u0301.pdf";
  given.service.files = {file(nfd, 1, 1, {"s1"})};
  CHECK(given.run("get łódź.pdf").outcome.exitCode() == 0);
  CHECK(fetchedNames(given.service) == std::vector<std::string>{nfd});
  given.service.files.push_back(file("łódź.pdf", 1, 2, {"s1"}));
  given.service.fetched.clear();
  CHECK(given.run("get łódź.pdf").outcome.exitCode() == 0);
  CHECK(fetchedNames(given.service) == std::vector<std::string>{"łódź.pdf"});
}

TEST_CASE("a list that is cut is partly done, and says so") {
  Given given;
  given.service.lists.insert_or_assign(id("s3"),
                                       ShareReport{id("s3"), {{"a", 1, rootOf(1)}}, false, 7, {}});
  const auto came = given.run("list s3");
  CHECK(came.outcome.exitCode() == 3);
  CHECK(came.data["more"] == 7);
  CHECK(came.data["error"]["code"] == 3);
  CHECK(came.out == "1 B  a\ns3 shares 1 file (1 B) and 7 more\n");
}

TEST_CASE("a completion that is cut says so") {
  FakePeerService service;
  for (std::size_t i = 0; i < limits::kCompletions; ++i) {
    service.known.push_back("n" + std::to_string(1000 + i));
  }
  const command::Dispatcher dispatcher(peer::shell::peerCommands(service.services()),
                                       peer::shell::peerNames(service.services()));
  CHECK_FALSE(dispatcher.complete("get n").more);
  service.known.push_back("other");
  CHECK_FALSE(dispatcher.complete("get n").more);
  service.known.push_back("n2000");
  CHECK(dispatcher.complete("get n").more);
  CHECK(dispatcher.complete("get n").candidates.size() == limits::kCompletions);
}

TEST_CASE("share names the files of a folder that are not shared, with the reasons") {
  Given given;
  given.service.unshared = {{"is a named pipe", 1, "docs/fifo"}, {"cannot be read", 3, "docs/x"}};
  const auto came = given.run("share /docs");
  CHECK(came.out ==
        "/docs: shared, 3 files\n"
        "not shared: docs/fifo is a named pipe\n"
        "not shared: docs/x and 2 others cannot be read\n");
  CHECK(came.data["notShared"][1]["count"] == 3);
}

TEST_CASE("a push is partly done while the state of some peers is not known") {
  Given given;
  given.service.pushReport.sender = id("s2");
  given.service.pushReport.peers = {{id("s1"), peer::shell::PushedPeer::State::verified, {}}};
  CHECK(given.run("push /a").outcome.exitCode() == 0);
  given.service.pushReport.others = 4;
  auto came = given.run("push /a");
  CHECK(came.outcome.exitCode() == 3);
  CHECK(came.err == "1 of 1 verified; no report yet from 4 other peers\n");
  CHECK(came.data["unknown"] == 4);
  given.service.pushReport.others.reset();
  came = given.run("push /a");
  CHECK(came.outcome.exitCode() == 3);
  CHECK(came.data["unknown"].is_null());
}

TEST_CASE("push passes on the typed text beside the path that it stands for") {
  Given given;
  given.context.directory = "/home/ann";
  given.run("push notes.txt --to s1");
  CHECK(given.service.pushed.back().paths == std::vector<std::string>{"/home/ann/notes.txt"});
  CHECK(given.service.pushed.back().names == std::vector<std::string>{"notes.txt"});
}
