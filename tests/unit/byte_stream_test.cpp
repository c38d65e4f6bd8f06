// The lowest layer of a connection: what it moves at once, and what it waits for.
#include "common/net/byte_stream.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <string>

#include "common/base/signals.h"
#include "tests/unit/stream_pair.h"

using namespace espalier;
using namespace espalier::net;
using namespace espalier::net::test;
using State = IoResult::State;

namespace {

FileDescriptor fileOf(std::string_view content) {
  char path[] = "/tmp/espalier-stream-XXXXXX";
  FileDescriptor file(::mkstemp(path));
  REQUIRE(file);
  ::unlink(path);
  REQUIRE(::write(file.get(), content.data(), content.size()) ==
          static_cast<ssize_t>(content.size()));
  return file;
}

}  // namespace

TEST_CASE("an empty stream wants to read, a full one to write, and neither loses a byte") {
  auto [one, other] = streamPair();
  std::array<std::byte, 16> buffer;
  CHECK(other->read(buffer).state == State::wantRead);
  const std::string piece(64 * 1024, 'x');
  std::size_t sent = 0;
  IoResult put = one->write(piece);
  for (; put.state == State::done; put = one->write(piece)) sent += put.bytes;
  CHECK(put.state == State::wantWrite);
  CHECK(sent > 0);
  CHECK(readNow(*other).size() == sent);
  CHECK(one->write(piece).state == State::done);
}

TEST_CASE("what the system keeps for an end that does not read is bounded, until it need not be") {
  auto [one, other] = tcpPair("127.0.0.1");
  const std::string piece(64 * 1024, 'x');
  const auto fill = [&, &stream = *one] {
    std::size_t taken = 0;
    while (true) {
      const auto put = stream.write(piece);
      if (put.state != State::done) return taken;
      taken += put.bytes;
    }
  };
  one->boundUnsent(64 * 1024);
  CHECK(fill() < 1024 * 1024);  // the other end's buffer, too
  one->boundUnsent(0);
  CHECK(fill() > 512 * 1024);
}

TEST_CASE("unread bytes are read first, and are pending until then") {
  auto [one, other] = streamPair();
  REQUIRE(one->write("behind").bytes == 6);
  other->unread("late ");
  other->unread("put back ");
  CHECK(other->pending() == 14);
  CHECK(readNow(*other) == "put back late behind");
  CHECK(other->pending() == 0);
}

TEST_CASE(
    "the end is reported after the bytes before it were read, and the other direction stays open") {
  auto [one, other] = streamPair();
  REQUIRE(one->write("last").bytes == 4);
  CHECK(one->endWriting().state == State::done);
  CHECK(readNow(*other) == "last");
  std::array<std::byte, 16> buffer;
  CHECK(other->read(buffer).state == State::ended);
  REQUIRE(other->write("answer").bytes == 6);
  CHECK(readNow(*one) == "answer");
}

TEST_CASE("a stream whose other end is gone fails, without a signal") {
  auto [one, other] = streamPair();
  other.reset();
  const auto put = one->write("nobody reads this");
  CHECK(put.state == State::failed);
  CHECK(put.error == EPIPE);
}

TEST_CASE("a stream that is cut ends at both ends") {
  auto [one, other] = streamPair();
  one->cut();
  std::array<std::byte, 16> buffer;
  CHECK(one->read(buffer).state == State::ended);
  CHECK(other->read(buffer).state == State::ended);
}

TEST_CASE("a file is sent up to its end, and the end is reported") {
  auto [one, other] = streamPair();
  const auto file = fileOf("0123456789");
  auto sent = one->sendFile(file.get(), 4, 3);
  REQUIRE(sent.state == State::done);
  CHECK(sent.bytes == 3);
  sent = one->sendFile(file.get(), 7, 100);
  REQUIRE(sent.state == State::done);
  CHECK(sent.bytes == 3);
  CHECK(one->sendFile(file.get(), 10, 1).state == State::ended);
  CHECK(readNow(*other) == "456789");
}

TEST_CASE("a thread with quiet signals sees the end of a file's reader as an error") {
  const QuietSignals quiet;
  auto [one, other] = streamPair();
  const auto file = fileOf("content");
  other.reset();
  const auto sent = one->sendFile(file.get(), 0, 7);
  CHECK(sent.state == State::failed);
  CHECK(sent.error == EPIPE);
}
