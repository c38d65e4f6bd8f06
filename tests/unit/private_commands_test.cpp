// The commands of private messages: their words, texts and JSON.
#include <doctest/doctest.h>

#include <string>

#include "common/base/limits.h"
#include "common/command/words.h"
#include "peer/shell/commands.h"
#include "tests/unit/given_command.h"

using namespace espalier;
using namespace espalier::command;
using namespace espalier::peer::shell;
using namespace espalier::test;
using namespace std::chrono_literals;

TEST_CASE("msg says whether the message is delivered, and $private is the same") {
  Given given;
  CHECK(given.run("msg s4 hello").out == "delivered to s4\n");
  CHECK(given.run("$private s4 hello").json == R"({"command":"msg","to":"s4","delivered":true})"
                                               "\n");
  given.service.away = {id("s5")};
  CHECK(given.run("msg s5 hello").out ==
        "s5 is not in the network: it is delivered when both are there (1 message waits for s5)\n");
  CHECK(given.run("msg --new s5 hello").json ==
        R"({"command":"msg","to":"s5","delivered":false,"waiting":1,"why":"s5 is new"})"
        "\n");
}

TEST_CASE("the text of a message is what was typed, quotes and dashes included") {
  Given given;
  const auto textOf = [&](const std::string& line) {
    (void)given.run(line);
    return given.service.conversations[id("s4")].back().text;
  };
  CHECK(textOf("msg s4 it's \"fine\"  \\o/ ") == "it's \"fine\"  \\o/");
  CHECK(textOf("msg s4 --new is no option here") == "--new is no option here");
  CHECK(textOf("  msg   --new s4  -- x") == "-- x");
  CHECK(textOf("msg 's4' 'quoted'") == "'quoted'");
  CHECK(textOf("$private s4 -n 3") == "-n 3");
}

TEST_CASE("msg without a text shows the conversation, safe to print") {
  Given given;
  auto& lines = given.service.conversations[id("s4")];
  lines.push_back({true, 1'795'000'000'000ms, "delivered", "hello"});
  lines.push_back({false, 1'795'000'060'000ms, "received", "a\nb\x1b[2J"});
  lines.push_back({true, 1'795'000'120'000ms, "waiting", "later"});
  const auto text = given.run("msg s4").out;
  CHECK(text.find("  you: hello\n") != std::string::npos);
  CHECK(text.find("  s4: a\\nb\\x1b[2J\n") != std::string::npos);
  CHECK(text.find("  you: later (waiting)\n") != std::string::npos);
  CHECK(given.run("msg -n 1 s4").json ==
        R"({"command":"msg","with":"s4","messages":[{"at":"2026-11-18T11:08:40Z","sent":true,)"
        R"("state":"waiting","text":"later"}]})"
        "\n");
  CHECK(given.run("msg s9").err.find("no private messages with s9") != std::string::npos);
  CHECK(given.run("msg -n 0 s4").err.find("-n takes 1 to 1000") != std::string::npos);
}

TEST_CASE("ignore, its list, and its end") {
  Given given;
  CHECK(given.run("ignore --list").out == "nobody is ignored\n");
  CHECK(given.run("ignore s4").out == "s4 is ignored from now on\n");
  CHECK(given.run("ignore --list").json == R"({"command":"ignore","ids":["s4"]})"
                                           "\n");
  CHECK(given.run("ignore").out == "s4\n");
  CHECK(given.run("ignore --undo s4").json == R"({"command":"ignore","id":"s4","ignored":false})"
                                              "\n");
  CHECK_FALSE(given.run("ignore --list s4").err.empty());
}

TEST_CASE("msg and ignore complete the ids of members, and of those who are away") {
  Given given;
  const Dispatcher dispatcher(peerCommands(given.service.services()),
                              peerNames(given.service.services()));
  const std::vector<std::string> all{"s1", "s2", "sx"};
  CHECK(dispatcher.complete("msg s").candidates == all);
  CHECK(dispatcher.complete("ignore --undo s").candidates == all);
  CHECK(dispatcher.complete("msg s1 s").candidates.empty());
}

TEST_CASE("the first word of a line is taken as a shell takes it, the rest as it is typed") {
  const auto both = [](std::string_view line) {
    const auto first = firstWord(line);
    REQUIRE(first.ok());
    return first->word + "|" + std::string(first->rest);
  };
  CHECK(both("  a  b c ") == "a|b c");
  CHECK(both("'a b'c  'd") == "a bc|'d");
  CHECK(both(R"("a \" b" \x)") == "a \" b|\\x");
  CHECK(both(R"(a\ b c)") == "a b|c");
  CHECK(both("") == "|");
  CHECK_FALSE(firstWord("'a b").ok());
  CHECK_FALSE(firstWord("a\\").ok());
}
