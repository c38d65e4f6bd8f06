#include "peer/shell/background.h"

#include <utility>

#include "common/base/limits.h"

namespace espalier::peer::shell {

std::optional<std::string> backgroundCommand(const std::string& line) {
  const auto last = line.find_last_not_of(" \t");
  if (last == std::string::npos || last == 0 || line[last] != '&') return std::nullopt;
  if (line[last - 1] != ' ' && line[last - 1] != '\t') return std::nullopt;
  return line.substr(0, last);
}

Background::~Background() {
  for (auto& job : jobs_) job.thread.request_stop();
}

bool Background::start(const std::string& line, command::Context context) {
  jobs_.remove_if([](const Job& job) { return job.ended.load(); });
  if (jobs_.size() >= limits::kBackgroundCommands) return false;
  Job& job = jobs_.emplace_back();
  job.thread =
      std::jthread([this, &job, line, context = std::move(context)](std::stop_token stop) mutable {
        context.stop = stop;
        const auto rendered = dispatcher_.render(dispatcher_.runLine(line, context), format_);
        if (!stop.stop_requested()) tell_(rendered.out + rendered.err);
        job.ended = true;
      });
  return true;
}

}  // namespace espalier::peer::shell
