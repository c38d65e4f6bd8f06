// Prints what happens at this peer above the line that is being typed.
//
//   log::write() --> LogLine --+
//                              +--> EventBus --> PromptNotices --> LineEditor::notify()
//   other publishers ----------+
//
// textOf() alone decides which events a user sees at the prompt: a new kind of event that belongs
// there gets a case in it. The bell rings at most once in limits::kBellInterval.
//
// Owned by main()'s Program. Thread rule: constructed before the first event is published,
// destroyed when the event loop has ended. One thread calls show() and hide(); events come from
// any thread. Nothing blocks: the editor queues lines.
#pragma once

#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/base/guarded.h"
#include "common/command/line_editor.h"
#include "peer/shell/events.h"

namespace espalier::peer::shell {

class PromptNotices {
 public:
  // `rings`: the bell, for what is meant for the user.
  explicit PromptNotices(EventBus& events, bool rings = false);
  PromptNotices(const PromptNotices&) = delete;
  PromptNotices& operator=(const PromptNotices&) = delete;

  // From now on prints to `editor`, and log lines are events.
  void show(command::LineEditor& editor);
  // The editor is used no more. Call it when the log has another sink: log lines that are still
  // published are lost.
  void hide();

  // What the prompt prints of an event, if anything: one line, without its line feed.
  static std::optional<std::string> textOf(const Event& event);
  // Whether it is a private message, or names the user.
  static bool isForUser(const Event& event);

 private:
  EventBus& events_;
  const bool rings_;
  Guarded<TimePoint> rungAt_{TimePoint::min()};
  Guarded<command::LineEditor*> editor_{nullptr};
};

}  // namespace espalier::peer::shell
