// A stream for a thread that may block: what it waits for, and what ends the wait.
#include "common/net/blocking_stream.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <thread>

#include "tests/unit/stream_pair.h"

using namespace espalier;
using namespace espalier::net;
using namespace espalier::net::test;
using namespace std::chrono_literals;

namespace {

std::span<std::byte> bytesOf(std::string& text) {
  return std::as_writable_bytes(std::span(text));
}

}  // namespace

TEST_CASE("more than a stream takes at once is written while another thread reads it") {
  const Interrupter never;
  auto [one, other] = streamPair();
  BlockingStream writer(std::move(one), 10s, never);
  BlockingStream reader(std::move(other), 10s, never);
  std::string content(4 << 20, ' ');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 / 3);
  std::jthread thread([&] { CHECK(writer.write(content).ok()); });
  std::string got(content.size(), ' ');
  REQUIRE(reader.readAll(bytesOf(got)).ok());
  CHECK(got == content);
}

TEST_CASE("a file is sent to a slow reader, and what it lacks is counted") {
  const Interrupter never;
  auto [one, other] = streamPair();
  BlockingStream writer(std::move(one), 10s, never);
  BlockingStream reader(std::move(other), 10s, never);
  char path[] = "/tmp/espalier-stream-XXXXXX";
  const FileDescriptor file(::mkstemp(path));
  ::unlink(path);
  const std::string content(2 << 20, 'f');
  REQUIRE(::write(file.get(), content.data(), content.size()) ==
          static_cast<ssize_t>(content.size()));
  std::jthread thread([&] {
    std::uint64_t sent = 0;
    auto some = writer.sendFileSome(file.get(), 1, content.size() + 9, 10s);
    while (some.ok() && some->state == IoResult::State::done) {
      sent += some->bytes;
      some = writer.sendFileSome(file.get(), 1 + sent, content.size() + 9 - sent, 10s);
    }
    REQUIRE(some.ok());
    CHECK(some->state == IoResult::State::ended);
    CHECK(sent == content.size() - 1);
  });
  std::string got(content.size() - 1, ' ');
  REQUIRE(reader.readAll(bytesOf(got), 1ms).ok());
  CHECK(got == content.substr(1));
}

TEST_CASE("silence ends a read with a time-out, and a reader that takes nothing a write") {
  const Interrupter never;
  auto [one, other] = streamPair();
  BlockingStream stream(std::move(one), 20ms, never);
  std::array<std::byte, 4> buffer;
  CHECK(stream.read(buffer).error().code == ErrorCode::timeout);
  CHECK_FALSE(stream.awaitReadable(1ms));
  const std::string much(8 << 20, 'x');
  CHECK(stream.write(much).error().code == ErrorCode::timeout);
  CHECK_FALSE(stream.isWritable());
  CHECK_FALSE(stream.tryWrite("more"));
}

TEST_CASE("a call that waits for a while only says what it waits for") {
  const Interrupter never;
  auto [one, other] = streamPair();
  BlockingStream stream(std::move(one), 10s, never);
  std::array<std::byte, 4> buffer;
  CHECK(stream.readSome(buffer, 1ms)->state == IoResult::State::wantRead);
  const std::string much(8 << 20, 'x');
  auto some = stream.writeSome(much, 1ms);
  while (some->state == IoResult::State::done) some = stream.writeSome(much, 1ms);
  CHECK(some->state == IoResult::State::wantWrite);
  other->write("more");
  CHECK(stream.readSome(buffer, 1ms)->bytes == 4);
}

TEST_CASE("who sends less than the least rate is given up, whatever keeps coming") {
  const Interrupter never;
  auto [one, other] = streamPair();
  BlockingStream stream(std::move(one), 10s, never);
  std::jthread trickle(
      [&, writer = BlockingStream(std::move(other), 10s, never)](std::stop_token stop) mutable {
        while (!stop.stop_requested() && writer.write("x")) (void)writer.awaitReadable(1ms);
      });
  std::string much(8 << 20, ' ');
  // Without a bound it would be waited for: at first some bytes are.
  REQUIRE(stream.readAll(bytesOf(much).first(10)).ok());
  stream.atLeast(1'000'000, 20ms);
  const auto all = stream.readAll(bytesOf(much));
  REQUIRE_FALSE(all.ok());
  CHECK(all.error().code == ErrorCode::timeout);
  stream.atLeast(1, 20ms);
  CHECK(stream.readAll(bytesOf(much).first(100)).ok());
}

TEST_CASE("an end while more is wanted is an error, with what came before it read") {
  const Interrupter never;
  auto [one, other] = streamPair();
  BlockingStream stream(std::move(one), 10s, never);
  other->write("half");
  other.reset();
  CHECK(stream.awaitReadable(10s));
  std::array<std::byte, 8> buffer;
  CHECK(stream.readAll(buffer).error().code == ErrorCode::io);
  CHECK(static_cast<char>(buffer[3]) == 'f');
}

TEST_CASE("an interrupter ends every wait on its streams, now and later") {
  Interrupter interrupter;
  auto [one, other] = streamPair();
  BlockingStream stream(std::move(one), 1h, interrupter);
  std::jthread canceller([&] { interrupter.interrupt(); });
  std::array<std::byte, 4> buffer;
  CHECK(stream.read(buffer).error().code == ErrorCode::interrupted);
  other->write("more");
  CHECK(stream.read(buffer).error().code == ErrorCode::interrupted);
  CHECK(stream.write("late").error().code == ErrorCode::interrupted);
}

TEST_CASE("a stream that is cut by another thread ends the read that waits on it") {
  const Interrupter never;
  auto [one, other] = streamPair();
  BlockingStream stream(std::move(one), 1h, never);
  std::jthread cutter([&] { stream.cut(); });
  std::array<std::byte, 4> buffer;
  CHECK(stream.read(buffer).error().code == ErrorCode::io);
}

TEST_CASE("a stream that reads before it writes is waited for in that direction") {
  const Interrupter never;
  auto [one, other] = streamPair();
  BlockingStream stream(std::make_unique<ShyStream>(std::move(one)), 10s, never);
  BlockingStream plain(std::move(other), 10s, never);
  std::jthread answerer([&] {
    std::string question(1, ' ');
    REQUIRE(plain.readAll(bytesOf(question)).ok());
    CHECK(question == "?");
    CHECK(plain.write("!pong").ok());
  });
  CHECK(stream.write("ping").ok());
  answerer.join();
  std::string ping(4, ' ');
  REQUIRE(plain.readAll(bytesOf(ping)).ok());
  CHECK(ping == "ping");
  std::string pong(4, ' ');
  REQUIRE(stream.readAll(bytesOf(pong)).ok());
  CHECK(pong == "pong");
}
