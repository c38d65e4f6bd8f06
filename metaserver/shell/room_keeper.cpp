#include "metaserver/shell/room_keeper.h"

#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "common/base/limits.h"

namespace espalier::metaserver::shell {

using rooms::BatchFiller;
using rooms::RoomsEffects;

RoomKeeper::RoomKeeper(const std::string& path, Host host)
    : host_(std::move(host)), database_(path) {}

Result<void> RoomKeeper::start() {
  storage::RoomDatabase::Done done;
  done.persisted = [this](std::uint64_t number) {
    put([this, number] { host_.persisted(number); });
  };
  done.failing = [this](bool isFailing) {
    put([this, isFailing] {
      reads_.clear();  // they were dropped
      host_.failing(isFailing);
    });
  };
  return database_.start(std::move(done));
}

// On the database's thread.
void RoomKeeper::put(Function done) {
  box_.with([&](auto& box) { box.push_back(std::move(done)); });
  if (!hasDone_.exchange(true)) host_.wake();
}

void RoomKeeper::tick() {
  if (!hasDone_.exchange(false)) return;
  for (const auto& done : box_.with([](auto& box) { return std::exchange(box, {}); })) done();
}

void RoomKeeper::carryOut(RoomsEffects& fx) {
  if (fx.persist) database_.write(std::move(fx.writes), *fx.persist);
  if (fx.readApart) {
    (void)database_.read(std::nullopt, [this](BatchFiller filled) {
      put([this, filled = std::move(filled)]() mutable { host_.apart(filled.take()); });
    });
  }
  for (auto& message : fx.messages) {
    if (message.entries) {
      read(std::move(message));
    } else {
      host_.tell(message.to, message.message);
    }
  }
  for (auto& message : fx.peers) {
    if (message.entries) {
      read(std::move(message));
    } else {
      host_.reply(message.to, message.reply);
    }
  }
}

void RoomKeeper::read(RoomsEffects::ToServer message) {
  const auto range = *message.entries;
  const auto kept = std::make_shared<RoomsEffects::ToServer>(std::move(message));
  (void)database_.read(range, [this, kept](BatchFiller filled) {
    put([this, kept, filled = std::move(filled)]() mutable {
      filled.finish(std::get<wire::RoomEntries>(kept->message));
      host_.tell(kept->to, kept->message);
    });
  });
}

// What is read is an answer, so it has one receiver.
void RoomKeeper::read(RoomsEffects::ToPeers message) {
  const ConnectionId to = message.to.front();
  auto& underWay = reads_[to];
  if (underWay >= limits::kRoomReadsOfPeer) return;
  const auto range = *message.entries;
  const auto kept = std::make_shared<RoomsEffects::ToPeers>(std::move(message));
  const bool isTaken = database_.read(range, [this, kept, to](BatchFiller filled) {
    put([this, kept, to, filled = std::move(filled)]() mutable {
      const auto reads = reads_.find(to);
      if (reads != reads_.end() && --reads->second == 0) reads_.erase(reads);
      filled.finish(std::get<wire::RoomMessages>(kept->reply));
      host_.reply(kept->to, kept->reply);
      const auto beyond = host_.beyond(kept->entries->room, kept->entries->upTo);
      if (beyond) host_.reply(kept->to, *beyond);
    });
  });
  if (isTaken) {
    ++underWay;
  } else if (underWay == 0) {
    reads_.erase(to);
  }
}

}  // namespace espalier::metaserver::shell
