#include "metaserver/shell/console.h"

#include <unistd.h>

#include <utility>

#include "common/base/log.h"
#include "common/base/thread.h"

namespace espalier::metaserver::shell {

bool Console::isWanted() {
  return command::isAtTerminal() && ::tcgetpgrp(STDIN_FILENO) == ::getpgrp();
}

bool Console::showsLog() {
  return ::isatty(STDERR_FILENO) != 0;
}

Console::Console(const command::Dispatcher& dispatcher, command::Prompt::Question question,
                 bool json, std::function<void()> ended)
    : dispatcher_(dispatcher),
      question_(std::move(question)),
      ended_(std::move(ended)),
      json_(json) {}

Result<void> Console::start() {
  editor_ = std::make_unique<command::LineEditor>(
      command::LineEditor::Settings{STDIN_FILENO, STDOUT_FILENO, {}});
  if (!editor_->started()) return editor_->started().error();
  prompt_ = std::make_unique<command::Prompt>(
      *editor_, command::PromptSettings{.json = json_, .quiet = false, .script = false});
  current_.show(*prompt_);
  if (showsLog()) command::showLogAt(*editor_);
  return startThread(thread_, [this] {
    prompt_->run(dispatcher_, question_);
    ended_();
  });
}

Console::~Console() {
  if (showsLog()) log::setSink(nullptr, nullptr);
  current_.hide();
  if (prompt_) prompt_->close();
  if (thread_.joinable()) thread_.join();
}

}  // namespace espalier::metaserver::shell
