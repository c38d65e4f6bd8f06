#include <doctest/doctest.h>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/text.h"

using namespace espalier;
using namespace std::chrono_literals;

TEST_CASE("a peer id is a short word without anything that could be mistaken for something else") {
  for (const auto* good : {"s1", "AAAA", "3Tfx@", "größe", "日本", "-", "...", "a.b"}) {
    CAPTURE(good);
    CHECK(PeerId::parse(good).ok());
  }
  for (const std::string bad : {"", ".", "..", "a b", "a:b", "a/b", "a\tb", "a\nb", "\x1b[31m",
                                "a\x7f", "\xff", "\xc0\x80", "a\u00a0b", "a\u202eb", "a\u2028b"}) {
    CAPTURE(escaped(bad));
    CHECK_FALSE(PeerId::parse(bad).ok());
  }
  CHECK(PeerId::parse(std::string(64, 'x')).ok());
  CHECK_FALSE(PeerId::parse(std::string(65, 'x')).ok());
}

TEST_CASE("an endpoint reads back as it prints") {
  for (const auto* text : {"127.0.0.1:5000", "[::1]:80", "localhost:0"}) {
    const auto endpoint = Endpoint::parse(text);
    REQUIRE(endpoint.ok());
    CHECK(endpoint->text() == text);
  }
  CHECK(Endpoint::parse("localhost", 5000)->port == 5000);
  for (const auto* bad : {"", ":5000", "host", "host:", "host:x", "host:65536", "host:-1", "::1:80",
                          "[::1", "[::1]x", "[::1]:", "a b:1", "host:1x"}) {
    CAPTURE(bad);
    CHECK_FALSE(Endpoint::parse(bad).ok());
  }
}

TEST_CASE("what others named is printed without its control characters") {
  CHECK(escaped("plain größe") == "plain größe");
  CHECK(escaped("a\nb\x1b[31m") == "a\\nb\\x1b[31m");
  CHECK(escaped("\xff\\") == "\\xff\\\\");
  CHECK(escaped("a\u202eb") == "a\\u{202e}b");
}

TEST_CASE("quantities are written for people") {
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
