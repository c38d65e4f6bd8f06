#include "metaserver/core/cluster/session_streams.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace espalier::metaserver::cluster {
namespace {

constexpr unsigned kStreamBits = 22;  // four million streams a run; a time until the year 2109

std::uint64_t runOf(std::chrono::milliseconds started) {
  return static_cast<std::uint64_t>(started.count()) << kStreamBits;
}

bool isOfRun(std::uint64_t stream, std::chrono::milliseconds started) {
  return stream >> kStreamBits == runOf(started) >> kStreamBits;
}

// The messages of a batch that are new; nothing: some before them are missing.
template <typename Message>
std::optional<std::vector<Message>> newOnes(std::vector<Message> messages, std::uint64_t sequence,
                                            std::uint64_t& received) {
  if (messages.size() > sequence) return std::nullopt;
  const std::uint64_t before = sequence - messages.size();
  if (before > received) return std::nullopt;
  const auto known =
      static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(received - before, messages.size()));
  messages.erase(messages.begin(), messages.begin() + known);
  received = std::max(received, sequence);
  return messages;
}

}  // namespace

// --- the home

HomeStream::HomeStream(std::chrono::milliseconds started) : stream_(runOf(started)) {}

void HomeStream::begin(Epoch master) {
  isOpen_ = true;
  epoch_ = master;
  ++stream_;
  sent_ = 0;
  received_ = 0;
}

wire::SessionRequests HomeStream::wrap(std::vector<wire::SessionMessage> messages) {
  sent_ += messages.size();
  return {epoch_, stream_, sent_, std::move(messages)};
}

std::optional<std::vector<wire::SessionAnswer>> HomeStream::take(wire::SessionAnswers batch) {
  if (!isOpen_ || batch.epoch != epoch_ || batch.stream != stream_) {
    return std::vector<wire::SessionAnswer>();
  }
  if (batch.isBroken) return std::nullopt;
  return newOnes(std::move(batch.messages), batch.sequence, received_);
}

// --- the master

MasterStreams::Taken MasterStreams::take(ServerNumber home, std::chrono::milliseconds started,
                                         wire::SessionRequests batch) {
  Taken taken;
  if (batch.epoch != epoch_ || !isOfRun(batch.stream, started)) return taken;
  Stream& stream = streams_[home];
  if (batch.stream < stream.number) return taken;
  if (batch.stream > stream.number) {
    stream = {batch.stream, 0, 0, false};
    taken.isNew = true;
  }
  auto messages = stream.isBroken
                      ? std::nullopt
                      : newOnes(std::move(batch.messages), batch.sequence, stream.received);
  if (messages) {
    taken.messages = *std::move(messages);
  } else {
    stream.isBroken = true;
    taken.isBroken = true;
  }
  return taken;
}

std::optional<wire::SessionAnswers> MasterStreams::wrap(ServerNumber home,
                                                        std::vector<wire::SessionAnswer> messages) {
  const auto stream = streams_.find(home);
  if (stream == streams_.end() || stream->second.number == 0) return std::nullopt;
  auto& [number, received, sent, isBroken] = stream->second;
  if (isBroken) return wire::SessionAnswers{epoch_, number, sent, true, {}};
  sent += messages.size();
  return wire::SessionAnswers{epoch_, number, sent, false, std::move(messages)};
}

std::vector<ServerNumber> MasterStreams::homes() const {
  std::vector<ServerNumber> homes;
  for (const auto& [home, stream] : streams_) homes.push_back(home);
  return homes;
}

}  // namespace espalier::metaserver::cluster
