#include <doctest/doctest.h>

#include <set>
#include <type_traits>

#include "common/base/backoff.h"
#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/base/text.h"
#include "common/base/write_pace.h"

using namespace espalier;
using namespace std::chrono_literals;

TEST_CASE("a peer id is a short word without separators and white space") {
  for (const auto* good : {"s1", "AAAA", "3Tfx@", "größe", "日本", "-", "a.b", "a..", "\\x1b"}) {
    CAPTURE(good);
    CHECK(PeerId::parse(good).ok());
  }
  for (const std::string bad :
       {"", ".", "..", "...", ".s1", "a b", "a:b", "a/b", "a\tb", "a\nb", "\x1b[31m", "a\x7f",
        "\xff", "\xc0\x80", "a\u00a0b", "a\u0085b", "a\u202eb", "a\u2028b"}) {
    CAPTURE(escaped(bad));
    CHECK_FALSE(PeerId::parse(bad).ok());
  }
  CHECK(PeerId::parse(std::string(64, 'x')).ok());
  CHECK_FALSE(PeerId::parse(std::string(65, 'x')).ok());
}

TEST_CASE("a metaserver's name follows the rule of peer ids, but is a type of its own") {
  static_assert(!std::is_same_v<PeerId, ServerName>);
  static_assert(!std::is_convertible_v<PeerId, ServerName>);
  CHECK(ServerName::parse("m5000").value().text() == "m5000");
  CHECK(ServerName().empty());
  CHECK(ServerName::parse("a b").error() ==
        Error{ErrorCode::usage,
              "\"a b\" is no metaserver name: it has a space or a control character"});
  CHECK(ServerName::parse(std::string(65, 'x')).error().message ==
        "a metaserver name has at most 64 bytes, not 65");
  CHECK(PeerId::parse("a b").error().message ==
        "\"a b\" is no peer id: it has a space or a control character");
  CHECK(PeerId::parse(std::string(65, 'x')).error().message ==
        "a peer id has at most 64 bytes, not 65");
}

TEST_CASE("a peer id has no invisible character, and the refusal names it") {
  for (const std::string unseen :
       {"\u00ad",     "\u034f",     "\u061c",     "\u115f",     "\u1160",     "\u17b4",
        "\u180b",     "\u180e",     "\u200b",     "\u200c",     "\u200d",     "\u200e",
        "\u2060",     "\u2061",     "\u2064",     "\u2065",     "\u206a",     "\u206f",
        "\u2066",     "\u2800",     "\u3164",     "\ufdd0",     "\ufe00",     "\ufe0f",
        "\ufeff",     "\uffa0",     "\ufff0",     "\ufff9",     "\uffff",     "\U0001bca0",
        "\U0001d159", "\U0001d173", "\U0002fffe", "\U000e0001", "\U000e0041", "\U000e0100",
        "\U000e0fff", "\U0010ffff"}) {
    CAPTURE(escaped(unseen));
    for (const auto& id : {"s1" + unseen, unseen, unseen + "s1", "日" + unseen}) {
      CHECK_FALSE(PeerId::parse(id).ok());
    }
    // Nor does it reach a terminal as it is.
    CHECK(escaped("s1" + unseen).starts_with("s1\\"));
  }
  CHECK(PeerId::parse("s1\u200b").error().message.find("U+200B") != std::string::npos);
  for (const std::string seen : {"\u00ac", "\u00ae", "\u115e", "\u1161", "\u2070", "\u3165",
                                 "\uffa1", "\ufffd", "\U0001f600", "\u0e33"}) {
    CAPTURE(seen);
    CHECK(PeerId::parse(seen).ok());
    CHECK(escaped(seen) == seen);
  }
}

TEST_CASE("joiners stay in the words that they shape, and are shown elsewhere") {
  for (const std::string word : {"می\u200cخواهم", "❤\ufe0f\u200d🔥.jpg"}) {
    CHECK(escaped(word) == word);
  }
  CHECK(escaped("a\u200cb") == "a\\u{200c}b");
  CHECK(escaped("\u200d❤") == "\\u{200d}❤");
  CHECK(escaped("❤\u200d\u200d") == "❤\u200d\\u{200d}");
  CHECK(escaped("❤\u200b") == "❤\\u{200b}");
}

TEST_CASE("a host is an address or a DNS name, and nothing else") {
  const std::string label(63, 'x');
  for (const std::string& good :
       {std::string("127.0.0.1"), std::string("0.0.0.0"), std::string("255.255.255.255"),
        std::string("::"), std::string("::1"), std::string("2001:db8::8:800:200C:417A"),
        std::string("1:2:3:4:5:6:7:8"), std::string("1:2:3:4:5:6:7::"),
        std::string("::2:3:4:5:6:7:8"), std::string("::ffff:192.0.2.1"),
        std::string("64:ff9b::192.0.2.33"), std::string("1:2:3:4:5:6:192.0.2.1"),
        std::string("localhost"), std::string("a"), std::string("xn--bcher-kva.example"),
        std::string("3com.com"), std::string("host-1.lan."), std::string("1.2.3.4.example"),
        label + "." + label + "." + label}) {
    CAPTURE(good);
    CHECK(isHost(good));
    // What is written reads back, with any port.
    const Endpoint endpoint{good, 5000};
    const auto parsed = Endpoint::parse(endpoint.text());
    REQUIRE(parsed.ok());
    CHECK(*parsed == endpoint);
  }
  for (const std::string& bad : {std::string(""),
                                 std::string("[x"),
                                 std::string("x]"),
                                 std::string("[::1]"),
                                 std::string("a:b"),
                                 std::string("host:80"),
                                 std::string(":"),
                                 std::string(":::"),
                                 std::string("1::2::3"),
                                 std::string("1:2:3:4:5:6:7"),
                                 std::string("1:2:3:4:5:6:7:8:9"),
                                 std::string("1:2:3:4::5:6:7:8"),
                                 std::string("::12345"),
                                 std::string("::g"),
                                 std::string("::1:"),
                                 std::string(":1::"),
                                 std::string("192.0.2.1::"),
                                 std::string("::192.0.2.1:5"),
                                 std::string("::256.0.0.1"),
                                 std::string("fe80::1%lo"),
                                 std::string("127.0.0.1%lo"),
                                 std::string("256.0.0.1"),
                                 std::string("1.2.3"),
                                 std::string("127.1"),
                                 std::string("1.2.3.4.5"),
                                 std::string("01.2.3.4"),
                                 std::string("1.2.3.4."),
                                 std::string("12345"),
                                 std::string("0x7f000001"),
                                 std::string("a.0x7F"),
                                 std::string("a_b"),
                                 std::string("-a"),
                                 std::string("a-"),
                                 std::string("a..b"),
                                 std::string(".a"),
                                 std::string("."),
                                 std::string(".."),
                                 std::string("a b"),
                                 std::string("a\n"),
                                 std::string("a/b"),
                                 std::string("größe.example"),
                                 std::string("\xff"),
                                 std::string("a\0b", 3),
                                 std::string("a%20"),
                                 label + "x",
                                 std::string(limits::kHostBytes + 1, 'x')}) {
    CAPTURE(escaped(bad));
    CHECK_FALSE(isHost(bad));
  }
}

TEST_CASE("an address of an own link may have a scope, and only for this machine") {
  for (const auto* good : {"fe80::1%lo", "fe80::1%2", "fe80::1%wg-home_0.1", "::1", "localhost"}) {
    CAPTURE(good);
    CHECK(isLocalHost(good));
  }
  for (const auto* bad : {"fe80::1%", "fe80::1%a%b", "fe80::1%a]", "fe80::1%abcdefghijklmnop",
                          "x%lo", "127.0.0.1%lo", "%lo"}) {
    CAPTURE(bad);
    CHECK_FALSE(isLocalHost(bad));
  }
  CHECK(withoutScope("fe80::1%lo") == "fe80::1");
  CHECK(withoutScope("::1") == "::1");
  CHECK(Endpoint::parse("[fe80::1%lo]:80")->host == "fe80::1%lo");
}

TEST_CASE("an endpoint reads back as it prints") {
  for (const auto* text : {"127.0.0.1:5000", "[::1]:80", "localhost:0"}) {
    const auto endpoint = Endpoint::parse(text);
    REQUIRE(endpoint.ok());
    CHECK(endpoint->text() == text);
  }
  CHECK(Endpoint::parse("localhost", 5000)->port == 5000);
  for (const auto* bad : {"",           ":5000",   "host",    "host:",    "host:x",
                          "host:65536", "host:-1", "::1:80",  "[::1",     "[::1]x",
                          "[::1]:",     "a b:1",   "host:1x", "[host]:1", "[127.0.0.1]:1",
                          "[x:1",       "x]:1",    "127.1:1", "[::1]]:1", "[[::1]]:1"}) {
    CAPTURE(bad);
    CHECK_FALSE(Endpoint::parse(bad).ok());
  }
}

TEST_CASE("names from other peers are printed without control characters") {
  CHECK(escaped("plain größe") == "plain größe");
  CHECK(escaped("a\nb\x1b[31m") == "a\\nb\\x1b[31m");
  CHECK(escaped("\xff\\") == "\\xff\\\\");
  CHECK(escaped("a\u202eb") == "a\\u{202e}b");
}

TEST_CASE("quantities have units that people read") {
  CHECK(formatSize(0) == "0 B");
  CHECK(formatSize(999) == "999 B");
  CHECK(formatSize(1000) == "1.0 kB");
  CHECK(formatSize(999'950) == "1.0 MB");
  CHECK(formatSize(3'100'000) == "3.1 MB");
  CHECK(formatDuration(10ms) == "0.01 s");
  CHECK(formatDuration(12s) == "12 s");
  CHECK(formatDuration(200s) == "3 min 20 s");
  CHECK(formatDuration(7500s) == "2 h 5 min");
  CHECK(counted(1, "file") == "1 file");
  CHECK(counted(0, "file") == "0 files");
}

TEST_CASE("a file root is 64 hexadecimal digits") {
  const std::string hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
  const auto root = parseFileRoot(hex);
  REQUIRE(root.ok());
  CHECK(toHex(root->view()) == hex);
  CHECK_FALSE(parseFileRoot(hex.substr(1)).ok());
  CHECK_FALSE(parseFileRoot("z" + hex.substr(1)).ok());
}

TEST_CASE("the pauses between tries double up to the longest, each spread over its upper half") {
  Random random(1);
  Backoff backoff(500ms, 5s);
  for (const Duration most :
       {Duration(500ms), Duration(1s), Duration(2s), Duration(4s), Duration(5s), Duration(5s)}) {
    const auto pause = backoff.next(random);
    CHECK(pause >= most / 2);
    CHECK(pause <= most);
  }
}

TEST_CASE("whoever writes rests for 50 ms, and after work for nineteen times its processor time") {
  const WritePace idle;
  CHECK(idle.rest() >= 50ms);
  CHECK(idle.rest() <= 5s);
  const auto spent = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  const WritePace busy;
  for (const auto until = spent() + 10ms; spent() < until;) {
  }
  CHECK(busy.rest() >= 190ms);
}

TEST_CASE("generators that are seeded from the kernel differ from the first number on") {
  std::set<std::uint64_t> firsts;
  for (int i = 0; i < 2000; ++i) firsts.insert(seededFromKernel()());
  CHECK(firsts.size() == 2000);
}
