#include "common/wire/frame.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

using namespace espalier;
using wire::FrameReader;

namespace {

std::string framed(const std::vector<std::string>& payloads) {
  std::string stream;
  for (const auto& payload : payloads) wire::appendFrame(payload, stream);
  return stream;
}

// Every frame that is complete; doctest fails on an error.
void readAll(FrameReader& reader, std::vector<std::string>& frames) {
  while (true) {
    const auto frame = reader.next();
    REQUIRE(frame.ok());
    if (!*frame) return;
    frames.emplace_back(**frame);
  }
}

std::string header(std::uint32_t length) {
  return {static_cast<char>(length >> 24), static_cast<char>(length >> 16),
          static_cast<char>(length >> 8), static_cast<char>(length)};
}

void check(bool held) {
  CHECK(held);
}

}  // namespace

TEST_CASE("a frame is its length in four bytes, the highest first, and the payload") {
  CHECK(framed({"hello"}) == std::string("\x00\x00\x00\x05hello", 9));
  CHECK(framed({""}) == std::string(4, '\0'));
  CHECK(framed({std::string(65'536, 'x')}).substr(0, 4) == std::string("\x00\x01\x00\x00", 4));
}

TEST_CASE("however a stream is cut, the same frames come out of it") {
  check(rc::check([](const std::vector<std::string>& payloads) {
    const std::string stream = framed(payloads);
    FrameReader reader;
    std::vector<std::string> frames;
    std::size_t at = 0;
    while (at < stream.size()) {
      const auto piece = *rc::gen::inRange<std::size_t>(1, stream.size() - at + 1);
      reader.append(std::string_view(stream).substr(at, piece));
      at += piece;
      readAll(reader, frames);
    }
    RC_ASSERT(frames == payloads);
    RC_ASSERT(reader.rest().empty());
  }));
}

TEST_CASE("frames of up to the limit come out of a stream cut byte by byte or read at once") {
  const std::vector<std::string> payloads = {std::string(limits::kFrameBytes, 'a'), "",
                                             std::string(limits::kFrameBytes - 1, 'b'), "c"};
  const std::string stream = framed(payloads);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{65'536}, stream.size()}) {
    CAPTURE(piece);
    FrameReader reader;
    std::vector<std::string> frames;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      reader.append(std::string_view(stream).substr(at, piece));
      readAll(reader, frames);
    }
    CHECK(frames == payloads);
  }
}

TEST_CASE("frames that are read late are still what was sent") {
  check(rc::check([](const std::vector<std::string>& payloads) {
    FrameReader reader;
    std::vector<std::string> frames;
    for (const auto& payload : payloads) {
      reader.append(framed({payload}));
      if (!*rc::gen::arbitrary<bool>()) continue;
      const auto frame = reader.next();
      RC_ASSERT(frame.ok() && frame->has_value());
      frames.emplace_back(**frame);
    }
    readAll(reader, frames);
    RC_ASSERT(frames == payloads);
  }));
}

TEST_CASE("a length above the limit is an error that stays, and nothing is allocated for it") {
  check(rc::check([](const std::vector<std::string>& before) {
    const auto length = *rc::gen::inRange<std::uint32_t>(limits::kFrameBytes + 1, 0xffff'ffffu);
    FrameReader reader;
    reader.append(framed(before) + header(length) + "x");
    for (const auto& payload : before) {
      const auto frame = reader.next();
      RC_ASSERT(frame.ok() && frame->has_value());
      RC_ASSERT(**frame == payload);
    }
    const auto before_capacity = reader.capacityBytes();
    for (int attempt = 0; attempt < 3; ++attempt) {
      const auto frame = reader.next();
      RC_ASSERT(!frame.ok());
      RC_ASSERT(frame.error().code == ErrorCode::protocol);
      reader.append("y");
    }
    RC_ASSERT(reader.capacityBytes() <= 2 * before_capacity);
  }));
  CHECK(wire::frameLength(header(limits::kFrameBytes)).ok());
  CHECK(wire::frameLength(header(0xffff'ffffu)).error().message ==
        "a frame of 4294967295 bytes; at most 65536 are allowed");
}

TEST_CASE("a length above the limit is reported as soon as the header has arrived") {
  FrameReader reader;
  reader.append(header(limits::kFrameBytes + 1).substr(0, 3));
  CHECK(reader.next().ok());
  reader.append(header(limits::kFrameBytes + 1).substr(3));
  CHECK_FALSE(reader.next().ok());
}

TEST_CASE("the bytes behind the last frame are the rest, where raw bytes begin") {
  FrameReader reader;
  reader.append(framed({"hello"}) + "raw bytes");
  REQUIRE(reader.next().ok());
  CHECK(reader.rest() == "raw bytes");
}

TEST_CASE("a reader between frames holds no buffer, and a large one only for a large frame") {
  FrameReader reader;
  std::vector<std::string> frames;
  reader.append(framed({std::string(limits::kFrameBytes, 'a')}));
  readAll(reader, frames);
  CHECK(reader.capacityBytes() <= std::string().capacity());

  reader.append(framed({std::string(limits::kFrameBytes, 'a')}) + "x");
  readAll(reader, frames);
  CHECK(reader.rest() == "x");
  CHECK(reader.capacityBytes() < 64);
}
