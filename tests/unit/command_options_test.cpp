#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "common/base/limits.h"
#include "common/command/config_file.h"
#include "common/command/options.h"
#include "peer/shell/options.h"
#include "tests/unit/parsed_options.h"

using namespace espalier;
using namespace espalier::command;
using namespace espalier::test;
using espalier::peer::shell::parsePeerOptions;
using espalier::peer::shell::PeerOptions;

namespace {

Result<PeerOptions> peerOf(const Words& words, const Variables& variables = {},
                           bool terminal = true) {
  PeerOptions options;
  const auto parsed = parsePeerOptions(words, environmentOf(variables), terminal, options);
  if (!parsed) return parsed.error();
  return options;
}

}  // namespace

TEST_CASE("a metaserver without options is that of the design") {
  const auto options = metaserverOf({});
  REQUIRE(options.ok());
  CHECK(options->listen.text() == "127.0.0.1:5000");
  CHECK(options->firstPort == 5001);
  CHECK(options->maxLinks == 2);
  CHECK(options->placement == "shallowest");
  CHECK(options->joinWord == "P2P");
  CHECK(options->topoFile == "./topo.txt");
  CHECK(options->countFile == "./NumberOfServers.txt");
  CHECK(options->state == "./.metaserver");
}

TEST_CASE("a peer's folders follow from its id, and each may be given") {
  const auto plain = peerOf({"--id", "s2"});
  REQUIRE(plain.ok());
  CHECK(plain->share == "./s2");
  CHECK(plain->downloads == "./s2");
  CHECK(plain->state == "./s2/.espalier");
  CHECK(plain->joinWord == "P2P");
  const auto given = peerOf({"--id=s2", "--share=/srv/x/", "--downloads", "/srv/y", "5"});
  REQUIRE(given.ok());
  CHECK(given->downloads == "/srv/y");
  CHECK(given->state == "/srv/x/.espalier");
  CHECK(given->total == 5);
  auto asked = peerOf({});
  REQUIRE(asked.ok());
  CHECK(asked->id.empty());
  asked->chooseId(*PeerId::parse("s3"));
  CHECK(asked->share == "./s3");
  asked->chooseId(*PeerId::parse("s4"));  // the first one was refused
  CHECK(asked->share == "./s4");
  CHECK(asked->state == "./s4/.espalier");
}

TEST_CASE("commands find a running peer by its share or its state, without an id") {
  const auto share = peerOf({"--share", "/srv/x", "-e", "topo"});
  REQUIRE(share.ok());
  CHECK(share->id.empty());
  CHECK(share->state == "/srv/x/.espalier");
  CHECK(peerOf({"--state", "/srv/y", "-e", "topo"})->state == "/srv/y");
  CHECK_FALSE(peerOf({"--share", "/srv/x", "--headless", "-e", "topo"}).ok());
}

TEST_CASE("listen and advertise take hosts of every form") {
  CHECK(peerOf({"--id", "a", "--listen", "0.0.0.0"})->listen.text() == "0.0.0.0:0");
  CHECK(peerOf({"--id", "a", "--listen", "0.0.0.0:7000"})->listen.text() == "0.0.0.0:7000");
  CHECK(peerOf({"--id", "a", "--listen", "::1"})->listen.text() == "[::1]:0");
  CHECK(peerOf({"--id", "a", "--listen", "[::1]:80"})->listen.text() == "[::1]:80");
  CHECK(peerOf({"--id", "a", "--advertise", "example.net"})->advertise == "example.net");
  CHECK_FALSE(peerOf({"--id", "a", "--advertise", "example.net:80"}).ok());
}

TEST_CASE("a peer takes several metaservers, from every source, each of them once") {
  const auto texts = [](const Words& words, const Variables& variables = {}) {
    const auto options = peerOf(words, variables);
    REQUIRE(options.ok());
    Words all;
    for (const auto& at : options->metaservers) all.push_back(at.text());
    return all;
  };
  const Words two{"127.0.0.1:5000", "[::1]:5010"};
  CHECK(texts({"--id", "a"}) == Words{"127.0.0.1:5000"});
  CHECK(texts({"--id", "a", "--metaserver", "127.0.0.1:5000,[::1]:5010,127.0.0.1:5000"}) == two);
  CHECK(texts({"--id", "a"}, {{"ESPALIER_METASERVER", "127.0.0.1:5000,[::1]:5010"}}) == two);
  const ConfigFile file("metaserver = 127.0.0.1:5000,[::1]:5010\n");
  CHECK(texts({"--id", "a", "--config", file.path()}) == two);
  std::string most = "m0:1";
  for (unsigned i = 1; i < limits::kMetaservers; ++i) most += ",m" + std::to_string(i) + ":1";
  CHECK(texts({"--id", "a", "--metaserver", most + ",m3:1"}).size() == limits::kMetaservers);

  const auto refused = [](const std::string& value) {
    const auto options = peerOf({"--id", "a", "--metaserver", value});
    REQUIRE_FALSE(options.ok());
    CHECK(options.error().code == ErrorCode::usage);
    return options.error().message;
  };
  CHECK(refused(most + ",m:1") == "--metaserver: more than 16 metaservers");
  CHECK(refused("") == "--metaserver: \"\" is no HOST:PORT: the host is missing");
  CHECK(refused("a:1,") == "--metaserver: \"\" is no HOST:PORT: the host is missing");
  CHECK(refused("a:1,,b:2") == "--metaserver: \"\" is no HOST:PORT: the host is missing");
  CHECK(refused("a:1, b:2").starts_with("--metaserver: \" b:2\" is no HOST:PORT"));
  CHECK(refused("a:1,b") == "--metaserver: \"b\" is no HOST:PORT: the port is missing");
  CHECK(refused("a:0") ==
        "--metaserver: \"a:0\" is no HOST:PORT: a metaserver's port is 1 to 65535");
  CHECK(peerOf({"--id", "a"}, {{"ESPALIER_METASERVER", "a:1,b"}}).error().code ==
        ErrorCode::configuration);
}

TEST_CASE("HOST-PORT names the metaserver, as the original's client does") {
  const auto at = [](const std::string& word) {
    const auto options = peerOf({"--id", "a", word}, {{"ESPALIER_METASERVER", "m:1"}});
    REQUIRE(options.ok());
    CHECK(options->total == 0);
    REQUIRE(options->metaservers.size() == 1);
    return options->metaservers[0].text();
  };
  CHECK(at("127.0.0.1-5000") == "127.0.0.1:5000");
  CHECK(at("my-host-5010") == "my-host:5010");
  CHECK(at("::1-5000") == "[::1]:5000");
  CHECK(at("[::1]-5000") == "[::1]:5000");
  for (const std::string word :
       {"127.0.0.1-", "127.0.0.1-0", "127.0.0.1-x", "127.0.0.1-65536", "a b-5000", "a:1-5000"}) {
    CAPTURE(word);
    const auto options = peerOf({"--id", "a", word});
    REQUIRE_FALSE(options.ok());
    CHECK(options.error().code == ErrorCode::usage);
    CHECK(options.error().message == "TOTAL|HOST-PORT: \"" + word +
                                         "\" is neither a number of peers nor HOST-PORT of a "
                                         "metaserver");
  }
  CHECK(peerOf({"--id", "a", "7"})->total == 7);
}

TEST_CASE("commands are collected in order") {
  CHECK(peerOf({"--id", "a", "-e", "topo", "-e", "get x"})->commands == Words{"topo", "get x"});
}

TEST_CASE("without a terminal the id must be given") {
  CHECK(peerOf({}, {}, false).error().code == ErrorCode::usage);
  CHECK(peerOf({"-e", "topo"}).error().message == "-e needs --id ID");
  CHECK(peerOf({"--headless"}).error().message == "--headless needs --id ID");
}

TEST_CASE("a mistyped command line is a usage error with a hint") {
  const auto message = [](const Words& words) {
    const auto options = metaserverOf(words);
    REQUIRE_FALSE(options.ok());
    CHECK(options.error().code == ErrorCode::usage);
    return options.error().message;
  };
  CHECK(message({"--max-link", "3"}) == "unknown option --max-link: did you mean --max-links?");
  CHECK(message({"--nonsense"}) == "unknown option --nonsense: metaserver --help lists them");
  CHECK(message({"--max-links"}) == "--max-links needs a value: --max-links N");
  CHECK(message({"--max-links", "1"}) == "--max-links: \"1\" is no number from 2 to 64");
  CHECK(message({"--max-links=2x"}) == "--max-links: \"2x\" is no number from 2 to 64");
  CHECK(
      message({"--placement", "nearst"}) ==
      "--placement: \"nearst\" is none of shallowest, classic and nearest: did you mean nearest?");
  Program plain;
  plain.name = "plain";
  CHECK(parseOptions(plain, {"extra"}, environmentOf({})).error().message ==
        "unexpected argument \"extra\": plain takes only options, see --help");
  CHECK(peerOf({"0"}).error().code == ErrorCode::usage);
  CHECK(peerOf({"2", "3"}).error().message ==
        "unexpected argument \"3\": peer takes one TOTAL|HOST-PORT, see --help");
  CHECK(peerOf({"--id", "a:b"}).error().code == ErrorCode::usage);
}

TEST_CASE("a mistake in a file is reported with its line") {
  const auto message = [](const std::string& text) {
    const ConfigFile file(text);
    const auto options = metaserverOf({"--config", file.path()});
    REQUIRE_FALSE(options.ok());
    CHECK(options.error().code == ErrorCode::configuration);
    auto sentence = options.error().message;
    REQUIRE(sentence.starts_with(file.path()));
    return sentence.substr(file.path().size());
  };
  CHECK(message("# fine\n\nmax-links = 99\n") == ":3: max-links: \"99\" is no number from 2 to 64");
  CHECK(message("max-linsk = 3\n") == ":1: unknown name \"max-linsk\": did you mean max-links?");
  CHECK(message("max-links 3\n") == ":1: \"max-links 3\" is not of the form name = value");
  CHECK(message("e = topo\n") == ":1: unknown name \"e\"");
  CHECK(metaserverOf({"--config", "/nowhere"}).error().code == ErrorCode::configuration);
  CHECK(metaserverOf({"--config", "/tmp"}).error().code == ErrorCode::configuration);
  CHECK(metaserverOf({}, {{"ESPALIER_MAX_LINKS", "x"}}).error().message ==
        "ESPALIER_MAX_LINKS: \"x\" is no number from 2 to 64");
}

TEST_CASE("a value in the file is whole, or in quotes; comments, CRLF and a byte-order mark go") {
  const auto parsed = parseConfig(
      "\xEF\xBB\xBF# all that is allowed\r\n"
      "plain =  two words  \r\n"
      "\t quoted = \" # \\\"x\\\" \\\\ \" # a comment\r\n"
      "comment = c7 # x\n"
      "tab=c7\t#x\n"
      "hash = a#b\n"
      "inside = C\"x y\" \n"
      "backslash = a\\b\n"
      "equals = a = b\n"
      "empty = \"\"\n"
      "nothing = # y",
      "f");
  REQUIRE(parsed.ok());
  std::vector<std::pair<std::string, std::string>> seen;
  for (const auto& setting : *parsed) {
    CHECK(setting.line == static_cast<int>(seen.size()) + 2);
    seen.emplace_back(setting.name, setting.value);
  }
  CHECK(seen == std::vector<std::pair<std::string, std::string>>{{"plain", "two words"},
                                                                 {"quoted", " # \"x\" \\ "},
                                                                 {"comment", "c7"},
                                                                 {"tab", "c7"},
                                                                 {"hash", "a#b"},
                                                                 {"inside", "C\"x y\""},
                                                                 {"backslash", "a\\b"},
                                                                 {"equals", "a = b"},
                                                                 {"empty", ""},
                                                                 {"nothing", ""}});
}

TEST_CASE("mistakes around quotes are reported with file and line") {
  const auto message = [](const std::string& line) {
    return parseConfig("# one\n" + line + "\n", "f").error().message;
  };
  CHECK(message("id = \"c6") == "f:2: id: the quote that opens the value is not closed");
  CHECK(message("id = \"c6\\") == "f:2: id: the quote that opens the value is not closed");
  CHECK(message("id = \"c6\\\"") == "f:2: id: the quote that opens the value is not closed");
  CHECK(message("id = \"c6\" x") == "f:2: id: \"x\" follows the closing quote");
  CHECK(message("id = \"c6\"# x") == "f:2: id: \"# x\" follows the closing quote");
  CHECK(message("id = \"a\\nb\"") == "f:2: id: \\n is no escape in quotes: only \\\" and \\\\ are");
  CHECK(message("headless # yes") == "f:2: \"headless # yes\" is not of the form name = value");
}

TEST_CASE("every value that is quoted as the design says reads back") {
  CHECK(rc::check([](const std::string& text) {
    std::string value;
    std::string quoted;
    for (const char c : text) {
      if (c == '\n') continue;
      value += c;
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
    const auto parsed = parseConfig("a = \"" + quoted + "\" # b", "f");
    RC_ASSERT(parsed.ok());
    RC_ASSERT(parsed->size() == 1u);
    RC_ASSERT(parsed->front().value == value);
  }));
}

TEST_CASE("a leading ~/ is the home folder wherever a path is meant, and nowhere else") {
  const ConfigFile file("state = ~/state # c\n");
  const auto options = peerOf({"--id=a", "--share=~/x", "--config", file.path(), "--join-word=~/w"},
                              {{"HOME", "/home/ann"}, {"ESPALIER_DOWNLOADS", "~"}});
  REQUIRE(options.ok());
  CHECK(options->share == "/home/ann/x");
  CHECK(options->downloads == "/home/ann");
  CHECK(options->state == "/home/ann/state");
  CHECK(options->joinWord == "~/w");
  const auto metaserver =
      metaserverOf({"--topo", "~/t", "--count-file=~/c", "--state=~/s"}, {{"HOME", "/h"}});
  REQUIRE(metaserver.ok());
  CHECK(metaserver->topoFile == "/h/t");
  CHECK(metaserver->countFile == "/h/c");
  CHECK(metaserver->state == "/h/s");

  CHECK(peerOf({"--id=a", "--share=~ann/x"}, {{"HOME", "/h"}}).error().code == ErrorCode::usage);
  CHECK(peerOf({"--id=a", "--share=~/x"}).error().message ==
        "--share: ~/x: HOME is not set, so ~ stands for no folder");
  CHECK(peerOf({"--id=a"}, {{"ESPALIER_STATE", "~b"}}).error().code == ErrorCode::configuration);
  CHECK(peerOf({"--id=a", "--config", file.path()})
            .error()
            .message.starts_with(file.path() + ":1: state: ~/state: "));
  CHECK(peerOf({"--id=a", "--config=~b"}).error().code == ErrorCode::usage);
  CHECK(peerOf({"--id=a"}, {{"ESPALIER_CONFIG", "~b"}}).error().code == ErrorCode::configuration);
}

TEST_CASE("a bad value in the file is reported even if a flag overrides it") {
  const ConfigFile file("max-links = 99\n");
  CHECK_FALSE(metaserverOf({"--config", file.path(), "--max-links", "3"}).ok());
}

TEST_CASE("a flag overrides the environment, which overrides the file") {
  CHECK(rc::check([] {
    const auto value = rc::gen::maybe(rc::gen::inRange(2u, 65u));
    const auto inFile = *value;
    const auto inEnvironment = *value;
    const auto flag = *value;
    const ConfigFile file(inFile ? "  max-links=" + std::to_string(*inFile) + " \r\n" : "# none\n");
    Variables variables = {{"ESPALIER_CONFIG", file.path()}};
    if (inEnvironment) variables["ESPALIER_MAX_LINKS"] = std::to_string(*inEnvironment);
    Words words;
    if (flag) words = {"--max-links", std::to_string(*flag)};
    const auto options = metaserverOf(words, variables);
    RC_ASSERT(options.ok());
    const unsigned expected = flag ? *flag : inEnvironment ? *inEnvironment : inFile ? *inFile : 2;
    RC_ASSERT(options->maxLinks == expected);
  }));
}

TEST_CASE("yes and no come from every source") {
  const ConfigFile file("headless = yes\njson = on\n");
  const auto options = peerOf({"--id", "a", "--config=" + file.path(), "--json=no"});
  REQUIRE(options.ok());
  CHECK(options->headless);
  CHECK_FALSE(options->json);
  CHECK(peerOf({"--id", "a"}, {{"ESPALIER_QUIET", "1"}})->quiet);
  CHECK_FALSE(peerOf({"--id", "a", "--quiet=maybe"}).ok());
}

TEST_CASE("help leads with examples and names every option; version names the program") {
  PeerOptions options;
  const auto help = parsePeerOptions({"--help"}, environmentOf({}), true, options);
  REQUIRE(help.ok());
  REQUIRE(help->text);
  CHECK(help->text->find("Examples:") < help->text->find("Usage:"));
  for (const auto* name :
       {"TOTAL", "--metaserver HOST:PORT", "--id ID", "--share DIR", "--downloads DIR",
        "--join-word WORD", "--listen HOST[:PORT]", "--advertise HOST", "--state DIR", "-e COMMAND",
        "--headless", "--json", "--quiet", "--config FILE", "--log-level LEVEL", "--version"}) {
    CAPTURE(name);
    CHECK(help->text->find(name) != std::string::npos);
  }
  const auto version = parsePeerOptions({"--version"}, environmentOf({}), true, options);
  CHECK(version->text->starts_with("peer (Espalier) "));
}
