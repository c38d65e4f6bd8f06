#include "common/web/event_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/base/limits.h"

namespace espalier::web {

std::string Position::text() const {
  return fmt::format("{}.{}", epoch, number);
}

std::optional<Position> Position::parse(std::string_view text) {
  Position position;
  const char* end = text.data() + text.size();
  const auto [dot, first] = std::from_chars(text.data(), end, position.epoch);
  if (first != std::errc() || dot == end || *dot != '.') return std::nullopt;
  const auto [rest, second] = std::from_chars(dot + 1, end, position.number);
  if (second != std::errc() || rest != end) return std::nullopt;
  return position;
}

void EventRing::add(std::string kind, std::string data) {
  ++last_;
  bytes_ += kind.size() + data.size();
  events_.push_back({std::move(kind), std::move(data)});
  while (events_.size() > limits::kWebEvents || bytes_ > limits::kWebEventBytes) {
    bytes_ -= events_.front().kind.size() + events_.front().data.size();
    events_.pop_front();
  }
}

std::optional<std::string> EventRing::behind(Position& from, std::size_t most) const {
  const std::uint64_t before = last_ - events_.size();  // the last one that is forgotten
  if (from.epoch != epoch_ || from.number > last_ || from.number < before) return std::nullopt;
  std::string text;
  const std::uint64_t end = from.number + std::min<std::uint64_t>(most, last_ - from.number);
  while (from.number < end) {
    const Event& event = events_[static_cast<std::size_t>(from.number - before)];
    ++from.number;
    text += fmt::format("id: {}\nevent: {}\ndata: {}\n\n", from.text(), event.kind, event.data);
  }
  return text;
}

}  // namespace espalier::web
