// A stream at a control socket, cut anywhere, is read as the lines that are in it.
#include "common/command/control_channel.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "common/base/limits.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;
using namespace espalier::command;

namespace {

// The oracle: the same with the whole stream at once.
std::vector<Json> cutWhole(std::string_view stream) {
  std::vector<Json> all;
  for (auto end = stream.find('\n'); end != stream.npos; end = stream.find('\n')) {
    auto message = Json::parse(stream.substr(0, end), nullptr, false);
    if (!message.is_object()) message = nullptr;
    all.push_back(std::move(message));
    stream.remove_prefix(end + 1);
  }
  return all;
}

void takeAll(LineReader& reader, std::vector<Json>& all) {
  while (auto message = reader.next()) {
    fuzz::require(message->is_object() || message->is_null(), "a line is an object, or null");
    all.push_back(std::move(*message));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input = fuzz::view(data, size);
  const std::size_t pieceBytes = 1 + 7u * fuzz::takeByte(input);
  if (input.size() >= limits::kControlLineBytes) return 0;
  int ends[2];
  fuzz::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0,
                "a pair of sockets");
  const FileDescriptor ours(ends[0]);
  FileDescriptor theirs(ends[1]);

  LineReader reader;
  std::vector<Json> all;
  for (std::size_t at = 0; at < input.size(); at += pieceBytes) {
    const auto piece = input.substr(at, pieceBytes);
    const auto sent = ::send(theirs.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    fuzz::require(sent == static_cast<ssize_t>(piece.size()), "a piece fits a socket");
    fuzz::require(reader.receive(ours.get()) == LineReader::State::open, "the other end is open");
    takeAll(reader, all);
  }
  theirs.reset();
  fuzz::require(reader.receive(ours.get()) == LineReader::State::ended, "the other end is closed");
  takeAll(reader, all);
  fuzz::require(all == cutWhole(input), "the same lines");

  // Each message that was read is written as one line, which reads as the same message.
  for (const auto& message : all) {
    const auto text = message.dump(-1, ' ', false, Json::error_handler_t::replace);
    fuzz::require(text.find('\n') == text.npos, "a message is one line");
    fuzz::require(Json::parse(text, nullptr, false) == message, "and reads to the same");
  }
  return 0;
}
