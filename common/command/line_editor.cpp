#include "common/command/line_editor.h"

#include <fmt/format.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cassert>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/command/printing.h"
#include "common/command/standard_output.h"

namespace espalier::command {
namespace {

constexpr int kForegroundCheckMilliseconds = 200;  // of a program in the background

// So that the system does not stop a program in the background that reads the terminal (it gets an
// error) or leaves its mode (it may).
void blockStops() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTTIN);
  ::sigaddset(&signals, SIGTTOU);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

// libedit prints and counts columns by the locale. Everything that is printed here is UTF-8.
void useUtf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

// Of moving the cursor.
bool isCapable() {
  const char* name = std::getenv("TERM");
  return name != nullptr && *name != 0 && std::strcmp(name, "dumb") != 0;
}

}  // namespace

LineEditor::LineEditor(Settings settings)
    : settings_(std::move(settings)),
      terminal_(::isatty(settings_.input) != 0 && ::isatty(settings_.output) != 0),
      canMoveCursor_(terminal_ && isCapable()),
      output_(settings_.output, limits::kControlGrace),
      plain_(settings_.input, [this] { return awaitInput(false); }) {
  assert(wakeUp_);
  if (terminal_) useUtf8();
  started_ = startThread(thread_, [this] { run(); });
  if (!started_) close();
}

LineEditor::~LineEditor() {
  close();
  {
    const std::lock_guard lock(mutex_);
    shared_.ending = true;
    wakeUp_.wake();
  }
  if (thread_.joinable()) thread_.join();
}

// --- any thread

LineEditor::Line LineEditor::read(const std::string& prompt, const Completer& complete) {
  const auto head = prompt.rfind('\n');
  if (head != std::string::npos) print(prompt.substr(0, head + 1));
  std::unique_lock lock(mutex_);
  if (shared_.closing) return {};
  shared_.interrupted = false;
  shared_.status.clear();
  shared_.statusChanged = true;
  shared_.answer.reset();
  shared_.wanted = Wanted{head == std::string::npos ? prompt : prompt.substr(head + 1), complete};
  wakeUp_.wake();
  changed_.wait(lock, [this] { return shared_.answer.has_value(); });
  return std::move(*shared_.answer);
}

void LineEditor::print(std::string_view text) {
  if (text.empty()) return;
  std::unique_lock lock(mutex_);
  if (terminal_ && shared_.closing) return;
  shared_.output.push_back({printable(text), false});
  const std::uint64_t mine = ++shared_.printsQueued;
  wakeUp_.wake();
  changed_.wait(lock, [&] { return shared_.printsDone >= mine || (terminal_ && shared_.closing); });
}

void LineEditor::notify(std::string_view line, bool rings) {
  while (line.ends_with('\n')) line.remove_suffix(1);
  const std::lock_guard lock(mutex_);
  if (shared_.closing) return;
  if (shared_.notices >= limits::kNoticesQueued) {
    ++shared_.lostNotices;
    return;
  }
  ++shared_.notices;
  shared_.output.push_back({printable(line) + (rings ? "\n\a" : "\n"), true});
  wakeUp_.wake();
}

void LineEditor::showStatus(const std::string& line) {
  if (!canMoveCursor_) return;
  const std::lock_guard lock(mutex_);
  shared_.status = printable(line);
  shared_.statusChanged = true;
  wakeUp_.wake();
}

bool LineEditor::interrupt() {
  const std::lock_guard lock(mutex_);
  if (!shared_.wanted) return false;
  shared_.interrupted = true;
  wakeUp_.wake();
  return true;
}

void LineEditor::redraw(bool modeLost) {
  const std::lock_guard lock(mutex_);
  shared_.resized = true;
  shared_.modeLost = shared_.modeLost || modeLost;
  wakeUp_.wake();
}

void LineEditor::close() {
  const std::lock_guard lock(mutex_);
  shared_.closing = true;
  output_.abort();
  changed_.notify_all();
  wakeUp_.wake();
}

std::optional<Error> LineEditor::failure() const {
  const std::lock_guard lock(mutex_);
  return shared_.failure;
}

// --- the editor's thread

void LineEditor::run() {
  if (terminal_) {
    blockStops();
  }
  if (terminal_ && awaitForeground()) {
    edited_ = std::make_unique<EditedInput>(
        EditedInput::Settings{settings_.input, settings_.historyFile, canMoveCursor_}, output_,
        EditedInput::Owner{[this] { return awaitInput(true); },
                           [this](const std::string& text) { write(text); }});
  }
  while (true) {
    flush(false);
    std::optional<Wanted> wanted;
    bool closing = false;
    bool ending = false;
    {
      const std::lock_guard lock(mutex_);
      wanted = shared_.wanted;
      closing = shared_.closing;
      // After close() a terminal gets no more; a file or a pipe does, until the destructor runs.
      ending = shared_.ending || (terminal_ && closing);
    }
    if (wanted) {
      Line line = closing ? Line{} : serve(*wanted);
      const std::lock_guard lock(mutex_);
      shared_.answer = std::move(line);
      shared_.wanted.reset();
      changed_.notify_all();
    } else if (ending) {
      break;
    } else {
      pollfd waiting{wakeUp_.descriptor(), POLLIN, 0};
      ::poll(&waiting, 1, -1);
      wakeUp_.clear();
    }
  }
  flush(false);
  eraseStatus();
  edited_.reset();
}

// An error of a terminal is not kept: its input ends as well.
void LineEditor::write(const std::string& text) {
  const auto written = failure() ? Result<void>() : output_.write(text);
  if (written || terminal_) return;
  const std::lock_guard lock(mutex_);
  shared_.failure = cannotWriteOutput(written.error());
}

void LineEditor::eraseStatus() {
  if (statusShown_) write("\r\033[K");
  statusShown_ = false;
}

// Prints what is queued. `typing`: above a line that is being typed, which is drawn again below it.
void LineEditor::flush(bool typing) {
  const bool erased = printQueued(typing);
  if (!typing) return drawStatus(erased);
  if (erased) edited_->refresh();
}

// Whether anything was queued.
bool LineEditor::printQueued(bool typing) {
  bool erased = false;
  while (true) {
    std::string text;
    bool isNotice = false;
    {
      const std::lock_guard lock(mutex_);
      if (shared_.output.empty()) return erased;
      text = std::move(shared_.output.front().text);
      isNotice = shared_.output.front().isNotice;
      shared_.output.pop_front();
      if (isNotice && --shared_.notices == 0 && shared_.lostNotices > 0) {
        text += fmt::format("… and {} that the terminal did not take in time\n",
                            counted(shared_.lostNotices, "line"));
        shared_.lostNotices = 0;
      }
    }
    if (typing && !erased) edited_->erase();
    erased = true;
    eraseStatus();
    write(text);
    if (isNotice) continue;
    const std::lock_guard lock(mutex_);
    ++shared_.printsDone;
    changed_.notify_all();
  }
}

void LineEditor::drawStatus(bool erased) {
  std::string status;
  {
    const std::lock_guard lock(mutex_);
    if (!shared_.statusChanged && !erased) return;
    shared_.statusChanged = false;
    status = shared_.status;
  }
  if (status.empty()) return eraseStatus();
  write("\r" + status + "\033[K");
  statusShown_ = true;
}

LineEditor::Line LineEditor::serve(const Wanted& wanted) {
  eraseStatus();
  return terminal_ ? readEdited(wanted) : readPlain();
}

LineEditor::Line LineEditor::readPlain() {
  if (auto line = plain_.read()) return {End::line, std::move(*line)};
  if (plain_.hasEnded()) return {};
  const std::lock_guard lock(mutex_);
  return {shared_.closing ? End::ended : End::interrupted, {}};
}

LineEditor::Line LineEditor::readEdited(const Wanted& wanted) {
  if (edited_->hasEnded() || !awaitForeground()) return {};
  auto line = edited_->read(wanted.prompt, wanted.complete);
  bool interrupted = false;
  {
    const std::lock_guard lock(mutex_);
    if (shared_.closing) return {};
    interrupted = shared_.interrupted;
  }
  if (interrupted) {
    write("^C\n");
    return {End::interrupted, {}};
  }
  if (!line) {
    write("\n");
    return {};
  }
  const bool isBlank = line->find_first_not_of(" \t") == std::string::npos;
  if (wanted.complete && !isBlank && line->size() <= limits::kCommandLineBytes) {
    edited_->remember(*line);
  }
  return {End::line, std::move(*line)};
}

// Prints meanwhile. False: the editor is closing.
bool LineEditor::awaitForeground() {
  while (isInBackground(settings_.input)) {
    {
      const std::lock_guard lock(mutex_);
      if (shared_.closing) return false;
    }
    flush(false);
    pollfd waiting{wakeUp_.descriptor(), POLLIN, 0};
    ::poll(&waiting, 1, kForegroundCheckMilliseconds);
    wakeUp_.clear();
  }
  return true;
}

// Waits until there is input, and meanwhile prints and redraws. False: the line is over, because of
// interrupt() or close().
bool LineEditor::awaitInput(bool typing) {
  bool wasInBackground = false;
  while (true) {
    const bool inBackground = terminal_ && isInBackground(settings_.input);
    bool resized = false;
    bool modeLost = false;
    {
      const std::lock_guard lock(mutex_);
      if (shared_.closing || shared_.interrupted) return false;
      if (!inBackground) {
        resized = std::exchange(shared_.resized, false);
        modeLost = std::exchange(shared_.modeLost, false);
      }
    }
    const bool drawn = typing && !inBackground;
    const bool isBack = std::exchange(wasInBackground, inBackground) && !inBackground;
    if (drawn && (modeLost || isBack)) edited_->restoreMode();
    if (drawn && isBack) edited_->redraw();
    if (drawn && resized) edited_->resize();
    flush(drawn);
    pollfd waiting[] = {{inBackground ? -1 : settings_.input, POLLIN, 0},
                        {wakeUp_.descriptor(), POLLIN, 0}};
    ::poll(waiting, 2, inBackground ? kForegroundCheckMilliseconds : -1);
    if (waiting[1].revents != 0) {
      wakeUp_.clear();
    } else if (waiting[0].revents != 0 && !(terminal_ && isInBackground(settings_.input))) {
      return true;
    }
  }
}

}  // namespace espalier::command
