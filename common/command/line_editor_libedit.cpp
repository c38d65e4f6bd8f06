// What a LineEditor does through libedit (line_editor_worker.h): all of it on the editor's thread.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>

#include "common/base/limits.h"
#include "common/command/line_editor_worker.h"
#include "common/command/printing.h"
#include "common/command/progress.h"

namespace espalier::command {
namespace {

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

void LineEditor::Worker::openEditor() {
  // libedit wants streams; what it reads comes through character().
  input_ = ::fdopen(::dup(settings_.input), "r");
  silent_ = std::fopen("/dev/null", "w");
  assert(input_ != nullptr && silent_ != nullptr);
  editor_ = el_init_fd("espalier", input_, output_.stream(), silent_, settings_.input,
                       output_.descriptor(), ::fileno(silent_));
  assert(editor_ != nullptr);
  const auto self = [](EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return static_cast<Worker*>(data);
  };
  static constexpr auto kSelf = self;
  el_set(editor_, EL_CLIENTDATA, this);
  el_set(editor_, EL_EDITOR, "emacs");
  el_set(editor_, EL_SIGNAL, 0);
  using Prompt = char* (*)(EditLine*);
  const Prompt prompt = [](EditLine* editor) { return kSelf(editor)->prompt_.data(); };
  el_set(editor_, EL_PROMPT, prompt);
  const el_rfunc_t read = [](EditLine* editor, wchar_t* result) {
    return kSelf(editor)->character(result);
  };
  el_wset(editor_, EL_GETCFN, read);
  using Function = unsigned char (*)(EditLine*, int);
  const Function complete = [](EditLine* editor, int) -> unsigned char {
    return kSelf(editor)->completeLine();
  };
  el_set(editor_, EL_ADDFN, "espalier-complete", "complete", complete);
  el_set(editor_, EL_BIND, "^I", "espalier-complete", nullptr);
  el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(editor_, EL_BIND, "^W", "ed-delete-prev-word", nullptr);
  el_set(editor_, EL_BIND, "\033[3~", "ed-delete-next-char", nullptr);

  setRaw();
  history_ = history_init();
  HistEvent event;
  history(history_, &event, H_SETSIZE, static_cast<int>(limits::kHistoryLines));
  history(history_, &event, H_SETUNIQUE, 1);
  if (!settings_.historyFile.empty()) {
    history(history_, &event, H_LOAD, settings_.historyFile.c_str());
  }
  el_set(editor_, EL_HIST, history, history_);
}

// The terminal stays in libedit's mode also while no line is read: libedit itself enters it only
// after the prompt is printed, and who types at once would see it echoed twice. el_end() leaves it.
void LineEditor::Worker::setRaw() {
  el_set(editor_, EL_PREP_TERM, 1);
}

void LineEditor::Worker::closeEditor() {
  HistEvent event;
  if (!settings_.historyFile.empty()) {
    history(history_, &event, H_SAVE, settings_.historyFile.c_str());
  }
  el_end(editor_);
  history_end(history_);
  std::fclose(input_);
  std::fclose(silent_);
}

LineEditor::Line LineEditor::Worker::readEdited(const Wanted& wanted) {
  if (inputEnded_) return {};
  complete_ = wanted.complete;
  int count = 0;
  const char* typed = el_gets(editor_, &count);
  setRaw();
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
  if (typed == nullptr || count <= 0) {
    write("\n");
    return {};
  }
  Line line{End::line, std::string(typed, static_cast<std::size_t>(count))};
  while (!line.text.empty() && (line.text.back() == '\n' || line.text.back() == '\r')) {
    line.text.pop_back();
  }
  const bool blank = line.text.find_first_not_of(" \t") == std::string::npos;
  if (wanted.complete && !blank && line.text.size() <= limits::kCommandLineBytes) {
    HistEvent event;
    history(history_, &event, H_ENTER, line.text.c_str());
  }
  return line;
}

// One character of UTF-8 for libedit: 1 if there is one, 0 to leave the line.
int LineEditor::Worker::character(wchar_t* result) {
  wchar_t value = 0;
  int missing = 0;
  do {
    if (waitForInput(true) == Round::leave) return 0;
    unsigned char byte = 0;
    const auto size = ::read(settings_.input, &byte, 1);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) {
      missing = std::max(missing, 1);
      continue;
    }
    if (size <= 0) {
      inputEnded_ = true;  // the terminal was hung up
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

// Takes the prompt and what is typed behind it off the screen; the cursor is at its beginning then.
void LineEditor::Worker::eraseTyped() {
  if (!capable_) {
    write("\n");
    return;
  }
  const LineInfo* info = el_line(editor_);
  const std::string_view before(info->buffer,
                                static_cast<std::size_t>(info->cursor - info->buffer));
  const std::size_t rows =
      (displayWidth(prompt_) + typedWidth(before)) / terminalColumns(output_.descriptor());
  write(rows > 0 ? fmt::format("\r\033[{}A\033[J", rows) : "\r\033[J");
}

unsigned char LineEditor::Worker::completeLine() {
  if (!complete_) return CC_REFRESH_BEEP;
  const LineInfo* info = el_line(editor_);
  const std::string line(info->buffer, static_cast<std::size_t>(info->cursor - info->buffer));
  Completion completion = complete_(line);
  // What others named could steer the terminal once it is in the line.
  std::erase_if(completion.candidates,
                [](const std::string& each) { return printable(each) != each; });
  auto& candidates = completion.candidates;
  if (candidates.empty() || completion.start > line.size()) return CC_REFRESH_BEEP;
  std::string replacement = commonBeginning(candidates);
  const bool only = candidates.size() == 1 && !completion.more;
  if (only && !replacement.ends_with('/')) replacement += ' ';
  const std::string typed = line.substr(completion.start);
  // Several that begin with a quote have only that in common: it would not help. What the first of
  // very many have in common need not be what all have.
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

void LineEditor::Worker::showCandidates(const Completion& completion) {
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
  eraseTyped();
  write(text);
  el_set(editor_, EL_REFRESH);
}

}  // namespace espalier::command
