#include "peer/shell/page_events.h"

#include <utility>
#include <variant>

#include "peer/shell/room_lines.h"

namespace espalier::peer::shell {

void PageEvents::take() {
  while (const auto event = events_.next({}, Clock::now())) {
    if (const auto* happened = std::get_if<RoomHappened>(&*event)) {
      add(web::lineOf(roomEvent(*happened)));
      continue;
    }
    const auto* message = std::get_if<PrivateReceived>(&*event);
    if (message == nullptr) {
      ++missed_;
      add(web::lineOf({{"event", "missed"}}));
    } else if (received_.size() < limits::kPrivateConversations ||
               received_.contains(message->from)) {
      ++received_[message->from];
    }
  }
}

void PageEvents::add(std::string line) {
  saidBytes_ += line.size();
  said_.emplace(++last_, std::move(line));
  while (said_.size() > limits::kEventsQueued || saidBytes_ > kSaidBytes) {
    saidBytes_ -= said_.begin()->second.size();
    said_.erase(said_.begin());
  }
}

std::uint64_t PageEvents::received(const std::string& from) const {
  const auto found = received_.find(from);
  return missed_ + (found == received_.end() ? 0 : found->second);
}

web::Group PageEvents::said() const {
  web::Group group;
  for (const auto& [number, line] : said_) group[std::to_string(number)] = line;
  return group;
}

}  // namespace espalier::peer::shell
