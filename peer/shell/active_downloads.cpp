#include "peer/shell/active_downloads.h"

#include <fmt/format.h>

#include <utility>

namespace espalier::peer::shell {

ActiveDownloads::Handle::~Handle() {
  if (!entry_) return;  // moved from
  table_->table_.with([&](Table& table) { table.entries.erase(number_); });
  table_->events_.publish(DownloadChanged{number_});
}

std::stop_token ActiveDownloads::Handle::token() const {
  const std::lock_guard lock(entry_->mutex);
  return entry_->attempt.get_token();
}

Result<void> ActiveDownloads::Handle::goOn(const std::stop_token& stop) {
  EventBus::Subscription events(table_->events_, kindsOf<DownloadChanged>());
  while (!stop.stop_requested()) {
    {
      const std::lock_guard lock(entry_->mutex);
      if (entry_->cancelled) return Error{ErrorCode::interrupted, "cancelled"};
      if (entry_->shown.state != ActiveTransfer::State::paused) {
        entry_->attempt = {};
        return {};
      }
    }
    (void)events.next(stop);
  }
  return Error{ErrorCode::interrupted, "interrupted"};
}

void ActiveDownloads::Handle::update(const std::function<void(ActiveTransfer& shown)>& change) {
  {
    const std::lock_guard lock(entry_->mutex);
    change(entry_->shown);
  }
  table_->events_.publish(DownloadChanged{number_});
}

ActiveDownloads::Handle ActiveDownloads::begin(std::string name, std::uint64_t bytes) {
  auto entry = std::make_shared<Entry>();
  entry->shown.name = std::move(name);
  entry->shown.incoming = true;
  entry->shown.totalBytes = bytes;
  const auto number = table_.with([&](Table& table) {
    entry->shown.number = ++table.last;
    table.entries.emplace(table.last, entry);
    return table.last;
  });
  events_.publish(DownloadChanged{number});
  return {*this, number, std::move(entry)};
}

ActiveDownloads::Entries ActiveDownloads::entries() const {
  return table_.with([](const Table& table) { return table.entries; });
}

std::vector<ActiveTransfer> ActiveDownloads::list() const {
  std::vector<ActiveTransfer> result;
  for (const auto& [number, entry] : entries()) {
    const std::lock_guard lock(entry->mutex);
    result.push_back(entry->shown);
  }
  return result;
}

Result<std::vector<ActiveTransfer>> ActiveDownloads::control(
    TransferControl what, const std::vector<std::uint64_t>& numbers) {
  using State = ActiveTransfer::State;
  const Entries all = entries();
  Entries chosen;
  for (const auto number : numbers) {
    const auto found = all.find(number);
    if (found == all.end()) {
      return Error{ErrorCode::failed,
                   fmt::format("there is no download {}: `status` shows their numbers", number)};
    }
    chosen.insert(*found);
  }
  if (numbers.empty()) chosen = all;
  std::vector<ActiveTransfer> result;
  for (const auto& [number, entry] : chosen) {
    std::stop_source ended(std::nostopstate);  // asked for outside the lock: it calls back
    {
      const std::lock_guard lock(entry->mutex);
      const bool paused = entry->shown.state == State::paused;
      if (what == TransferControl::resume) {
        if (paused) entry->shown.state = State::active;
      } else {
        entry->cancelled = entry->cancelled || what == TransferControl::cancel;
        if (what == TransferControl::pause) entry->shown.state = State::paused;
        entry->shown.bytesPerSecond = 0;
        entry->shown.peers.clear();
        ended = entry->attempt;
      }
      result.push_back(entry->shown);
    }
    ended.request_stop();
    events_.publish(DownloadChanged{number});
  }
  return result;
}

}  // namespace espalier::peer::shell
