// The commands of rooms: their words, texts and JSON.
#include <doctest/doctest.h>

#include <string>

#include "common/base/limits.h"
#include "peer/shell/commands.h"
#include "tests/unit/given_command.h"

using namespace espalier;
using namespace espalier::command;
using namespace espalier::peer::shell;
using namespace espalier::test;
using namespace std::chrono_literals;

namespace {

wire::RoomEntry entryOf(std::uint64_t number, const std::string& from, const std::string& text) {
  wire::RoomEntry entry;
  entry.room = *RoomName::parse("fleece");
  entry.position = {{1, ServerNumber{1}}, 10 + number};
  entry.number = number;
  entry.atMs = 1'795'000'000'000;
  entry.author = id(from);
  entry.text = text;
  return entry;
}

RoomHappened messageOf(const std::string& from, const std::string& text) {
  RoomHappened event;
  event.room = "fleece";
  event.number = 17;
  event.epoch = 1;
  event.at = 1'795'000'000'000ms;
  event.from = from;
  event.text = text;
  return event;
}

// What a client with a terminal gets of a command, and answers.
struct Terminal {
  Terminal(Given& given, std::vector<std::string> lines) : answers(std::move(lines)) {
    given.context.say = [this](const std::string& line) { said.push_back(line); };
    given.context.run = [this](const std::string& line) { ran.push_back(line); };
    given.context.ask = [this](const std::string& question) -> std::optional<std::string> {
      asked = question;
      if (next == answers.size()) return std::nullopt;
      return answers[next++];
    };
  }
  std::vector<std::string> answers;
  std::size_t next = 0;
  std::string asked;
  std::vector<std::string> said;
  std::vector<std::string> ran;
};

}  // namespace

TEST_CASE("say goes to the lobby, or to the room that is named, as it is typed") {
  Given given;
  CHECK(given.run("say it's \"fine\"  \\o/").json ==
        R"({"command":"say","room":"lobby","number":1,"epoch":1,"stored":2})"
        "\n");
  CHECK(given.run("say #fleece hello there").out ==
        "said in fleece as number 2, stored by 2 metaservers\n");
  CHECK(given.run("say #lobby #1 is best").outcome.exitCode() == 0);
  CHECK(given.run("say 'quoted'").outcome.exitCode() == 0);
  REQUIRE(given.service.said.size() == 4);
  CHECK(given.service.said[0].text == "it's \"fine\"  \\o/");
  CHECK(given.service.said[1].room == "fleece");
  CHECK(given.service.said[1].text == "hello there");
  CHECK(given.service.said[2].room == "lobby");
  CHECK(given.service.said[2].text == "#1 is best");
  CHECK(given.service.said[3].text == "'quoted'");
  CHECK(given.run("say #fleece").outcome.exitCode() == 64);
  CHECK(given.run("say #. hello").outcome.exitCode() == 64);
  CHECK(given.run("say").outcome.exitCode() == 64);
}

TEST_CASE("who says too much at once is told how long to wait, with 75") {
  Given given;
  given.service.refusal = {ErrorCode::timeout, "too fast: wait 0.40 s"};
  const auto came = given.run("say hello");
  CHECK(came.outcome.exitCode() == 75);
  CHECK(came.out.empty());
  CHECK(came.err == "too fast: wait 0.40 s\n");
  CHECK(came.data["waitMs"] == 400);
  CHECK(came.data["error"]["code"] == 75);
}

TEST_CASE("join, part and rooms tell members, gates and what was not read") {
  Given given;
  CHECK(given.run("join fleece").out == "you are in fleece: 1 member\n");
  CHECK(given.run("join #quorum --opens-at 20").out ==
        "you are in quorum: 1 of 20 is here: the chat opens at 20\n");
  CHECK(given.run("join quorum --opens-at 1").outcome.exitCode() == 64);
  CHECK(given.run("join quorum --opens-at x").outcome.exitCode() == 64);
  auto& info = given.service.joined[*RoomName::parse("fleece")];
  info.unread = 3;
  info.naming = 1;
  CHECK(given.run("rooms").out ==
        "fleece  1 member, 3 unread, 1 of them with your name\n"
        "quorum  1 of 20 is here: the chat opens at 20\n");
  CHECK(given.run("rooms").json ==
        R"({"command":"rooms","rooms":[{"room":"fleece","members":1,"open":true,"joined":true,)"
        R"("unread":3,"naming":1},{"room":"quorum","members":1,"open":false,"opensAt":20,)"
        R"("joined":true,"unread":0,"naming":0}]})"
        "\n");
  CHECK(given.run("part quorum").json == R"({"command":"part","room":"quorum"})"
                                         "\n");
  CHECK(given.run("part quorum").outcome.exitCode() == 64);
}

TEST_CASE("without a metaserver a room is joined later, and the list says what it lacks") {
  Given given;
  given.service.isHomeAway = true;
  CHECK(given.run("join fleece").data["waiting"] == true);
  CHECK(given.run("rooms").out ==
        "fleece  not known yet\nonly rooms that you are in: the metaserver is out of reach\n");
}

TEST_CASE("history shows texts that cannot control a terminal, and what is missing") {
  Given given;
  given.service.entries = {entryOf(4, "s4", "hi\x1b[2J\u202e"), entryOf(5, "s5", "there")};
  given.service.entries[1].isApart = true;
  auto opened = entryOf(6, "s5", "");
  opened.kind = wire::RoomEntry::Kind::opened;
  opened.author = {};
  auto made = opened;
  made.kind = wire::RoomEntry::Kind::made;
  made.number = 7;
  given.service.entries.push_back(opened);
  given.service.entries.push_back(made);
  given.service.lost = {{1, 3}};
  const auto out = given.run("history fleece").out;
  CHECK(out.starts_with("(1 to 3 are not kept any more)\n"));
  CHECK(out.find("  s4: hi\\x1b[2J\\u{202e}\n") != std::string::npos);
  CHECK(out.find("  s5: there (while apart)\n") != std::string::npos);
  CHECK(out.ends_with("  the chat is open\n"));
  const auto data = given.run("history fleece 3").data;
  CHECK(data["missing"] == Json::parse(R"([{"from":1,"to":3}])"));
  CHECK(data["messages"].size() == 2);
  CHECK(data["messages"][0] == Json::parse(R"({"number":5,"epoch":1,"at":"2026-11-18T11:06:40Z",)"
                                           R"("from":"s5","text":"there","apart":true})"));
  CHECK(given.run("history").data["room"] == "lobby");
  CHECK(given.run("history 2").data["room"] == "lobby");
  CHECK(given.run("history #2").data["room"] == "2");
  CHECK(given.run("history 2 3").data["room"] == "2");
  CHECK(given.run("history fleece 0").outcome.exitCode() == 64);
  CHECK(given.run("history fleece 1001").outcome.exitCode() == 64);
}

TEST_CASE("who lists members with home and since, and who is away") {
  Given given;
  given.service.present = {{id("s4"), *ServerName::parse("m1"), 1'795'000'000'000ms},
                           {id("s5"), {}, {}}};
  CHECK(given.run("who fleece").json ==
        R"({"command":"who","room":"fleece","count":2,"members":[{"id":"s4","home":"m1",)"
        R"("since":"2026-11-18T11:06:40Z"},{"id":"s5","home":null}]})"
        "\n");
  CHECK(given.run("who").out.find("s4  at m1  since ") == 0);
  CHECK(given.run("who").out.ends_with("s5  away\n2 members\n"));
}

TEST_CASE("ids that look alike are shown with what differs") {
  Given given;
  given.service.present = {{id("s1"), {}, {}}, {id("sl"), {}, {}}, {id("\u0455l"), {}, {}}};
  CHECK(given.run("who").out ==
        "s1  away  looks like sl: 1 is U+0031, l is U+006C\n"
        "sl  away  looks like s1: l is U+006C, 1 is U+0031\n"
        "\\u{0455}l  away  looks like s1: \u0455 is U+0455, s is U+0073\n"
        "3 members\n");
}

TEST_CASE("chat says every line, runs commands behind a slash, and ends with Ctrl-D") {
  Given given;
  CHECK(given.run("chat").outcome.exitCode() == 64);  // without a terminal
  Terminal terminal(given, {"hello", "", "/who fleece", "$private s4 hi", "it's 5 / 2"});
  const auto came = given.run("chat fleece");
  CHECK(came.outcome.exitCode() == 0);
  CHECK(terminal.asked == "fleece> ");
  REQUIRE(given.service.said.size() == 2);
  CHECK(given.service.said[0].room == "fleece");
  CHECK(given.service.said[1].text == "it's 5 / 2");
  CHECK(terminal.ran == std::vector<std::string>{"who fleece", "$private s4 hi"});
  CHECK(terminal.said.size() == 1);  // what the mode is
  CHECK(given.service.readRooms.contains(*RoomName::parse("fleece")));

  given.service.refusal = {ErrorCode::timeout, "too fast: wait 0.40 s"};
  Terminal again(given, {"hello"});
  CHECK(given.run("chat").outcome.exitCode() == 0);
  CHECK(again.said.back() == "too fast: wait 0.40 s");
}

TEST_CASE("watch is an object a line for each event, until it is interrupted") {
  Given given;
  given.service.happening.emplace_back(messageOf("s4", "hello"));
  auto joined = messageOf("s5", "");
  joined.kind = RoomHappened::Kind::joined;
  given.service.happening.emplace_back(joined);
  auto waits = messageOf("", "");
  waits.kind = RoomHappened::Kind::waits;
  waits.members = 12;
  waits.opensAt = 20;
  given.service.happening.emplace_back(waits);
  given.service.happening.emplace_back(PrivateReceived{"s4", "hi", 1'795'000'000'000ms, false});
  given.service.happening.emplace_back(Missed());

  std::vector<std::string> events;
  given.context.event = [&](const Json& event) { events.push_back(event.dump()); };
  CHECK(given.run("watch #fleece lobby").outcome.exitCode() == 130);
  CHECK(given.service.watched.size() == 2);
  CHECK(events == std::vector<std::string>{
                      R"({"event":"watching"})",
                      R"({"event":"message","room":"fleece","number":17,"epoch":1,)"
                      R"("at":"2026-11-18T11:06:40Z","from":"s4","text":"hello"})",
                      R"({"event":"joined","room":"fleece","id":"s5"})",
                      R"({"event":"waits","room":"fleece","members":12,"opensAt":20})",
                      R"({"event":"private","at":"2026-11-18T11:06:40Z","from":"s4","text":"hi"})",
                      R"({"event":"missed"})"});

  given.context.event = {};
  Terminal terminal(given, {});
  (void)given.run("watch");
  REQUIRE(terminal.said.size() == 6);
  CHECK(terminal.said[1] == "fleece  s4: hello");
  CHECK(terminal.said[4] == "s4 (private): hi");
}

TEST_CASE("rooms are completed, in say behind a #") {
  Given given;
  const Dispatcher dispatcher(peerCommands(given.service.services()),
                              peerNames(given.service.services()));
  CHECK(dispatcher.complete("part f").candidates == std::vector<std::string>{"fleece"});
  CHECK(dispatcher.complete("say #f").candidates == std::vector<std::string>{"#fleece"});
  CHECK(dispatcher.complete("say f").candidates.empty());
  CHECK(dispatcher.complete("say #fleece #f").candidates.empty());
}
