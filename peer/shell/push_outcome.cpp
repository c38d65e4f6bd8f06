#include "peer/shell/push_outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/text.h"
#include "common/command/printing.h"
#include "peer/shell/outcome_parts.h"

namespace espalier::peer::shell {
namespace {

using State = PushedPeer::State;

constexpr std::size_t kNamed = 3;  // peers of each state that a summary names

const char* pushStateName(State state) {
  switch (state) {
    case State::waiting:
      return "waiting";
    case State::receiving:
      return "receiving";
    case State::verified:
      return "verified";
    case State::declined:
      return "declined";
    case State::failed:
      return "failed";
    case State::outOfReach:
      return "out of reach";
  }
  return "";
}

// The members of pushData() behind "files".
void addLedger(Json& data, const PushReport& report) {
  data["size"] = report.sizeBytes;
  data["verified"] = verifiedCount(report);
  data["peers"] = report.peers.size();
  if (report.others != 0u) data["unknown"] = report.others ? Json(*report.others) : Json(nullptr);
  data["ledger"] = Json::array();
  for (const auto& peer : report.peers) {
    Json& entry = data["ledger"].emplace_back();
    entry["peer"] = peer.id.text();
    entry["state"] = pushStateName(peer.state);
    if (!peer.reason.empty()) entry["reason"] = peer.reason;
  }
}

void addHead(Json& data, const PushReport& report) {
  data["push"] = toHex(report.id.view());
  data["sender"] = report.sender.text();
}

// `f3.txt: 12 B, verified by 1 of 2 peers`
std::string headText(const PushReport& report) {
  const auto what = report.files.size() == 1 ? escaped(report.files.front().name)
                                             : counted(report.files.size(), "file");
  return fmt::format("{}: {}, verified by {} of {}", what, formatSize(report.sizeBytes),
                     verifiedCount(report), counted(report.peers.size(), "peer"));
}

std::string ledgerText(const PushReport& report) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& peer : report.peers) {
    auto& row =
        rows.emplace_back(std::vector{peer.id.text(), std::string(pushStateName(peer.state))});
    if (!peer.reason.empty()) row.push_back(peer.reason);
  }
  return command::table(rows);
}

}  // namespace

std::uint64_t verifiedCount(const PushReport& report) {
  return static_cast<std::uint64_t>(
      std::count_if(report.peers.begin(), report.peers.end(),
                    [](const PushedPeer& peer) { return peer.state == State::verified; }));
}

Json pushData(const PushReport& report) {
  Json data;
  addHead(data, report);
  data["files"] = Json::array();
  for (const auto& file : report.files) {
    data["files"].push_back(fileData(file.name, file.sizeBytes, file.root));
  }
  addLedger(data, report);
  return data;
}

Json pushProgressData(const PushReport& report) {
  Json data;
  addHead(data, report);
  addLedger(data, report);
  return data;
}

void addMembers(Json& data, const PushOutcome& outcome) {
  data.update(pushData(outcome.report));
  data["seconds"] = outcome.report.seconds;
}

std::string textOf(const PushOutcome& outcome) {
  return fmt::format("{} in {}\n", headText(outcome.report), secondsText(outcome.report.seconds)) +
         ledgerText(outcome.report);
}

void addMembers(Json& data, const KnownPushes& pushes) {
  data["pushes"] = Json::array();
  for (const auto& report : pushes.reports) data["pushes"].push_back(pushData(report));
}

std::string textOf(const KnownPushes& pushes) {
  if (pushes.reports.empty()) return "no pushes\n";
  std::string text;
  for (const auto& report : pushes.reports) {
    text += fmt::format("{}, pushed by {}\n", headText(report), escaped(report.sender.text())) +
            ledgerText(report);
  }
  return text;
}

std::string pushSummary(const PushReport& report) {
  std::string text = fmt::format("{} of {} verified", verifiedCount(report), report.peers.size());
  constexpr std::array kTold = {State::declined, State::failed, State::outOfReach};
  for (const auto state : kTold) {
    std::vector<std::string> names;
    for (const auto& peer : report.peers) {
      if (peer.state == state) names.push_back(peer.id.text());
    }
    if (names.empty()) continue;
    if (names.size() > kNamed + 1) {
      const auto more = names.size() - kNamed;
      names.resize(kNamed);
      names.push_back(fmt::format("{} more", more));
    }
    text += fmt::format("; {} {}", command::listed(names), pushStateName(state));
  }
  if (!report.others) {
    text += "; other members are not known: the metaserver is out of reach";
  } else if (*report.others > 0) {
    text += fmt::format("; no report yet from {}", counted(*report.others, "other peer"));
  }
  return text;
}

}  // namespace espalier::peer::shell
