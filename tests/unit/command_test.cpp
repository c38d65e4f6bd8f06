#include "common/command/dispatcher.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/printing.h"
#include "common/command/progress.h"
#include "common/command/runner.h"
#include "common/command/words.h"
#include "metaserver/shell/commands.h"
#include "peer/shell/commands.h"
#include "tests/unit/fake_metaserver.h"
#include "tests/unit/given_command.h"

using namespace espalier;
using namespace espalier::command;
using namespace espalier::peer::shell;
using namespace espalier::test;
using namespace std::chrono_literals;

namespace {

std::string hex(std::uint8_t number) {
  return toHex(rootOf(number).view());
}

}  // namespace

// --- words

TEST_CASE("a command line is split as a shell splits it") {
  using Words = std::vector<std::string>;
  CHECK(*splitWords("get f3.txt") == Words{"get", "f3.txt"});
  CHECK(*splitWords("  get\t f3.txt  ") == Words{"get", "f3.txt"});
  CHECK(*splitWords(R"(get 'a b' "c d" e\ f)") == Words{"get", "a b", "c d", "e f"});
  CHECK(*splitWords(R"("say \"x\"" 'a\b' "a\b")") == Words{"say \"x\"", "a\\b", "a\\b"});
  CHECK(*splitWords("a''b '' \"\"") == Words{"ab", "", ""});
  CHECK(splitWords("")->empty());
  for (const auto* bad : {"get 'a", "get \"a", "get a\\", "'"}) {
    CAPTURE(bad);
    const auto words = splitWords(bad);
    REQUIRE_FALSE(words.ok());
    CHECK(words.error().code == ErrorCode::usage);
  }
  CHECK_FALSE(splitWords(std::string(limits::kCommandLineBytes + 1, 'x')).ok());
}

TEST_CASE("any words survive being joined into a line and split again") {
  CHECK(rc::check([](const std::vector<std::string>& words) {
    const auto again = splitWords(joinWords(words));
    RC_ASSERT(again.ok());
    RC_ASSERT(*again == words);
  }));
}

TEST_CASE("a line that is being typed is split like a complete one") {
  CHECK(rc::check([] {
    const auto line =
        *rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab '\"\\ ")));
    const auto open = splitOpenLine(line);
    RC_ASSERT(open.lastStart <= line.size());
    if (const auto words = splitWords(line)) {
      auto all = open.words;
      if (open.lastStart < line.size()) all.push_back(open.last);
      RC_ASSERT(all == *words);
    }
  }));
}

TEST_CASE("a mistyped word is guessed only if the distance is small") {
  const std::vector<std::string> known = {"topo", "get", "find", "list", "status"};
  CHECK(nearest("tpo", known) == "topo");
  CHECK(nearest("stauts", known) == "status");
  CHECK(nearest("stat", known) == "status");
  CHECK(nearest("xyz", known).empty());
  CHECK(nearest("", known).empty());
}

// --- printing

TEST_CASE("printed text cannot control the terminal, and is escaped only once") {
  CHECK(printable("a\nb") == "a\nb");
  CHECK(printable("\x1b[2J") == "\\x1b[2J");
  CHECK(printable(escaped("a\\b\x07")) == "a\\\\b\\x07");
}

TEST_CASE("columns are aligned by what a terminal shows, not by bytes") {
  CHECK(table({{"größe", "1"}, {"ab", "22"}}, {Align::left, Align::right}) ==
        "größe   1\nab     22\n");
  CHECK(table({{"日本", "x"}, {"a", "y"}}) == "日本  x\na     y\n");
  CHECK(listed({"s1", "s2", "s3"}) == "s1, s2 and s3");
}

TEST_CASE(
    "a progress bar shows share, size, rate and time left, for what takes long, at most ten times "
    "a second") {
  std::vector<std::string> lines;
  ProgressBar bar([&](const std::string& line) { lines.push_back(line); }, 80);
  const TimePoint start{};
  for (int i = 0; i < 100; ++i) bar.update({"film.mkv", 0, 2'000'000}, start + i * 1ms);
  CHECK(lines.empty());
  for (int i = 500; i < 600; ++i) bar.update({"film.mkv", 500'000, 2'000'000}, start + i * 1ms);
  CHECK(lines.size() == 1);
  bar.update({"film.mkv", 1'000'000, 2'000'000}, start + 1s);
  REQUIRE(lines.size() == 2);
  CHECK(lines[1] == "film.mkv   50 %  1.0 MB of 2.0 MB  1.0 MB/s  1.00 s left");
  bar.update({}, start + 2s);
  CHECK(lines.back().empty());
}

TEST_CASE("a progress line never exceeds the terminal") {
  std::string shown;
  ProgressBar bar([&](const std::string& line) { shown = line; }, 30);
  const Progress progress{"größe größe größe größe größe größe", 1, 2'000'000};
  bar.update(progress, TimePoint{});
  bar.update(progress, TimePoint{} + 1s);
  CHECK_FALSE(shown.empty());
  CHECK(displayWidth(shown) < 30);
  CHECK(isUtf8(shown));
}

// --- outcomes

TEST_CASE("topo prints topo.txt's lines, and the JSON of the design") {
  Given given;
  const auto came = given.run("topo");
  CHECK(came.out == "s1:  s2\ns2:  s1\n");
  CHECK(came.json ==
        R"({"command":"topo","peers":[{"id":"s1","endpoint":"127.0.0.1:5001","links":["s2"]},)"
        R"({"id":"s2","endpoint":"127.0.0.1:5002","links":["s1"]}]})"
        "\n");
  CHECK(given.run("topo --dot").out == "graph {}\n");
}

TEST_CASE("topo of nothing, of a lone peer, and without a metaserver") {
  Given given;
  given.service.network.peers.clear();
  CHECK(given.run("topo").out == "empty network\n");
  given.service.network.peers = {{id("s1"), {"127.0.0.1", 5001}, {}}};
  given.service.network.asOf = std::chrono::system_clock::from_time_t(1'800'000'000);
  const auto out = given.run("topo").out;
  CHECK(out.starts_with("s1:\nmetaserver out of reach: as of "));
  CHECK(out.size() == std::string("s1:\nmetaserver out of reach: as of 12:03:11\n").size());
}

TEST_CASE("find prints files with their holders, and how complete the search is") {
  Given given;
  const auto came = given.run("find two");
  CHECK(came.outcome.exitCode() == 0);
  CHECK(came.out == "two.txt  5 B  s1     " + hex(1) + "\ntwo.txt  7 B  s3 s4  " + hex(2) +
                        "\n2 files, searched 2 of 2 peers\n");
  CHECK(given.run("find f3").json ==
        R"({"command":"find","hits":[{"name":"f3.txt","size":12,"root":")" + hex(3) +
            R"(","holders":["s1"]}],"searched":2,"peers":2,"missing":[]})"
            "\n");
}

TEST_CASE("find of nothing is `not found` if all have answered, otherwise a timeout") {
  Given given;
  auto came = given.run("find nothing");
  CHECK(came.outcome.exitCode() == 1);
  CHECK(came.out.empty());
  CHECK(came.err == "nothing: not found (searched 2 of 2 peers)\n");
  given.service.members = 9;
  given.service.missing = {{id("s7"), false, 3}, {id("s8"), true, 1}};
  came = given.run("find nothing");
  CHECK(came.outcome.exitCode() == 75);
  CHECK(came.err ==
        "nothing: not found (searched 7 of 9 peers; no answer from s7 and 3 below it and 1 below "
        "s8)\n");
}

TEST_CASE("get reports the holders, the verification and the path") {
  Given given;
  const auto came = given.run("get f3.txt");
  CHECK(came.out == "f3.txt: 12 B from s1, verified, saved as ./s2/f3.txt\n");
  CHECK(came.json == R"({"command":"get","files":[{"name":"f3.txt","size":12,"root":")" + hex(3) +
                         R"(","path":"./s2/f3.txt","sources":["s1"],"seconds":0.01}]})"
                         "\n");
}

TEST_CASE("get of a file without holders reports how many peers were searched") {
  Given given;
  const auto came = given.run("get f9.txt");
  CHECK(came.outcome.exitCode() == 1);
  CHECK(came.err == "f9.txt: not found (searched 2 of 2 peers)\n");
  CHECK(came.json ==
        "{\"command\":\"get\",\"error\":{\"code\":1,"
        "\"message\":\"f9.txt: not found (searched 2 of 2 peers)\"}}\n");
}

TEST_CASE("get of a name with several contents lists the candidates without a terminal") {
  Given given;
  const auto came = given.run("get two.txt");
  CHECK(came.outcome.exitCode() == 1);
  CHECK(came.err == "two.txt stands for 2 different files: get one of them by its root\n");
  REQUIRE(came.data.contains("candidates"));
  CHECK(came.data["candidates"].size() == 2);
  CHECK(came.out.starts_with("1  two.txt  5 B  s1     " + hex(1)));
  CHECK(given.service.fetched.empty());
  CHECK(given.run("get " + hex(2)).outcome.exitCode() == 0);
  CHECK(given.service.fetched.back().file.root == rootOf(2));
}

TEST_CASE("get of a name with several contents asks which, until the answer is one") {
  Given given;
  std::vector<std::string> questions;
  std::vector<std::string> answers = {"3", "x", "2"};
  given.context.ask = [&](const std::string& question) -> std::optional<std::string> {
    questions.push_back(question);
    return answers[questions.size() - 1];
  };
  const auto came = given.run("get two.txt");
  CHECK(came.out == "two.txt: 7 B from s3 and s4, verified, saved as ./s2/two.txt\n");
  REQUIRE(questions.size() == 3);
  CHECK(questions[0].ends_with("which one (1 to 2, Enter for none)> "));
}

TEST_CASE("get of several names is partly done when some of them fail") {
  Given given;
  const auto came = given.run("get f3.txt f9.txt");
  CHECK(came.outcome.exitCode() == 3);
  CHECK(came.out == "f3.txt: 12 B from s1, verified, saved as ./s2/f3.txt\n");
  CHECK(came.err == "f9.txt: not found (searched 2 of 2 peers)\n");
  CHECK(came.data["files"].size() == 1);
  CHECK(came.data["errors"][0]["name"] == "f9.txt");
}

TEST_CASE("an existing different file is not overwritten without --force") {
  Given given;
  given.service.fetchErrors["f3.txt"] = existsAndDiffers("./s2/f3.txt");
  const auto came = given.run("get f3.txt");
  CHECK(came.outcome.exitCode() == 1);
  CHECK(came.err ==
        "./s2/f3.txt exists and differs: --force overwrites it, -o PATH saves elsewhere\n");
  given.run("get f3.txt --force -o /tmp/x.txt");
  CHECK(given.service.fetched.back().force);
  CHECK(given.service.fetched.back().destination.form == Destination::Form::file);
  CHECK(given.service.fetched.back().destination.path == "/tmp/x.txt");
}

TEST_CASE("relative paths start from the client's folder") {
  Given given;
  given.context.directory = "/home/ann";
  given.run("get f3.txt -o x.txt");
  CHECK(given.service.fetched.back().destination.path == "/home/ann/x.txt");
  CHECK(given.run("share docs").out == "/home/ann/docs: shared, 3 files\n");
}

TEST_CASE("a glob fetches every name, into a folder only") {
  Given given;
  given.service.files = {file("a.txt", 1, 1, {"s1"}), file("b.txt", 2, 2, {"s1"})};
  CHECK(given.run("get '*'").data["files"].size() == 2);
  CHECK(given.run("get '*' -o /tmp/one").outcome.exitCode() == 64);
  CHECK(given.run("get '*' -o /tmp/").outcome.exitCode() == 0);
  CHECK(given.service.fetched.back().destination.form == Destination::Form::folder);
}

TEST_CASE("own downloads wait until the announced number of peers has joined") {
  Given given;
  given.settings.total = 5;
  std::vector<std::string> said;
  std::stop_source stop;
  given.context.stop = stop.get_token();
  given.context.say = [&](const std::string& line) {
    said.push_back(line);
    stop.request_stop();
  };
  CHECK(given.run("get f3.txt").outcome.exitCode() == 130);
  CHECK(said == std::vector<std::string>{"waiting for 3 more of 5 peers to join"});
  CHECK(given.service.fetched.empty());
  given.context.stop = {};
  given.service.members = 5;
  CHECK(given.run("get f3.txt").outcome.exitCode() == 0);
}

TEST_CASE("2 asks for a name; without one others may fetch") {
  Given given;
  CHECK(given.run("2").outcome.exitCode() == 64);
  given.context.ask = [](const std::string&) { return std::string(); };
  CHECK(given.run("2").out == "others can fetch your 5 files at any time\n");
  given.context.ask = [](const std::string&) { return std::string("f3.txt"); };
  CHECK(given.run("2").out == "f3.txt: 12 B from s1, verified, saved as ./s2/f3.txt\n");
}

TEST_CASE("list, peers, whatif and status read well") {
  Given given;
  CHECK(given.run("list s3").out == "  12 B  a.txt\n3.1 MB  b.bin\ns3 shares 2 files (3.1 MB)\n");
  CHECK(given.run("peers").out == "s1  parent\ns4  child\n");
  CHECK(given.run("peers").json ==
        R"({"command":"peers","links":[{"id":"s1","role":"parent"},{"id":"s4","role":"child"}]})"
        "\n");
  CHECK(given.run("whatif kill s1").out ==
        "s2 would become the root\nthe network without s1:\ns2:\n");
  CHECK(given.run("whatif kill s9").err == "nobody is called so\n");
  CHECK(given.run("whatif heal s1").outcome.exitCode() == 64);
  const auto status = given.run("status").out;
  CHECK(status.find("sharing      5 files (3.1 MB) from ./s2\n") != std::string::npos);
  CHECK(status.find("fetching 3   f3.txt: 33 % of 12.0 MB, 2.0 MB/s, 4.00 s left, from s1\n") !=
        std::string::npos);
}

TEST_CASE("names from the network are escaped in text, and whole in JSON") {
  Given given;
  given.service.files = {file("evil\x1b[2J\n.txt", 1, 1, {"s1"}), file("bad\xff", 1, 2, {"s1"})};
  const auto came = given.run("find '*'");
  CHECK(came.out.find('\x1b') == std::string::npos);
  CHECK(came.out.find("evil\\x1b[2J\\n.txt") != std::string::npos);
  CHECK(came.json.find("bad\xEF\xBF\xBD") != std::string::npos);
  CHECK(Json::parse(came.json)["hits"].size() == 2);
}

TEST_CASE("stop, quit and exit end the program") {
  for (const auto* word : {"stop", "quit", "exit"}) {
    Given given;
    CHECK(given.run(word).outcome.stops());
    CHECK(given.service.stopped);
  }
}

// --- usage

TEST_CASE("a mistyped command is a usage error with a suggestion") {
  Given given;
  const auto code = [&](const std::string& line) { return given.run(line).outcome.exitCode(); };
  CHECK(given.run("tpo").err == "there is no command \"tpo\": did you mean topo?\n");
  CHECK(given.run("get").err ==
        "get: an argument is missing; usage: get NAME… [-o PATH] [--force] [-v]\n");
  CHECK(given.run("get --quick f").err.starts_with("get: unknown option --quick;"));
  CHECK(code("get a -o") == 64);
  CHECK(code("peers s1") == 64);
  CHECK(code("get 'a") == 64);
  CHECK(given.run("get 'a").json.starts_with(R"({"command":"get","error":{"code":64,)"));
  CHECK(given.run("").json.empty());
  CHECK(code("list a:b") == 64);
}

TEST_CASE("help lists every command, and explains one") {
  Given given;
  const auto all = given.run("help").out;
  for (const auto* name : {"topo", "2", "get", "find", "list", "share", "unshare", "peers",
                           "status", "whatif", "help", "stop"}) {
    CAPTURE(name);
    CHECK(("\n" + all).find(std::string("\n") + name) != std::string::npos);
  }
  CHECK(given.run("help get").out.starts_with("get NAME… [-o PATH] [--force] [-v]\n"));
  CHECK(given.run("help nothing").outcome.exitCode() == 64);
}

TEST_CASE("completion knows commands, options, shared names, peers and local paths") {
  FakePeerService service;
  const Dispatcher dispatcher(peerCommands(service.services()), peerNames(service.services()));
  using Candidates = std::vector<std::string>;
  CHECK(dispatcher.complete("to").candidates == Candidates{"topo"});
  CHECK(dispatcher.complete("get f").candidates == Candidates{"f3.txt"});
  CHECK(dispatcher.complete("get 'with").candidates == Candidates{"'with space.txt'"});
  CHECK(dispatcher.complete("get 'with").start == 4);
  CHECK(dispatcher.complete("get f3.txt --f").candidates == Candidates{"--force"});
  CHECK(dispatcher.complete("list ").candidates == Candidates{"s1", "s2"});
  CHECK(dispatcher.complete("whatif kill s").candidates == Candidates{"s1", "s2"});
  CHECK(dispatcher.complete("help pe").candidates == Candidates{"peers"});
  CHECK(dispatcher.complete("get f3.txt -o /et").candidates == Candidates{"/etc/"});
  CHECK(dispatcher.complete("nothing x").candidates.empty());
}

TEST_CASE("a handler that throws fails its command and nothing else") {
  Command command;
  command.name = command.usage = "boom";
  command.handler = [](const Arguments&, Context&) -> Outcome { throw std::runtime_error("bang"); };
  const Dispatcher dispatcher({command});
  Context context;
  const auto outcome = dispatcher.runLine("boom", context);
  CHECK(outcome.exitCode() == 1);
  CHECK(render(outcome, Format::text).err == "boom failed unexpectedly: bang\n");
}

TEST_CASE("a long list is rendered in pieces, which together are the whole") {
  FakePeerService service;
  peer::shell::ShareReport report{*PeerId::parse("s3"), {}, false, 7, {}};
  for (int i = 0; i < 2000; ++i) {
    const auto name = "a\u202e \"" + std::to_string(i) + "\" \x9b\xff";
    report.files.push_back({name, 12, rootOf(static_cast<std::uint8_t>(i))});
  }
  service.lists.emplace(report.peer, report);
  const Dispatcher dispatcher(peerCommands(service.services()));
  Context context;
  const auto outcome = dispatcher.runLine("list s3", context);
  const auto piecesOf = [&](Format format, std::string& errors) {
    std::vector<std::string> pieces;
    render(
        outcome, format, [&](std::string_view piece) { pieces.emplace_back(piece); },
        [&](std::string_view piece) { errors += piece; });
    return pieces;
  };
  std::string whole;
  std::string errors;
  const auto json = piecesOf(Format::json, errors);
  CHECK(errors.empty());
  CHECK(json.size() > 10);
  for (const auto& piece : json) {
    CHECK(piece.size() < 2 * limits::kControlOutputBytes);
    whole += piece;
  }
  CHECK(whole == jsonLine(outcome.json()));
  CHECK(outcome.json()["files"].size() == 2000);
  std::size_t lines = 0;
  const auto text = piecesOf(Format::text, errors);
  CHECK(text.size() > 2);
  for (const auto& piece : text) {
    CHECK(piece.ends_with('\n'));
    lines += static_cast<std::size_t>(std::count(piece.begin(), piece.end(), '\n'));
  }
  CHECK(lines == 2001);
  CHECK(errors == "s3 shares more files than the 2000 files that a list has\n");
}

TEST_CASE("several commands run in order, and the first failure's code is the result") {
  FakePeerService service;
  const Dispatcher dispatcher(peerCommands(service.services()));
  Context context;
  std::string out;
  std::string err;
  const Output output{[&](const std::string& text) { out += text; },
                      [&](const std::string& text) { err += text; }};
  CHECK(runCommands(dispatcher, {"get f9.txt", "tpo", "peers", "stop", "topo"}, context, output) ==
        1);
  CHECK(out == "s1  parent\ns4  child\n");
  CHECK(service.stopped);
  CHECK(runCommands(dispatcher, {"peers"}, context, output) == 0);
}

// --- ratings and statistics

TEST_CASE("rate takes 1 to 5 and a text, once") {
  FakePeerService service;
  const Dispatcher dispatcher(peerCommands(service.services()));
  Context context;
  for (const std::string wrong : {"rate 0", "rate 6", "rate 55", "rate x good", "rate ''"}) {
    CAPTURE(wrong);
    CHECK(dispatcher.runLine(wrong, context).exitCode() == 64);
  }
  CHECK(dispatcher.runLine("rate 3 " + std::string(limits::kRatingBytes + 1, 'x'), context)
            .exitCode() == 64);
  CHECK(dispatcher.runLine("rate 3 \xff", context).exitCode() == 64);
  CHECK(service.rated.empty());
  const auto done = render(dispatcher.runLine("rate 4 'very  fast' today", context), Format::text);
  CHECK(done.out == "rated the service 4 of 5\n");
  REQUIRE(service.rated.size() == 1);
  CHECK(service.rated[0] == std::pair(4u, std::string("very  fast today")));
  CHECK(dispatcher.runLine("rate 4", context).exitCode() == 77);
  service.rated.clear();
  CHECK(render(dispatcher.runLine("rate 5", context), Format::json).out ==
        R"({"command":"rate","score":5})"
        "\n");
  CHECK(service.rated[0].second.empty());
}

TEST_CASE("stats of a peer shows what its metaserver answers") {
  FakePeerService service;
  service.counted.total.sessions = 12;
  const Dispatcher dispatcher(peerCommands(service.services()));
  Context context;
  const auto text = render(dispatcher.runLine("stats --days 7", context), Format::text).out;
  CHECK(text.find("in all      12 sessions\n") != std::string::npos);
  CHECK(service.askedDays == 7);
  CHECK(dispatcher.complete("sta").candidates == std::vector<std::string>{"stats", "status"});
}

// --- the metaserver's

TEST_CASE("the metaserver's commands are topo, status, whatif, those of a cluster, help and stop") {
  FakeMetaserver service;
  FakeCluster cluster;
  const Dispatcher dispatcher(metaserver::shell::metaserverCommands(service, cluster));
  std::string names;
  for (const auto& command : dispatcher.commands()) names += command.name + " ";
  CHECK(names ==
        "topo status whatif link master uptime links servers drain migrate forget rooms history "
        "stats help stop ");
  Context context;
  const auto text = render(dispatcher.runLine("status", context), Format::text).out;
  CHECK(text.find("network      3 peers, 1 attaching in ./topo.txt\n") != std::string::npos);
}
