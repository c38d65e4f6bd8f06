#include "peer/share/inbox.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::share {

bool Inbox::post(Command command) {
  const bool posted = requests_.with([&](Requests& waiting) {
    if (waiting.commands.size() >= limits::kShareCommands) return false;
    waiting.commands.push_back(std::move(command));
    return true;
  });
  wake();
  return posted;
}

void Inbox::lookAgain(std::string name) {
  requests_.with([&](Requests& waiting) {
    if (waiting.names.size() < limits::kPostedNames) {
      waiting.names.insert(std::move(name));
    } else {
      waiting.everything = true;
    }
  });
  wake();
}

void Inbox::learn(const KnownVersion& version) {
  requests_.with([&](Requests& waiting) {
    if (waiting.versions.size() < limits::kPostedVersions) waiting.versions.push_back(version);
  });
  wake();
}

void Inbox::recheck(const FileRoot& root) {
  requests_.with([&](Requests& waiting) {
    const bool known = std::ranges::find(waiting.rechecks, root) != waiting.rechecks.end();
    if (!known && waiting.rechecks.size() < limits::kRechecks) waiting.rechecks.push_back(root);
  });
  wake();
}

Inbox::Requests Inbox::take() {
  return requests_.with([](Requests& waiting) { return std::exchange(waiting, {}); });
}

}  // namespace espalier::share
