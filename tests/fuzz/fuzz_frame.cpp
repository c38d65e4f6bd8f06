// Any stream, cut anywhere, is read as the frames that are in it.
#include <algorithm>
#include <string>
#include <vector>

#include "common/wire/frame.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;

namespace {

struct Frames {
  std::vector<std::string> frames;
  std::string rest;
  bool hostile = false;
};

// The oracle: the same with the whole stream at once.
Frames cutWhole(std::string_view stream) {
  Frames all;
  while (stream.size() >= limits::kFrameHeaderBytes) {
    std::size_t length = 0;
    for (const char c : stream.substr(0, 4)) length = length * 256 + static_cast<std::uint8_t>(c);
    if (length > limits::kFrameBytes) {
      all.hostile = true;
      break;
    }
    if (stream.size() - 4 < length) break;
    all.frames.emplace_back(stream.substr(4, length));
    stream.remove_prefix(4 + length);
  }
  all.rest = stream;
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input = fuzz::view(data, size);
  const auto cuts = input.substr(0, std::min<std::size_t>(fuzz::takeByte(input), input.size()));
  input.remove_prefix(cuts.size());

  const Frames expected = cutWhole(input);
  Frames seen;
  wire::FrameReader reader;
  std::string_view left = input;
  for (std::size_t i = 0; !left.empty() && !seen.hostile; ++i) {
    const std::size_t step = i < cuts.size() ? static_cast<std::uint8_t>(cuts[i]) : left.size();
    const auto part = left.substr(0, std::min(step + 1, left.size()));
    left.remove_prefix(part.size());
    reader.append(part);
    while (true) {
      const auto frame = reader.next();
      if (!frame) {
        seen.hostile = true;
        fuzz::require(!reader.next().ok(), "a stream that was refused stays refused");
        break;
      }
      if (!*frame) break;
      seen.frames.emplace_back(**frame);
    }
  }
  fuzz::require(seen.frames == expected.frames, "the same frames, however the stream is cut");
  fuzz::require(seen.hostile == expected.hostile, "hostile or not, however it is cut");
  if (!seen.hostile) fuzz::require(reader.rest() == expected.rest, "the same rest");

  std::string again;
  for (const auto& frame : seen.frames) wire::appendFrame(frame, again);
  fuzz::require(input.starts_with(again), "frames are written as they were read");
  return 0;
}
