#include "metaserver/core/registry_copy.h"

#include <algorithm>

#include "common/base/limits.h"
#include "metaserver/core/session_ids.h"
#include "metaserver/core/topology_page.h"

namespace espalier::metaserver {

void RegistryCopy::apply(MemberChanges changes) {
  if (changes.fromScratch) {
    byId_.clear();
    rows_.clear();
  }
  for (const JoinOrder order : changes.gone) remove(order);
  for (auto& row : changes.rows) put(std::move(row));
}

void RegistryCopy::put(SharedRow row) {
  const PeerId& id = row->contact.id;
  const auto [there, isNew] = rows_.try_emplace(row->contact.order, row);
  if (!isNew && there->second->contact.id != id) forget(*there->second);
  // Before the row that it replaces is freed.
  const auto [named, isNewId] = byId_.insert({Sought(id).hash, row.get()});
  if (!isNewId) named->row = row.get();
  there->second = std::move(row);
}

bool RegistryCopy::remove(JoinOrder order) {
  const auto row = rows_.find(order);
  if (row == rows_.end()) return false;
  forget(*row->second);
  rows_.erase(row);
  return true;
}

void RegistryCopy::forget(const MemberRow& row) {
  const auto named = byId_.find(Sought(row.contact.id));
  if (named != byId_.end() && named->row == &row) byId_.erase(named);
}

const MemberRow* RegistryCopy::find(JoinOrder order) const {
  const auto row = rows_.find(order);
  return row == rows_.end() ? nullptr : row->second.get();
}

const MemberRow* RegistryCopy::find(const PeerId& id) const {
  const auto named = byId_.find(Sought(id));
  return named == byId_.end() ? nullptr : named->row;
}

std::vector<PeerId> RegistryCopy::linksOf(const MemberRow& row) const {
  std::vector<PeerId> links;
  for (const auto& neighbour : row.neighbours) {
    const MemberRow* other = find(neighbour);
    if (other == nullptr) continue;
    const auto& back = other->neighbours;
    if (std::find(back.begin(), back.end(), row.contact.id) != back.end()) {
      links.push_back(neighbour);
    }
  }
  return links;
}

std::vector<topo::TopoLine> RegistryCopy::lines() const {
  std::vector<topo::TopoLine> lines;
  lines.reserve(rows_.size());
  for (const auto& [order, row] : rows_) lines.push_back({row->contact.id, linksOf(*row)});
  return lines;
}

wire::TopologyEntry RegistryCopy::entry(const MemberRow& row) const {
  wire::TopologyEntry entry{row.contact, std::nullopt, linksOf(row)};
  if (row.reportedParent > 0 && row.reportedParent <= row.neighbours.size()) {
    const PeerId& parent = row.neighbours[row.reportedParent - 1u];
    const auto& links = entry.neighbours;
    if (std::find(links.begin(), links.end(), parent) != links.end()) entry.parent = parent;
  }
  return entry;
}

std::vector<wire::TopologyEntry> RegistryCopy::entries(JoinOrder after, std::size_t mostBytes,
                                                       bool& more) const {
  TopologyPage page(mostBytes);
  auto next = rows_.upper_bound(after);
  for (; next != rows_.end(); ++next) {
    if (!page.add(entry(*next->second))) break;
  }
  more = next != rows_.end();
  return page.take();
}

topo::Forest RegistryCopy::tree(unsigned maxLinks) const {
  topo::Forest tree(maxLinks);
  std::unordered_map<JoinOrder, std::vector<topo::NodeIndex>> below;
  std::vector<topo::NodeIndex> parents;
  for (const auto& [order, row] : rows_) {
    const auto node = tree.add({row->contact.id, order, row->contact.endpoint});
    if (row->above != kNoOrder) {
      below[row->above].push_back(node);
    } else {
      parents.push_back(node);
    }
  }
  // From the roots down, because linking a peer without children is cheap.
  for (std::size_t i = 0; i < parents.size(); ++i) {
    const auto children = below.find(tree.member(parents[i]).order);
    if (children == below.end()) continue;
    for (const auto child : children->second) {
      if (tree.link(child, parents[i])) parents.push_back(child);
    }
  }
  return tree;
}

std::vector<Remembered> RegistryCopy::remembered(std::vector<Remembered> lost) const {
  std::vector<Remembered> all;
  all.reserve(rows_.size() + lost.size());
  for (const auto& [order, row] : rows_) {
    all.push_back({row->contact.id, row->key, order, row->contact.endpoint});
  }
  const auto byOrder = [](const auto& a, const auto& b) { return a.order < b.order; };
  const std::size_t room = limits::kMembers - std::min<std::size_t>(all.size(), limits::kMembers);
  lost.resize(std::min(lost.size(), room));
  const auto middle = all.insert(all.end(), lost.begin(), lost.end());
  std::inplace_merge(all.begin(), middle, all.end(), byOrder);
  // A peer that came back meanwhile is a member.
  const auto twice = std::unique(all.begin(), all.end(),
                                 [](const auto& a, const auto& b) { return a.order == b.order; });
  all.erase(twice, all.end());
  return all;
}

// --- what the registry hands over ---

MemberChanges Registry::takeChanges(std::size_t most, Rooms rooms) {
  auto page = seen_.changes().take(most, seen_.byOrder());
  MemberChanges changes{page.fromScratch, std::move(page.gone), {}, page.more};
  changes.rows.reserve(page.changed.size());
  for (const Node node : page.changed) changes.rows.emplace_back(row(node, rooms));
  return changes;
}

MemberRow Registry::row(Node node, Rooms rooms) const {
  MemberRow row = seen_.row(node);
  row.key = directory_.record(node).key;
  row.generation = directory_.record(node).generation;
  row.home = homeOf(directory_.record(node).connection);
  row.since = directory_.record(node).session.since;
  row.isRated = directory_.record(node).session.isRated;
  if (rooms == Rooms::with) row.rooms = directory_.roomsOf(node);
  row.roomsRevision = directory_.record(node).roomsRevision;
  return row;
}

std::vector<MemberRow> Registry::rows() const {
  std::vector<MemberRow> rows;
  rows.reserve(size());
  for (const auto& [order, node] : seen_.byOrder()) rows.push_back(row(node, Rooms::with));
  return rows;
}

}  // namespace espalier::metaserver
