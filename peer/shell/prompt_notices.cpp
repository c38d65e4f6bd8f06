#include "peer/shell/prompt_notices.h"

#include <string_view>

#include "common/base/log.h"
#include "peer/shell/private_commands.h"

namespace espalier::peer::shell {

PromptNotices::PromptNotices(EventBus& events) : events_(events) {
  events_.listen([this](const Event& event) {
    const auto text = textOf(event);
    if (!text) return;
    editor_.with([&](auto* editor) {
      if (editor != nullptr) editor->notify(*text);
    });
  });
}

std::optional<std::string> PromptNotices::textOf(const Event& event) {
  if (const auto* line = std::get_if<LogLine>(&event)) return line->text;
  if (const auto* message = std::get_if<PrivateReceived>(&event)) {
    return privateLine(message->from, message->text, message->isOtherThanBefore);
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
