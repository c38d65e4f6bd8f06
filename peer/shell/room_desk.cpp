#include "peer/shell/room_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/base/text.h"
#include "peer/shell/room_events.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;
using Entry = wire::RoomEntry;
using Happening = RoomHappened::Kind;

constexpr auto kEntryPatience = 2s;

Error noHome() {
  return {ErrorCode::unavailable, "the metaserver is out of reach"};
}

}  // namespace

Result<void> RoomDesk::start(RoomViews::Saved saved) {
  auto started = database_.start(
      [this](std::vector<storage::RoomTelling>& tellings) { publishStored(tellings); });
  if (!started) return started;
  // Above what an earlier process has told, also if its disk was lost.
  const auto wallClock = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(wallClock).count();
  saved.revision =
      std::max(saved.revision, static_cast<std::uint64_t>(std::max<std::int64_t>(ms, 0)));
  runtime_.network().post(
      [saved = std::move(saved), speaker = randomFromKernel<SpeakerId>()](
          Peer& peer, TimePoint, Effects&) mutable { peer.keepRooms(std::move(saved), speaker); });
  return {};
}

// --- on the loop's thread

void RoomDesk::changed(RoomViewsEffects& fx) {
  publish(fx);
  {
    const std::lock_guard lock(mutex_);
    for (auto& reply : fx.said) {
      const auto waiting = says_.find(reply.id);
      if (waiting != says_.end()) waiting->second = std::move(reply);
    }
    for (auto& history : fx.histories) {
      const auto waiting = histories_.find(history.number);
      if (waiting != histories_.end()) waiting->second = std::move(history);
    }
    for (const auto& state : fx.states) {
      for (auto& [number, joining] : joins_) {
        if (joining.room == state.room) joining.state = state;
      }
    }
    for (const auto& room : fx.entered) {
      for (auto& [number, joining] : joins_) joining.hasEntered |= joining.room == room;
    }
  }
  changed_.notify_all();
  if (fx.isToBeSaved() || !fx.shows.empty()) database_.take(fx);
}

// What need not be durable.
void RoomDesk::publish(const RoomViewsEffects& fx) {
  auto& events = runtime_.events();
  for (const auto& state : fx.states) {
    if (!state.refused.empty()) {
      auto event = happened(Happening::refused, state.room);
      event.text = state.refused;
      events.publish(std::move(event));
    }
    const bool waits = !state.isOpen && state.opensAt > 0 && state.refused.empty();
    if (!waits) {
      waits_.erase(state.room);
      continue;
    }
    const auto [told, isNew] = waits_.emplace(state.room, state.members);
    if (!isNew && std::exchange(told->second, state.members) == state.members) continue;
    auto event = happened(Happening::waits, state.room);
    event.members = state.members;
    event.opensAt = state.opensAt;
    events.publish(std::move(event));
  }
  for (const auto& saved : fx.saves) {
    if (!saved.isJoined) waits_.erase(saved.room);
  }
  for (const auto& moved : fx.moved) {
    if (moved.room.text() == kLobby) continue;
    auto event = happened(moved.isIn ? Happening::joined : Happening::left, moved.room);
    event.from = moved.who.text();
    events.publish(std::move(event));
  }
}

void RoomDesk::publishStored(std::vector<storage::RoomTelling>& tellings) {
  for (auto& telling : tellings) {
    runtime_.events().publish(std::visit([](auto& what) { return eventOf(what); }, telling));
  }
}

// --- the service

// Runs the function on the loop, if this peer has a home that knows rooms, or will have one again.
template <typename Function>
auto RoomDesk::withRooms(Function function)
    -> Result<std::invoke_result_t<Function, RoomViews&, TimePoint, RoomViewsEffects&>> {
  using Value = std::invoke_result_t<Function, RoomViews&, TimePoint, RoomViewsEffects&>;
  auto done = runtime_.network().call(
      [function = std::move(function)](Peer& peer, TimePoint now, Effects& fx) -> Result<Value> {
        if (peer.rooms() == nullptr) return notJoined();
        if (peer.membership().joined() && !peer.membership().session().roomsHome()) {
          return Error{ErrorCode::unavailable, "the metaserver is too old: it has no rooms"};
        }
        if constexpr (std::is_void_v<Value>) {
          function(*peer.rooms(), now, fx.rooms);
          return {};
        } else {
          return function(*peer.rooms(), now, fx.rooms);
        }
      });
  if (!done) return done.error();
  return *std::move(done);
}

// What became of what waits under that key, which ends; empty: `stop`, or patience has ended.
template <typename Map>
auto RoomDesk::awaitIn(Map& pending, const typename Map::key_type& key, const std::stop_token& stop)
    -> typename Map::mapped_type {
  std::unique_lock lock(mutex_);
  auto& answer = pending.find(key)->second;
  changed_.wait_until(lock, stop, Clock::now() + limits::kRoomPatience,
                      [&] { return answer.has_value(); });
  auto result = std::move(answer);
  pending.erase(key);
  return result;
}

Result<RoomInfo> RoomDesk::join(const RoomName& room, std::uint32_t opensAt, std::stop_token stop) {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = ++joinings_;
    joins_[number] = {room, std::nullopt};
  }
  auto joined = withRooms([&](RoomViews& rooms, TimePoint now, RoomViewsEffects& fx) {
    return rooms.join(room, opensAt, now, fx);
  });
  if (joined && *joined) {
    if (auto settled = database_.settle(); !settled) joined = settled.error();
  }
  if (!joined || !*joined) {
    const std::lock_guard lock(mutex_);
    joins_.erase(number);
    return joined ? joined->error() : joined.error();
  }
  return awaitJoined(number, room, stop);
}

Result<RoomInfo> RoomDesk::awaitJoined(std::uint64_t number, const RoomName& room,
                                       const std::stop_token& stop) {
  std::optional<wire::RoomState> state;
  // It may have been a member before: then nothing new comes.
  const auto rows = own();
  const auto row = rows ? std::find_if(rows->begin(), rows->end(),
                                       [&](const auto& one) { return one.room == room; })
                        : std::vector<RoomInfo>::const_iterator();
  const bool wasIn = rows && row != rows->end() && row->isConfirmed;
  {
    std::unique_lock lock(mutex_);
    auto& joining = joins_.find(number)->second;
    if (!wasIn) {
      changed_.wait_until(lock, stop, Clock::now() + limits::kRoomPatience,
                          [&] { return joining.state.has_value(); });
      // The home says how the room is, and then that others know of this peer; not in a large one.
      changed_.wait_until(lock, stop, Clock::now() + kEntryPatience, [&] {
        return !joining.state || !joining.state->refused.empty() || joining.hasEntered ||
               joining.state->members >= limits::kRoomMembersTold;
      });
    }
    state = std::move(joining.state);
    joins_.erase(number);
  }
  if (state && !state->refused.empty()) {
    return Error{ErrorCode::refused, escaped(state->refused)};
  }
  if (wasIn) return *row;
  const auto now = own();
  if (!now) return now.error();
  for (const auto& info : *now) {
    if (info.room != room) continue;
    auto told = info;
    told.isConfirmed = state.has_value();
    return told;
  }
  return Error{ErrorCode::failed, "the room was left meanwhile"};
}

Result<void> RoomDesk::part(const RoomName& room) {
  auto parted = withRooms(
      [&](RoomViews& rooms, TimePoint, RoomViewsEffects& fx) { return rooms.part(room, fx); });
  if (!parted) return parted.error();
  if (!*parted) return *parted;
  return database_.settle();
}

Result<SaidInRoom> RoomDesk::say(const RoomName& room, const std::string& text,
                                 std::stop_token stop) {
  auto said = withRooms([&](RoomViews& rooms, TimePoint, RoomViewsEffects& fx) {
    auto id = rooms.say(room, text, fx);
    if (id) {
      rooms.read(room, fx);
      const std::lock_guard lock(mutex_);
      says_[*id];
    }
    return id;
  });
  if (!said) return said.error();
  if (!*said) return said->error();
  const auto id = **said;
  auto reply = awaitIn(says_, id, stop);
  if (!reply) return notSaid(id, stop);
  SaidInRoom told{room, reply->number, reply->epoch, reply->stored, {}, {}};
  if (reply->number > 0) return told;
  told.wait = std::chrono::milliseconds(reply->waitMs);
  told.error = {reply->code, escaped(reply->why)};
  if (reply->waitMs > 0) {
    told.error.code = ErrorCode::timeout;
    told.error.message += fmt::format(": wait {}", formatDuration(told.wait));
  }
  return told;
}

Error RoomDesk::notSaid(const wire::RoomEntryId& id, const std::stop_token& stop) {
  bool hasHome = false;
  const auto withdrawn = withRooms([&](RoomViews& rooms, TimePoint, RoomViewsEffects&) {
    hasHome = rooms.hasHome();
    return rooms.withdraw(id);
  });
  const bool isInterrupted = stop.stop_requested();
  if (withdrawn && *withdrawn) {
    if (isInterrupted) return {ErrorCode::interrupted, "interrupted: nothing was said"};
    if (!hasHome) return {ErrorCode::unavailable, noHome().message + ": nothing was said"};
    return {ErrorCode::timeout, "the metaserver is busy: nothing was said"};
  }
  return {isInterrupted ? ErrorCode::interrupted : ErrorCode::timeout,
          "it is not acknowledged yet: it goes on being sent while this peer runs"};
}

Result<RoomHistory> RoomDesk::history(const RoomName& room, std::size_t most,
                                      std::stop_token stop) {
  auto asked =
      withRooms([&](RoomViews& rooms, TimePoint, RoomViewsEffects& fx) -> Result<std::uint64_t> {
        if (!rooms.isIn(room)) {
          return Error{ErrorCode::usage, "you are not in " + room.text() + ": join it first"};
        }
        const auto number = rooms.history(room, static_cast<std::uint32_t>(most), fx);
        if (!number) return Error{ErrorCode::refused, "too many questions wait for an answer"};
        rooms.read(room, fx);
        const std::lock_guard lock(mutex_);
        histories_[*number];
        return *number;
      });
  if (!asked) return asked.error();
  if (!*asked) return asked->error();
  const auto number = **asked;
  auto answer = awaitIn(histories_, number, stop);
  if (!answer) {
    bool hasHome = false;
    (void)withRooms([&](RoomViews& rooms, TimePoint, RoomViewsEffects&) {
      hasHome = rooms.hasHome();
      rooms.forgetHistory(number);
    });
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    if (!hasHome) return noHome();
    return Error{ErrorCode::timeout, "the metaserver does not answer"};
  }
  const auto missing = command::gapsIn(answer->entries, most);
  RoomHistory history{room, std::move(answer->entries), missing, answer->isClosed, 0, {}};
  forgetIgnored(history.entries);
  return history;
}

void RoomDesk::forgetIgnored(std::vector<Entry>& entries) {
  (void)runtime_.network().call([&](Peer& peer, TimePoint, Effects&) {
    const auto* privates = std::as_const(peer).privates();
    if (privates == nullptr) return;
    std::erase_if(entries, [&](const Entry& entry) {
      return entry.kind == Entry::Kind::message && privates->book().isIgnored(entry.author, {});
    });
  });
}

void RoomDesk::read(const RoomName& room) {
  (void)withRooms([&](RoomViews& rooms, TimePoint, RoomViewsEffects& fx) { rooms.read(room, fx); });
}

// --- lists

Result<std::vector<RoomInfo>> RoomDesk::own() {
  return withRooms([](RoomViews& rooms, TimePoint, RoomViewsEffects&) {
    std::vector<RoomInfo> own;
    for (const auto& row : rooms.rows()) own.push_back(infoOf(row));
    return own;
  });
}

Result<RoomListing> RoomDesk::rooms(std::stop_token stop) {
  const auto rows = own();
  if (!rows) return rows.error();
  std::map<RoomName, RoomInfo> all;
  for (const auto& row : *rows) all[row.room] = row;
  RoomListing listing;
  RoomName after;
  // With the lobby.
  for (std::size_t taken = 0; taken <= limits::kRooms;) {
    const auto reply = runtime_.metaserver().ask(wire::RoomListRequest{after, 0}, stop);
    if (!reply) {
      listing.problem = reply.error().message;
      break;
    }
    const auto& page = std::get<wire::RoomList>(*reply);
    for (const auto& row : page.rooms) {
      auto& info = all[row.room];
      info.room = row.room;
      info.members = row.members;
      info.opensAt = row.opensAt;
      info.isOpen = row.isOpen;
      info.isConfirmed = true;
    }
    if (!page.isMore || page.rooms.empty() || page.rooms.back().room <= after) break;
    after = page.rooms.back().room;
    taken += page.rooms.size();
  }
  for (auto& [name, info] : all) listing.rooms.push_back(std::move(info));
  return listing;
}

Result<RoomMembers> RoomDesk::who(const std::optional<RoomName>& room, std::stop_token stop) {
  if (const auto known = own(); !known) return known.error();
  RoomMembers who;
  PeerId after;
  while (who.members.size() < limits::kMembers) {
    const auto reply =
        runtime_.metaserver().ask(wire::RoomWhoRequest{room.value_or(RoomName()), after, 0}, stop);
    if (!reply) return reply.error();
    const auto& page = std::get<wire::RoomWho>(*reply);
    who.count = page.count;
    who.members.insert(who.members.end(), page.members.begin(), page.members.end());
    if (!page.isMore || page.members.empty() || page.members.back().id <= after) break;
    after = page.members.back().id;
  }
  return who;
}

Result<void> RoomDesk::watch(const std::vector<RoomName>& rooms,
                             const std::function<void()>& onBegin, const OnEvent& onEvent,
                             std::stop_token stop) {
  const auto rows = own();
  if (!rows) return rows.error();
  for (const auto& room : rooms) {
    const auto isIt = [&](const RoomInfo& one) { return one.room == room; };
    if (std::ranges::none_of(*rows, isIt)) {
      return Error{ErrorCode::usage, "you are not in " + room.text() + ": join it first"};
    }
  }
  EventBus::Subscription events(runtime_.events(), kindsOf<RoomHappened, PrivateReceived>(),
                                limits::kRoomWatched);
  onBegin();
  while (const auto event = events.next(stop)) {
    if (!rooms.empty()) {
      if (std::holds_alternative<PrivateReceived>(*event)) continue;
      const auto* happened = std::get_if<RoomHappened>(&*event);
      const auto isIt = [&](const RoomName& room) { return room.text() == happened->room; };
      if (happened != nullptr && std::ranges::none_of(rooms, isIt)) continue;
    }
    onEvent(*event);
  }
  return {};
}

std::vector<std::string> RoomDesk::names(const std::string& prefix) {
  std::vector<std::string> names;
  const auto rows = own();
  if (!rows) return names;
  for (const auto& row : *rows) {
    const auto& name = row.room.text();
    if (name.starts_with(prefix) && names.size() < limits::kCompletions) names.push_back(name);
  }
  return names;
}

}  // namespace espalier::peer::shell
