#include "peer/shell/push_desk.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/base/thread.h"

namespace espalier::peer::shell {
namespace {

std::string described(const std::vector<wire::PushFile>& files) {
  std::uint64_t bytes = 0;
  for (const auto& file : files) bytes += file.sizeBytes;
  const std::string what =
      files.size() == 1 ? escaped(files.front().name) : counted(files.size(), "file");
  return fmt::format("{} ({})", what, formatSize(bytes));
}

}  // namespace

PushDesk::PushDesk(Network& network, transfer::RateLimit& uploadRate,
                   transfer::PushReceiverOptions options)
    : network_(network),
      options_(std::move(options)),
      server_(store_, {.rate = &uploadRate, .budget = network.budget()}),
      started_(startThread(tidier_, [this](std::stop_token stop) { tidy(stop); })) {}

void PushDesk::stop() {
  server_.stop();
  auto taken = taken_.with([](auto& all) { return std::exchange(all, {}); });
  taken.clear();
  tidier_.request_stop();
  if (tidier_.joinable()) tidier_.join();
  dropped_.clear();
}

// --- on the loop's thread ---

void PushDesk::carryOut(PushJob& job) {
  if (const auto* wanted = std::get_if<PushReceive>(&job)) return receive(*wanted);
  if (const auto* dropped = std::get_if<PushDrop>(&job)) return drop(dropped->id);
  const auto& from = std::get<PushTakeFrom>(job);
  log::debug("push {}: stripe {} of {} from {}", toHex(from.id.view()).substr(0, 8), from.stripe,
             from.stripes, from.source.id.text());
  taken_.with([&](auto& all) {
    const auto taken = all.find(from.id);
    if (taken == all.end() || !taken->second.receiver) return;
    taken->second.receiver->takeFrom(from.stripe, from.stripes,
                                     {from.source.id, from.source.endpoint}, from.patience);
  });
}

void PushDesk::receive(const PushReceive& job) {
  log::info(Payer::member(job.sender), "{} pushes {}", job.sender.text(), described(job.files));
  const PushId id = job.id;
  transfer::PushEvents events;
  events.sourceFailed = [this, id](std::size_t stripe, const PeerId& source, PushTrouble trouble,
                                   const Error& why) {
    log::debug(Payer::member(source), "{} as a push's source: {}", source.text(), why.message);
    network_.post([id, stripe, source, trouble](Peer& peer, TimePoint now, Effects& fx) {
      if (auto* pushes = peer.pushes()) pushes->sourceFailed(id, stripe, source, trouble, now, fx);
    });
  };
  events.progressed = [this, id] {
    network_.post([id](Peer& peer, TimePoint now, Effects&) {
      if (auto* pushes = peer.pushes()) pushes->progressed(id, now);
    });
  };
  events.completed = [this, id, sender = job.sender, what = described(job.files)] {
    log::info(Payer::member(sender), "received {} from {}, verified", what, sender.text());
    ended(id);
    network_.post([id](Peer& peer, TimePoint now, Effects& fx) {
      if (auto* pushes = peer.pushes()) pushes->completed(id, now, fx);
    });
  };
  const auto failed = [this, id, sender = job.sender](const Error& why) {
    log::warning(Payer::member(sender), "the push from {} failed here: {}", sender.text(),
                 why.message);
    ended(id);
    network_.post([id, reason = why.message](Peer& peer, TimePoint now, Effects& fx) {
      if (auto* pushes = peer.pushes()) pushes->failedHere(id, reason, now, fx);
    });
  };
  events.failed = failed;
  const auto started = taken_.with([&](auto& all) {
    auto& taken = all[id];
    taken.sender = job.sender;
    taken.files = job.files;
    taken.receiver =
        std::make_unique<transfer::PushReceiver>(job.files, options_, store_, std::move(events));
    return taken.receiver->started();
  });
  if (!started) failed(started.error());
}

void PushDesk::drop(const PushId& id) {
  Dropped dropped;
  auto taken = taken_.with([&](auto& all) { return all.extract(id); });
  if (taken && taken.mapped().receiver) {
    dropped.receiver = std::move(taken.mapped().receiver);
    droppedBytes_.with([&](auto& bytes) { bytes += dropped.receiver->receivedBytes(); });
  }
  auto sent = sent_.with([&](auto& all) { return all.extract(id); });
  if (sent) dropped.files = std::move(sent.mapped());
  for (const auto& file : dropped.files) {
    file->end();
    store_.remove(file);
  }
  const std::lock_guard lock(droppedMutex_);
  dropped_.push_back(std::move(dropped));
  droppedCondition_.notify_one();
}

void PushDesk::tidy(std::stop_token stop) {
  while (true) {
    std::unique_lock lock(droppedMutex_);
    droppedCondition_.wait(lock, stop, [this] { return !dropped_.empty(); });
    if (stop.stop_requested()) return;
    const Dropped dropped = std::move(dropped_.front());
    dropped_.pop_front();
    lock.unlock();
  }
}

// On a receiver's thread.
void PushDesk::ended(const PushId& id) {
  taken_.with([&](auto& all) {
    const auto taken = all.find(id);
    if (taken != all.end()) taken->second.ended = true;
  });
}

// --- any thread ---

Result<PushId> PushDesk::start(transfer::PreparedPush prepared, std::vector<PeerId> to) {
  for (const auto& file : prepared.opened) store_.put(file);
  const auto id = network_.call(
      [this, &prepared, &to](Peer& peer, TimePoint now, Effects& fx) -> Result<PushId> {
        if (peer.pushes() == nullptr) return notJoined();
        auto started = peer.pushes()->start(prepared.files, std::move(to), now, fx);
        if (started) {
          sent_.with([&](auto& all) { all.emplace(*started, prepared.opened); });
        }
        return started;
      });
  if (id && *id) return **id;
  for (const auto& file : prepared.opened) store_.remove(file);
  return id ? id->error() : id.error();
}

std::optional<Pushes::View> PushDesk::view(const PushId& id) {
  auto view = network_.call([&](Peer& peer, TimePoint, Effects&) {
    return peer.pushes() != nullptr ? peer.pushes()->view(id) : std::nullopt;
  });
  return view ? std::move(*view) : std::nullopt;
}

std::vector<PushId> PushDesk::ids() {
  auto ids = network_.call([](Peer& peer, TimePoint, Effects&) {
    return peer.pushes() != nullptr ? peer.pushes()->ids() : std::vector<PushId>();
  });
  return ids ? std::move(*ids) : std::vector<PushId>();
}

void PushDesk::finish(const PushId& id, wire::PushEnd end) {
  (void)network_.call([&](Peer& peer, TimePoint now, Effects& fx) {
    if (auto* pushes = peer.pushes()) pushes->finish(id, end, now, fx);
  });
}

std::vector<PushDesk::Incoming> PushDesk::incoming() const {
  return taken_.with([](const auto& all) {
    std::vector<Incoming> result;
    for (const auto& [id, taken] : all) {
      if (taken.ended || !taken.receiver) continue;
      Incoming each{taken.files.front().name, taken.files.size(), taken.receiver->sources(),
                    taken.receiver->heldBytes(), 0};
      for (const auto& file : taken.files) each.totalBytes += file.sizeBytes;
      result.push_back(std::move(each));
    }
    return result;
  });
}

std::uint64_t PushDesk::receivedBytes() const {
  const auto gone = droppedBytes_.with([](const auto& bytes) { return bytes; });
  return taken_.with([gone](const auto& all) {
    std::uint64_t bytes = gone;
    for (const auto& [id, taken] : all) {
      if (taken.receiver) bytes += taken.receiver->receivedBytes();
    }
    return bytes;
  });
}

}  // namespace espalier::peer::shell
