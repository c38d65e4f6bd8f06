#include "common/command/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/printing.h"

namespace espalier::command {
namespace {

constexpr auto kRateWindow = std::chrono::seconds(3);

// The first `columns` columns of `text`, with an ellipsis where something was cut.
std::string fitted(const std::string& text, std::size_t columns) {
  if (displayWidth(text) <= columns) return text;
  std::string result = text;
  while (!result.empty() && displayWidth(result) + 1 > columns) {
    do {
      result.pop_back();
    } while (!result.empty() && (static_cast<unsigned char>(result.back()) & 0xC0) == 0x80);
    // The cut text may end with the first byte of a character.
    if (!result.empty() && (static_cast<unsigned char>(result.back()) & 0xC0) == 0xC0) {
      result.pop_back();
    }
  }
  return result + "…";
}

}  // namespace

ProgressBar::ProgressBar(Show show, std::size_t columns)
    : show_(std::move(show)), columns_(std::max<std::size_t>(columns, 20)) {}

void ProgressBar::update(const Progress& progress, TimePoint now) {
  if (!show_) return;
  if (progress.name.empty()) return finish();
  if (!begun_) begun_ = now;
  if ((progress.name != name_ && progress.unit != Unit::none) ||
      (!samples_.empty() && progress.done < samples_.back().done)) {
    name_ = progress.name;
    samples_ = {{now, progress.done}};
  }
  if (now - *begun_ < limits::kProgressDelay) return;
  if (shown_ && now - drawn_ < limits::kProgressInterval) return;
  samples_.push_back({now, progress.done});
  while (samples_.size() > 2 && now - samples_.front().time > kRateWindow) samples_.pop_front();
  drawn_ = now;
  shown_ = true;
  show_(line(progress));
}

void ProgressBar::finish() {
  if (shown_) show_("");
  shown_ = false;
  begun_.reset();
  samples_.clear();
  name_.clear();
}

double ProgressBar::rate() const {
  if (samples_.size() < 2) return 0;
  const auto elapsed =
      std::chrono::duration<double>(samples_.back().time - samples_.front().time).count();
  if (elapsed <= 0) return 0;
  return static_cast<double>(samples_.back().done - samples_.front().done) / elapsed;
}

std::string ProgressBar::line(const Progress& progress) const {
  std::string figures;
  if (progress.unit == Unit::none) {
    return fitted(escaped(progress.name), columns_ - 1);
  }
  if (progress.unit == Unit::items) {
    figures = progress.total > 0 ? fmt::format("  {} of {}", progress.done, progress.total)
                                 : fmt::format("  {}", progress.done);
  } else if (progress.total == 0) {
    figures = "  " + formatSize(progress.done);
  } else {
    const auto percent = static_cast<unsigned>(100.0 * static_cast<double>(progress.done) /
                                               static_cast<double>(progress.total));
    figures = fmt::format("  {:3} %  {} of {}", percent, formatSize(progress.done),
                          formatSize(progress.total));
    if (const double speed = rate(); speed > 0 && progress.done < progress.total) {
      const double left = static_cast<double>(progress.total - progress.done) / speed;
      figures += fmt::format("  {}", formatRate(speed));
      if (left < 1e6) {
        figures += fmt::format(
            "  {} left",
            formatDuration(std::chrono::nanoseconds(static_cast<std::int64_t>(left * 1e9))));
      }
    }
  }
  const std::size_t room =
      columns_ > figures.size() + 8 ? columns_ - 1 - figures.size() : std::size_t{8};
  if (!progress.detail.empty()) figures += "  " + escaped(progress.detail);
  return fitted(fitted(escaped(progress.name), room) + figures, columns_ - 1);
}

std::size_t terminalColumns(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace espalier::command
