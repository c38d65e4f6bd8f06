#include "peer/shell/transfer_monitor.h"

#include <fmt/format.h>

#include <utility>

namespace espalier::peer::shell {

Result<std::vector<ActiveTransfer>> TransferMonitor::control(
    TransferControl what, const std::vector<std::uint64_t>& numbers) {
  return downloads_.control(what, numbers);
}

Rates TransferMonitor::limit(std::optional<std::uint64_t> upload,
                             std::optional<std::uint64_t> download) {
  return rates_.set(upload, download);
}

std::vector<ActiveTransfer> TransferMonitor::list() const {
  auto transfers = downloads_.list();
  for (const auto& each : pushes_.incoming()) {
    ActiveTransfer shown;
    shown.name = each.name;
    if (each.files > 1) shown.name += fmt::format(" and {} more", each.files - 1);
    shown.peers = each.from;
    shown.incoming = true;
    shown.doneBytes = each.doneBytes;
    shown.totalBytes = each.totalBytes;
    transfers.push_back(std::move(shown));
  }
  for (const auto& each : server_.uploads()) {
    ActiveTransfer shown;
    shown.name = each.name;
    shown.to = each.to;
    shown.doneBytes = each.bytes;
    shown.totalBytes = each.size;
    shown.bytesPerSecond = each.bytesPerSecond;
    transfers.push_back(std::move(shown));
  }
  return transfers;
}

}  // namespace espalier::peer::shell
