// The part of Server that answers `history`: what was said in a room, as this metaserver keeps it.
//
// Read part by part, each of a frame at most, because that is what the database reads at once. The
// loop's thread says what may be shown and asks the database, behind all writes before; the thread
// of the command waits.
#include <fmt/format.h>

#include <chrono>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "common/base/text.h"
#include "metaserver/core/rooms/room_tail.h"
#include "metaserver/shell/server.h"

namespace espalier::metaserver::shell {
namespace {

using rooms::RoomTail;

constexpr std::uint64_t kHistoryBytes = 1u << 20;  // of an answer, by estimate
constexpr auto kHistoryPatience = std::chrono::seconds(10);
constexpr auto kHistoryPoll = std::chrono::milliseconds(20);

static_assert(kHistoryBytes >= limits::kRoomTextBytes + 1024, "the longest message fits");

}  // namespace

// What the loop's thread is asked, and what it answers. Shared with it and with the database's
// thread: the command may have given up.
struct Server::HistoryPart {
  struct Answer {
    RoomTail tail;
    std::string problem;
    wire::RoomMessages messages;
  };
  RoomName room;
  std::size_t most = 0;
  std::optional<RoomTail> tail;  // of the first part
  std::promise<Result<Answer>> answer{};
};

// Why this copy may lack the latest entries; empty: it does not.
std::string Server::whyRoomsLack(const cluster::Coordinator& coordinator) {
  if (coordinator.rooms().isLevel()) return {};
  const auto standing = coordinator.standing(Clock::now());
  if (standing.master.empty()) {
    return "there is no master: this metaserver's copy of the rooms may lack the latest messages";
  }
  return fmt::format(
      "this metaserver's copy of the rooms is not up to date yet: the master {} has all of it",
      escaped(standing.master.text()));
}

// On the loop's thread.
void Server::readPart(const std::shared_ptr<HistoryPart>& part) {
  HistoryPart::Answer answer;
  std::optional<Error> error;
  coordinator_.with([&](auto& coordinator) {
    const auto& rooms = coordinator->rooms();
    answer.problem = whyRoomsLack(*coordinator);
    answer.tail =
        part->tail ? *part->tail : rooms::tailOf(rooms, part->room, part->most, kHistoryBytes);
    if (answer.tail.state == RoomTail::State::unknown) {
      const auto none = fmt::format("there is no room {}", escaped(part->room.text()));
      error = answer.problem.empty()
                  ? Error{ErrorCode::failed, none}
                  : Error{ErrorCode::unavailable, none + " here: " + answer.problem};
    } else if (!rooms.log().has(answer.tail.last)) {
      error = {ErrorCode::timeout, "another master has changed the log of the rooms: try again"};
    }
  });
  if (error) return part->answer.set_value(*error);
  if (!answer.tail.range) return part->answer.set_value(std::move(answer));
  const auto range = *answer.tail.range;
  auto filled = [part, answer = std::move(answer)](rooms::BatchFiller filler) mutable {
    filler.finish(answer.messages);
    part->answer.set_value(std::move(answer));
  };
  (void)rooms_->read(
      range, std::move(filled));  // dropped: the promise is broken, which the command notices
}

Result<command::RoomHistory> Server::history(const RoomName& room, std::size_t most,
                                             std::stop_token stop) {
  command::RoomHistory history;
  history.room = room;
  std::optional<RoomTail> tail;
  const auto until = Clock::now() + kHistoryPatience;
  while (true) {
    auto part = std::make_shared<HistoryPart>(HistoryPart{room, most, tail});
    auto coming = part->answer.get_future();
    loop_.post([this, part = std::move(part)] { readPart(part); });
    while (coming.wait_for(kHistoryPoll) != std::future_status::ready) {
      if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
      if (Clock::now() >= until) return Error{ErrorCode::timeout, "the metaserver is too busy"};
    }
    std::optional<Result<HistoryPart::Answer>> came;
    try {
      came = coming.get();
    } catch (const std::future_error&) {  // the read was dropped
      return Error{ErrorCode::unavailable,
                   "the rooms cannot be read: the metaserver is stopping, or its disk is busy or "
                   "fails"};
    }
    if (!*came) return came->error();
    auto& [found, problem, messages] = **came;
    std::move(messages.entries.begin(), messages.entries.end(),
              std::back_inserter(history.entries));
    history.isClosed = found.state == RoomTail::State::closed;
    history.more = found.more;
    history.problem = std::move(problem);
    if (!messages.isMore || history.entries.empty()) break;
    tail = found;
    tail->range->after = history.entries.back().position.sequence;
  }
  // What was left out is kept, and no gap.
  if (history.more > 0) most = history.entries.size();
  history.missing = command::gapsIn(history.entries, most);
  return history;
}

}  // namespace espalier::metaserver::shell
