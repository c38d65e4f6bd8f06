#include "peer/shell/room_outcomes.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <vector>

#include "common/base/look_alike.h"
#include "common/base/text.h"
#include "peer/shell/outcome_parts.h"
#include "peer/shell/room_lines.h"

namespace espalier::peer::shell {

using command::EachEntry;
using command::Json;
using command::Write;

namespace {

void addState(Json& data, const RoomInfo& info) {
  data["room"] = info.room.text();
  data["members"] = info.members;
  data["open"] = info.isOpen;
  if (info.opensAt > 0) data["opensAt"] = info.opensAt;
}

std::string stateOf(const RoomInfo& info) {
  if (!info.isConfirmed) return "not known yet";
  if (!info.isOpen && info.opensAt > 0) return gateLine(info.members, info.opensAt);
  return counted(info.members, "member");
}

}  // namespace

// --- join, part

void addMembers(Json& data, const JoinOutcome& outcome) {
  if (outcome.info.isConfirmed) return addState(data, outcome.info);
  data["room"] = outcome.info.room.text();
  data["waiting"] = true;
}

std::string textOf(const JoinOutcome& outcome) {
  const auto room = escaped(outcome.info.room.text());
  if (!outcome.info.isConfirmed) {
    return fmt::format("the metaserver is out of reach: you are in {} when it is back\n", room);
  }
  return fmt::format("you are in {}: {}\n", room, stateOf(outcome.info));
}

void addMembers(Json& data, const PartOutcome& outcome) {
  data["room"] = outcome.room.text();
}

std::string textOf(const PartOutcome& outcome) {
  return fmt::format("you have left {}\n", escaped(outcome.room.text()));
}

// --- say

void addMembers(Json& data, const SayOutcome& outcome) {
  const auto& said = outcome.said;
  data["room"] = said.room.text();
  if (said.number > 0) {
    data["number"] = said.number;
    data["epoch"] = said.epoch.counter;
    data["stored"] = said.stored;
  } else if (said.wait.count() > 0) {
    data["waitMs"] = said.wait.count();
  }
}

std::string textOf(const SayOutcome& outcome) {
  const auto& said = outcome.said;
  if (said.number == 0) return {};
  return fmt::format("said in {} as number {}, stored by {}\n", escaped(said.room.text()),
                     said.number, counted(said.stored, "metaserver"));
}

// --- rooms

void addMembers(Json& data, const RoomsOutcome& outcome) {
  if (!outcome.listing.problem.empty()) data["problem"] = outcome.listing.problem;
  data["rooms"] = Json::array();
}

const char* entriesNameOf(const RoomsOutcome& /*outcome*/) {
  return "rooms";
}

void eachEntryOf(const RoomsOutcome& outcome, const EachEntry& each) {
  for (const auto& info : outcome.listing.rooms) {
    Json entry;
    addState(entry, info);
    entry["joined"] = info.isIn;
    if (info.isIn) {
      entry["unread"] = info.unread;
      entry["naming"] = info.naming;
    }
    each(entry);
  }
}

void writeTextOf(const RoomsOutcome& outcome, const Write& write) {
  for (const auto& info : outcome.listing.rooms) {
    std::string line = fmt::format("{}  {}", escaped(info.room.text()), stateOf(info));
    if (!info.isIn) line += " (you are not in it)";
    if (info.unread > 0) line += fmt::format(", {} unread", info.unread);
    if (info.naming > 0) line += fmt::format(", {} of them with your name", info.naming);
    write(line + "\n");
  }
  if (outcome.listing.problem.empty()) return;
  write(fmt::format("only rooms that you are in: {}\n", escaped(outcome.listing.problem)));
}

// --- who

void addMembers(Json& data, const WhoOutcome& outcome) {
  if (outcome.room) data["room"] = outcome.room->text();
  data["count"] = outcome.who.count;
  data["members"] = Json::array();
}

const char* entriesNameOf(const WhoOutcome& /*outcome*/) {
  return "members";
}

void eachEntryOf(const WhoOutcome& outcome, const EachEntry& each) {
  for (const auto& member : outcome.who.members) {
    Json entry;
    entry["id"] = member.id.text();
    entry["home"] = nullptr;
    if (!member.home.empty()) entry["home"] = member.home.text();
    if (member.since.count() > 0) entry["since"] = isoTime(member.since);
    each(entry);
  }
}

namespace {

using Alike = std::map<std::string, std::vector<const wire::RoomMember*>>;

// By what they look like.
Alike lookAlikes(const std::vector<wire::RoomMember>& members) {
  Alike alike;
  for (const auto& member : members) alike[skeletonOf(member.id.text())].push_back(&member);
  return alike;
}

}  // namespace

void writeTextOf(const WhoOutcome& outcome, const Write& write) {
  const auto alike = lookAlikes(outcome.who.members);
  for (const auto& member : outcome.who.members) {
    std::string line = shownName(member.id.text());
    line += member.home.empty() ? "  away" : "  at " + escaped(member.home.text());
    if (member.since.count() > 0) line += fmt::format("  since {}", localTime(member.since));
    const auto& others = alike.find(skeletonOf(member.id.text()))->second;
    if (others.size() > 1) {
      const auto& other = others[0] == &member ? *others[1] : *others[0];
      line += fmt::format("  looks like {}: {}", shownName(other.id.text()),
                          differenceOf(member.id.text(), other.id.text()));
    }
    write(line + "\n");
  }
  write(counted(outcome.who.count, "member") + "\n");
}

}  // namespace espalier::peer::shell
