#include "common/command/line_editor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <langinfo.h>
#include <cassert>
#include <clocale>
#include <cstdlib>
#include <cstring>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/command/line_editor_worker.h"
#include "common/command/printing.h"

namespace espalier::command {
namespace {

// libedit prints and counts columns by the locale; everything we print is UTF-8.
void useUtf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

bool canMoveCursor() {
  const char* name = std::getenv("TERM");
  return name != nullptr && *name != 0 && std::strcmp(name, "dumb") != 0;
}

}  // namespace

LineEditor::LineEditor(Settings settings)
    : worker_(std::make_unique<Worker>(std::move(settings))) {}
LineEditor::~LineEditor() = default;

const Result<void>& LineEditor::started() const {
  return worker_->started();
}
bool LineEditor::isTerminal() const {
  return worker_->isTerminal();
}
LineEditor::Line LineEditor::read(const std::string& prompt, const Completer& complete) {
  return worker_->read(prompt, complete);
}
void LineEditor::print(std::string_view text) {
  worker_->print(text);
}
std::optional<Error> LineEditor::failure() const {
  return worker_->failure();
}
void LineEditor::notify(std::string_view line) {
  worker_->notify(line);
}
void LineEditor::showStatus(const std::string& line) {
  worker_->showStatus(line);
}
bool LineEditor::interrupt() {
  return worker_->interrupt();
}
void LineEditor::resized() {
  worker_->redraw(false);
}
void LineEditor::resumed() {
  worker_->redraw(true);
}
void LineEditor::close() {
  worker_->close();
}

LineEditor::Worker::Worker(Settings settings)
    : settings_(std::move(settings)),
      terminal_(::isatty(settings_.input) != 0 && ::isatty(settings_.output) != 0),
      capable_(terminal_ && canMoveCursor()),
      output_(settings_.output, limits::kControlGrace),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  assert(wake_);
  if (terminal_) useUtf8();
  started_ = startThread(thread_, [this] { run(); });
  if (!started_) close();
}

LineEditor::Worker::~Worker() {
  close();
  {
    const std::lock_guard lock(mutex_);
    shared_.ending = true;
    wake();
  }
  if (thread_.joinable()) thread_.join();
}

void LineEditor::Worker::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

void LineEditor::Worker::drainWake() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto taken = ::read(wake_.get(), &count, sizeof count);
}

LineEditor::Line LineEditor::Worker::read(const std::string& prompt, const Completer& complete) {
  const auto head = prompt.rfind('\n');
  if (head != std::string::npos) print(prompt.substr(0, head + 1));
  std::unique_lock lock(mutex_);
  if (shared_.closing) return {};
  shared_.interrupted = false;
  shared_.status.clear();
  shared_.statusChanged = true;
  shared_.answer.reset();
  shared_.wanted = Wanted{head == std::string::npos ? prompt : prompt.substr(head + 1), complete};
  wake();
  changed_.wait(lock, [this] { return shared_.answer.has_value(); });
  return std::move(*shared_.answer);
}

void LineEditor::Worker::print(std::string_view text) {
  if (text.empty()) return;
  std::unique_lock lock(mutex_);
  if (terminal_ && shared_.closing) return;
  shared_.output.push_back({printable(text), false});
  const std::uint64_t mine = ++shared_.printsQueued;
  wake();
  changed_.wait(lock, [&] { return printsDone_ >= mine || (terminal_ && shared_.closing); });
}

void LineEditor::Worker::notify(std::string_view line) {
  while (line.ends_with('\n')) line.remove_suffix(1);
  const std::lock_guard lock(mutex_);
  if (shared_.closing) return;
  if (shared_.notices >= limits::kNoticesQueued) {
    ++shared_.lostNotices;
    return;
  }
  ++shared_.notices;
  shared_.output.push_back({printable(line) + "\n", true});
  wake();
}

void LineEditor::Worker::showStatus(const std::string& line) {
  if (!capable_) return;
  const std::lock_guard lock(mutex_);
  shared_.status = printable(line);
  shared_.statusChanged = true;
  wake();
}

bool LineEditor::Worker::interrupt() {
  const std::lock_guard lock(mutex_);
  if (!shared_.wanted) return false;
  shared_.interrupted = true;
  wake();
  return true;
}

void LineEditor::Worker::redraw(bool prepareTerminal) {
  const std::lock_guard lock(mutex_);
  shared_.resized = true;
  shared_.prepareTerminal = shared_.prepareTerminal || prepareTerminal;
  wake();
}

void LineEditor::Worker::close() {
  const std::lock_guard lock(mutex_);
  shared_.closing = true;
  output_.abort();
  changed_.notify_all();
  wake();
}

void LineEditor::Worker::run() {
  if (terminal_) openEditor();
  while (true) {
    flush(false);
    std::optional<Wanted> wanted;
    bool closing = false;
    bool ending = false;
    {
      const std::lock_guard lock(mutex_);
      wanted = shared_.wanted;
      closing = shared_.closing;
      // What is no terminal gets what a command came to, even if that was interrupted.
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
      pollfd waiting{wake_.get(), POLLIN, 0};
      ::poll(&waiting, 1, -1);
      drainWake();
    }
  }
  flush(false);
  eraseStatus();
  if (terminal_) closeEditor();
}

void LineEditor::Worker::eraseStatus() {
  if (statusShown_) write("\r\033[K");
  statusShown_ = false;
}

// Prints what is queued. `typing`: above a line that is being typed, which is drawn anew behind it.
void LineEditor::Worker::flush(bool typing) {
  bool erased = false;
  while (true) {
    std::string text;
    bool notice = false;
    {
      const std::lock_guard lock(mutex_);
      if (shared_.output.empty()) break;
      text = std::move(shared_.output.front().text);
      notice = shared_.output.front().isNotice;
      shared_.output.pop_front();
      if (notice) {
        --shared_.notices;
        if (shared_.notices == 0 && shared_.lostNotices > 0) {
          text += fmt::format("… and {} that the terminal did not take in time\n",
                              counted(shared_.lostNotices, "line"));
          shared_.lostNotices = 0;
        }
      }
    }
    if (typing && !erased) eraseTyped();
    erased = true;
    eraseStatus();
    write(text);
    if (!notice) {
      const std::lock_guard lock(mutex_);
      ++printsDone_;
      changed_.notify_all();
    }
  }
  if (typing) {
    if (erased) el_set(editor_, EL_REFRESH);
    return;
  }
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

LineEditor::Line LineEditor::Worker::serve(const Wanted& wanted) {
  prompt_ = wanted.prompt;
  eraseStatus();
  return terminal_ ? readEdited(wanted) : readPlain();
}

// Waits until there is input, doing meanwhile what others want done. `leave`: the line is over,
// because of Ctrl-C or close().
LineEditor::Worker::Round LineEditor::Worker::waitForInput(bool typing) {
  while (true) {
    bool resized = false;
    bool prepare = false;
    {
      const std::lock_guard lock(mutex_);
      if (shared_.closing || shared_.interrupted) return Round::leave;
      resized = std::exchange(shared_.resized, false);
      prepare = std::exchange(shared_.prepareTerminal, false);
    }
    if (typing && prepare) {
      // It believes to be in its mode already, and would do nothing.
      el_set(editor_, EL_PREP_TERM, 0);
      setRaw();
    }
    if (typing && resized) {
      eraseTyped();  // terminals wrap again what stands there: by the new width
      el_resize(editor_);
      el_set(editor_, EL_REFRESH);
    }
    flush(typing);
    pollfd waiting[] = {{settings_.input, POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    ::poll(waiting, 2, -1);
    if (waiting[1].revents != 0) {
      drainWake();
    } else if (waiting[0].revents != 0) {
      return Round::go;
    }
  }
}

}  // namespace espalier::command
