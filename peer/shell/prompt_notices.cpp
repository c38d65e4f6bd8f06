#include "peer/shell/prompt_notices.h"

#include <string_view>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "peer/shell/private_commands.h"
#include "peer/shell/room_lines.h"

namespace espalier::peer::shell {

PromptNotices::PromptNotices(EventBus& events, bool rings) : events_(events), rings_(rings) {
  events_.listen([this](const Event& event) {
    const auto text = textOf(event);
    if (!text) return;
    const bool ringsNow = rings_ && isForUser(event) && rungAt_.with([](TimePoint& rungAt) {
      const auto now = Clock::now();
      if (rungAt != TimePoint::min() && now - rungAt < limits::kBellInterval) return false;
      rungAt = now;
      return true;
    });
    editor_.with([&](auto* editor) {
      if (editor != nullptr) editor->notify(*text, ringsNow);
    });
  });
}

bool PromptNotices::isForUser(const Event& event) {
  const auto* happened = std::get_if<RoomHappened>(&event);
  return std::holds_alternative<PrivateReceived>(event) ||
         (happened != nullptr && happened->namesUser);
}

std::optional<std::string> PromptNotices::textOf(const Event& event) {
  if (const auto* line = std::get_if<LogLine>(&event)) return line->text;
  if (const auto* message = std::get_if<PrivateReceived>(&event)) {
    return privateLine(message->from, message->text, message->isOtherThanBefore);
  }
  if (const auto* happened = std::get_if<RoomHappened>(&event)) {
    // The user has seen it when it was typed.
    if (!happened->isOwn) return roomLine(*happened);
  }
  return std::nullopt;
}

void PromptNotices::show(command::LineEditor& editor) {
  editor_.with([&](auto*& current) { current = &editor; });
  log::setSink(
      [](std::string_view line, void* context) {
        if (line.ends_with('\n')) line.remove_suffix(1);
        static_cast<EventBus*>(context)->publish(LogLine{std::string(line)});
      },
      &events_);
}

void PromptNotices::hide() {
  editor_.with([](auto*& current) { current = nullptr; });
}

}  // namespace espalier::peer::shell
