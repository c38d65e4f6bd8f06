#include "metaserver/shell/running_here.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/command/control_client.h"
#include "common/command/printing.h"

namespace espalier::metaserver::shell {
namespace {

using namespace std::chrono_literals;

// They only tell their name, from the memory of a thread of their own.
constexpr auto kProbe = 1s;
constexpr auto kPatience = 2s;
constexpr std::size_t kAskedAtOnce = 16;

// Nothing: no metaserver runs there. An empty name: it does not tell.
std::optional<std::string> nameOfRunning(const std::string& state) {
  std::string out;
  const command::Output output{[&](const std::string& text) { out += text; },
                               [](const std::string&) {}};
  command::Context context;
  context.json = true;
  const auto code = command::runInRunning({"the metaserver", state, kProbe, kPatience}, {"uptime"},
                                          context, output);
  if (!code) return std::nullopt;
  const auto told = command::Json::parse(out, nullptr, /*allow_exceptions=*/false);
  if (told.is_object() && told.contains("self") && told["self"].is_string()) {
    return told["self"].get<std::string>();
  }
  // An older one does not know the command; a stopped one does not answer. Another user's folder is
  // none of ours.
  if (*code == exitCode(ErrorCode::configuration)) return std::nullopt;
  return std::string();
}

std::string shown(const RunningServer& server) {
  return server.name.empty() ? "the one on " + server.state : server.name;
}

std::string shown(const std::vector<RunningServer>& servers) {
  std::vector<std::string> names;
  for (const auto& server : servers) names.push_back(shown(server));
  return command::listed(names);
}

}  // namespace

std::vector<std::string> stateFoldersHere() {
  std::vector<std::string> folders;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("."), ::closedir);
  if (!directory) return folders;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != ".metaserver" && !name.starts_with(".metaserver-")) continue;
    folders.push_back(fmt::format("./{}", name));
    if (folders.size() == limits::kStateFoldersTried) break;
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::vector<RunningServer> findRunning(const std::vector<std::string>& folders) {
  // At once: each stopped one takes its whole time.
  std::vector<std::optional<std::string>> names(folders.size());
  std::atomic<std::size_t> next = 0;
  const auto ask = [&] {
    for (std::size_t at = next++; at < folders.size(); at = next++) {
      names[at] = nameOfRunning(folders[at]);
    }
  };
  std::vector<std::jthread> others;
  while (others.size() < std::min(folders.size(), kAskedAtOnce)) {
    if (!startThread(others, ask)) break;  // this one asks them
  }
  ask();
  others.clear();  // joins
  std::vector<RunningServer> running;
  for (std::size_t at = 0; at < folders.size(); ++at) {
    if (names[at]) running.push_back({folders[at], *std::move(names[at])});
  }
  return running;
}

Result<std::string> chooseRunning(const std::vector<RunningServer>& running,
                                  const ServerName& wanted) {
  if (running.empty()) {
    return Error{ErrorCode::unavailable, "no metaserver runs in this folder"};
  }
  if (wanted.empty()) {
    if (running.size() == 1) return running.front().state;
    return Error{ErrorCode::usage,
                 fmt::format("{} run here: choose one by --name NAME", shown(running))};
  }
  for (const auto& server : running) {
    if (server.name == wanted.text()) return server.state;
  }
  return Error{ErrorCode::unavailable,
               fmt::format("no metaserver {} runs here: {} {}", escaped(wanted.text()),
                           shown(running), running.size() == 1 ? "does" : "do")};
}

}  // namespace espalier::metaserver::shell
