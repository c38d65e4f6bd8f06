#include "common/command/edited_input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "common/command/printing.h"
#include "common/command/progress.h"

namespace espalier::command {
namespace {

EditedInput* inputOf(EditLine* editor) {
  void* data = nullptr;
  el_get(editor, EL_CLIENTDATA, &data);
  return static_cast<EditedInput*>(data);
}

// The columns of what libedit shows for typed text: control characters as ^X.
std::size_t typedWidth(std::string_view text) {
  const auto controls = std::count_if(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  return displayWidth(text) + static_cast<std::size_t>(controls);
}

std::string commonBeginning(const std::vector<std::string>& words) {
  std::string common = words.front();
  for (const auto& word : words) {
    const auto end = std::mismatch(common.begin(), common.end(), word.begin(), word.end()).first;
    common.erase(end, common.end());
  }
  // Not in the middle of a character.
  while (!common.empty() && common.size() < words.front().size() &&
         (static_cast<unsigned char>(words.front()[common.size()]) & 0xC0) == 0x80) {
    common.pop_back();
  }
  return common;
}

}  // namespace

bool isInBackground(int terminal) {
  const pid_t foreground = ::tcgetpgrp(terminal);
  return foreground > 0 && foreground != ::getpgrp();
}

EditedInput::EditedInput(Settings settings, TerminalOutput& output, Owner owner)
    : settings_(std::move(settings)), output_(output), owner_(std::move(owner)) {
  // libedit wants streams. It reads through readCharacter() only.
  input_ = ::fdopen(::dup(settings_.input), "r");
  silent_ = std::fopen("/dev/null", "w");
  assert(input_ != nullptr && silent_ != nullptr);
  editor_ = el_init_fd("espalier", input_, output_.stream(), silent_, settings_.input,
                       output_.descriptor(), ::fileno(silent_));
  assert(editor_ != nullptr);
  el_set(editor_, EL_CLIENTDATA, this);
  el_set(editor_, EL_EDITOR, "emacs");
  el_set(editor_, EL_SIGNAL, 0);
  using Prompt = char* (*)(EditLine*);
  const Prompt prompt = [](EditLine* editor) { return inputOf(editor)->prompt_.data(); };
  el_set(editor_, EL_PROMPT, prompt);
  const el_rfunc_t read = [](EditLine* editor, wchar_t* result) {
    return inputOf(editor)->readCharacter(result);
  };
  el_wset(editor_, EL_GETCFN, read);
  bindKeys();
  enterMode();
  openHistory();
}

EditedInput::~EditedInput() {
  HistEvent event;
  if (!settings_.historyFile.empty()) {
    history(history_, &event, H_SAVE, settings_.historyFile.c_str());
  }
  el_end(editor_);  // leaves the terminal's mode
  history_end(history_);
  std::fclose(input_);
  std::fclose(silent_);
}

void EditedInput::bindKeys() {
  using Function = unsigned char (*)(EditLine*, int);
  const Function complete = [](EditLine* editor, int) -> unsigned char {
    return inputOf(editor)->complete();
  };
  el_set(editor_, EL_ADDFN, "espalier-complete", "complete", complete);
  el_set(editor_, EL_BIND, "^I", "espalier-complete", nullptr);
  el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(editor_, EL_BIND, "^W", "ed-delete-prev-word", nullptr);
  el_set(editor_, EL_BIND, "\033[3~", "ed-delete-next-char", nullptr);
}

void EditedInput::openHistory() {
  history_ = history_init();
  HistEvent event;
  history(history_, &event, H_SETSIZE, static_cast<int>(limits::kHistoryLines));
  history(history_, &event, H_SETUNIQUE, 1);
  if (!settings_.historyFile.empty()) {
    history(history_, &event, H_LOAD, settings_.historyFile.c_str());
  }
  el_set(editor_, EL_HIST, history, history_);
}

void EditedInput::enterMode() {
  if (isInBackground(settings_.input)) return;  // the mode is that of the shell
  el_set(editor_, EL_PREP_TERM, 1);
}

void EditedInput::restoreMode() {
  // libedit believes that the terminal is in its mode already: without leaving it, entering it does
  // nothing.
  el_set(editor_, EL_PREP_TERM, 0);
  enterMode();
}

std::optional<std::string> EditedInput::read(const std::string& prompt, const Completer& complete) {
  if (ended_) return std::nullopt;
  prompt_ = prompt;
  completer_ = complete;
  int count = 0;
  const char* typed = el_gets(editor_, &count);
  enterMode();
  if (typed == nullptr || count <= 0) return std::nullopt;
  std::string line(typed, static_cast<std::size_t>(count));
  while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
  return line;
}

void EditedInput::remember(const std::string& line) {
  HistEvent event;
  history(history_, &event, H_ENTER, line.c_str());
}

void EditedInput::refresh() {
  el_set(editor_, EL_REFRESH);
}

void EditedInput::redraw() {
  el_resize(editor_);  // forgets what is on the screen
  owner_.write("\r");
  refresh();
}

void EditedInput::resize() {
  erase();  // terminals wrap the line again by their new width
  el_resize(editor_);
  refresh();
}

// One character of UTF-8 for libedit: 1 if there is one, 0 to leave the line.
int EditedInput::readCharacter(wchar_t* result) {
  wchar_t value = 0;
  int missing = 0;
  do {
    if (!owner_.awaitInput()) return 0;
    unsigned char byte = 0;
    const auto size = ::read(settings_.input, &byte, 1);
    const int why = size < 0 ? errno : 0;
    if (why == EINTR || why == EAGAIN || (why == EIO && isInBackground(settings_.input))) {
      missing = std::max(missing, 1);
      continue;
    }
    if (size <= 0) {
      ended_ = true;  // the terminal was hung up
      return 0;
    }
    if (byte < 0x80) {
      value = byte;
      missing = 0;
    } else if ((byte & 0xC0) == 0x80) {
      value = missing > 0 ? static_cast<wchar_t>(value << 6 | (byte & 0x3F)) : L'\uFFFD';
      missing = std::max(missing - 1, 0);
    } else {
      missing = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : 1;
      value = static_cast<wchar_t>(byte & (0x3F >> missing));
    }
  } while (missing > 0);
  const bool valid = value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
  *result = valid ? value : L'\uFFFD';
  return 1;
}

void EditedInput::erase() {
  if (!settings_.canMoveCursor) return owner_.write("\n");
  const LineInfo* info = el_line(editor_);
  const std::string_view before(info->buffer,
                                static_cast<std::size_t>(info->cursor - info->buffer));
  const std::size_t rows =
      (displayWidth(prompt_) + typedWidth(before)) / terminalColumns(output_.descriptor());
  owner_.write(rows > 0 ? fmt::format("\r\033[{}A\033[J", rows) : "\r\033[J");
}

unsigned char EditedInput::complete() {
  if (!completer_) return CC_REFRESH_BEEP;
  const LineInfo* info = el_line(editor_);
  const std::string line(info->buffer, static_cast<std::size_t>(info->cursor - info->buffer));
  Completion completion = completer_(line);
  // Names from the network may have control characters, which would steer the terminal.
  std::erase_if(completion.candidates,
                [](const std::string& each) { return printable(each) != each; });
  auto& candidates = completion.candidates;
  if (candidates.empty() || completion.start > line.size()) return CC_REFRESH_BEEP;
  std::string replacement = commonBeginning(candidates);
  const bool only = candidates.size() == 1 && !completion.more;
  if (only && !replacement.ends_with('/')) replacement += ' ';
  const std::string typed = line.substr(completion.start);
  // If the common beginning adds nothing (several quoted candidates have only the quote in common),
  // or is that of the first candidates only, they are shown instead.
  if (completion.more || (!only && replacement.size() <= typed.size())) {
    showCandidates(completion);
    return CC_REFRESH;
  }
  // libedit counts characters here, not bytes.
  const auto characters = std::count_if(typed.begin(), typed.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
  el_deletestr(editor_, static_cast<int>(characters));
  el_insertstr(editor_, replacement.c_str());
  return CC_REFRESH;
}

void EditedInput::showCandidates(const Completion& completion) {
  const auto& candidates = completion.candidates;
  std::size_t width = 0;
  for (const auto& each : candidates) width = std::max(width, displayWidth(each) + 2);
  const std::size_t perLine =
      std::max<std::size_t>(1, terminalColumns(output_.descriptor()) / width);
  std::string text;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    text += candidates[i];
    const bool last = (i + 1) % perLine == 0 || i + 1 == candidates.size();
    text += last ? "\n" : std::string(width - displayWidth(candidates[i]), ' ');
  }
  if (completion.more) text += "and more\n";
  erase();
  owner_.write(text);
  refresh();
}

}  // namespace espalier::command
