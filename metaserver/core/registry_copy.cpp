#include "metaserver/core/registry_copy.h"

#include <algorithm>

#include "common/base/limits.h"
#include "metaserver/core/session_ids.h"
#include "metaserver/core/topology_page.h"

namespace espalier::metaserver {

void RegistryCopy::apply(MemberChanges changes) {
  if (changes.fromScratch) {
    rows_.clear();
    orders_.clear();
  }
  for (const JoinOrder order : changes.gone) remove(order);
  for (auto& row : changes.rows) put(std::move(row));
}

void RegistryCopy::put(MemberRow row) {
  const JoinOrder order = row.contact.order;
  const MemberRow* old = find(order);
  if (old && old->contact.id != row.contact.id) remove(order);
  orders_[row.contact.id] = order;
  rows_.insert_or_assign(order, std::move(row));
}

bool RegistryCopy::remove(JoinOrder order) {
  const auto row = rows_.find(order);
  if (row == rows_.end()) return false;
  const auto id = orders_.find(row->second.contact.id);
  if (id != orders_.end() && id->second == order) orders_.erase(id);
  rows_.erase(row);
  return true;
}

const MemberRow* RegistryCopy::find(JoinOrder order) const {
  const auto row = rows_.find(order);
  return row == rows_.end() ? nullptr : &row->second;
}

const MemberRow* RegistryCopy::find(const PeerId& id) const {
  const auto order = orders_.find(id);
  return order == orders_.end() ? nullptr : find(order->second);
}

std::vector<PeerId> RegistryCopy::linksOf(const MemberRow& row) const {
  std::vector<PeerId> links;
  for (const auto& neighbour : row.neighbours) {
    const auto order = orders_.find(neighbour);
    if (order == orders_.end()) continue;
    const auto& back = rows_.at(order->second).neighbours;
    if (std::find(back.begin(), back.end(), row.contact.id) != back.end()) {
      links.push_back(neighbour);
    }
  }
  return links;
}

std::vector<topo::TopoLine> RegistryCopy::lines() const {
  std::vector<topo::TopoLine> lines;
  lines.reserve(rows_.size());
  for (const auto& [order, row] : rows_) lines.push_back({row.contact.id, linksOf(row)});
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
    const MemberRow& row = next->second;
    if (!page.add(entry(row))) break;
  }
  more = next != rows_.end();
  return page.take();
}

topo::Forest RegistryCopy::tree(unsigned maxLinks) const {
  topo::Forest tree(maxLinks);
  std::unordered_map<JoinOrder, std::vector<topo::NodeIndex>> below;
  std::vector<topo::NodeIndex> parents;
  for (const auto& [order, row] : rows_) {
    const auto node = tree.add({row.contact.id, order, row.contact.endpoint});
    if (row.above != kNoOrder) {
      below[row.above].push_back(node);
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
    all.push_back({row.contact.id, row.key, order, row.contact.endpoint});
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

MemberChanges Registry::takeChanges(std::size_t most) {
  auto page = seen_.changes().take(most, seen_.byOrder());
  MemberChanges changes{page.fromScratch, std::move(page.gone), {}, page.more};
  changes.rows.reserve(page.changed.size());
  for (const Node node : page.changed) changes.rows.push_back(row(node));
  return changes;
}

MemberRow Registry::row(Node node) const {
  MemberRow row = seen_.row(node);
  row.key = directory_.record(node).key;
  row.generation = directory_.record(node).generation;
  row.home = homeOf(directory_.record(node).connection);
  row.since = directory_.record(node).session.since;
  row.isRated = directory_.record(node).session.isRated;
  row.rooms = directory_.roomsOf(node);
  row.roomsRevision = directory_.record(node).roomsRevision;
  return row;
}

std::vector<MemberRow> Registry::rows() const {
  std::vector<MemberRow> rows;
  rows.reserve(size());
  for (const auto& [order, node] : seen_.byOrder()) rows.push_back(row(node));
  return rows;
}

}  // namespace espalier::metaserver
