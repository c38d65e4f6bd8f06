#include "peer/shell/transfer_outcome.h"

#include <fmt/format.h>

#include "common/base/text.h"
#include "common/command/printing.h"
#include "peer/shell/outcome_parts.h"

namespace espalier::peer::shell {
namespace {

using TransferState = ActiveTransfer::State;

const char* transferStateName(TransferState state) {
  switch (state) {
    case TransferState::active:
      return "active";
    case TransferState::waiting:
      return "waiting";
    case TransferState::paused:
      return "paused";
  }
  return "";
}

// `f3.bin: 42 % of 2.9 GB, 310.4 MB/s, 5.48 s left`
std::string progressText(const ActiveTransfer& transfer) {
  const auto done = transfer.doneBytes;
  const auto size = transfer.totalBytes;
  std::string text = fmt::format("{}: {} % of {}", transfer.name,
                                 size == 0 ? 100 : done * 100 / size, formatSize(size));
  if (transfer.state == TransferState::paused) text += ", paused";
  if (transfer.state == TransferState::waiting) {
    text += fmt::format(", position {} in the queue", transfer.position);
  }
  const double rate = transfer.bytesPerSecond;
  if (rate > 0) text += ", " + formatRate(rate);
  if (rate > 0 && size > done) {
    text += fmt::format(", {} left", secondsText(static_cast<double>(size - done) / rate));
  }
  return text;
}

}  // namespace

Json transferData(const ActiveTransfer& transfer) {
  Json data;
  if (transfer.number > 0) data["number"] = transfer.number;
  data["name"] = transfer.name;
  data["incoming"] = transfer.incoming;
  data["state"] = transferStateName(transfer.state);
  if (transfer.state == TransferState::waiting) data["place"] = transfer.position;
  data["done"] = transfer.doneBytes;
  data["size"] = transfer.totalBytes;
  data["rate"] = transfer.bytesPerSecond;
  data["peer"] = transfer.peers.empty() ? "" : transfer.peers.front().text();
  if (transfer.incoming) {
    data["sources"] = textsOf(transfer.peers);
  } else {
    data["to"] = transfer.to;
  }
  return data;
}

std::vector<std::string> transferRow(const ActiveTransfer& transfer) {
  std::string what = progressText(transfer);
  if (!transfer.incoming) return {"serving", what + ", to " + transfer.to};
  if (!transfer.peers.empty()) what += ", from " + command::listed(textsOf(transfer.peers));
  return {transfer.number > 0 ? fmt::format("fetching {}", transfer.number) : "receiving", what};
}

}  // namespace espalier::peer::shell
